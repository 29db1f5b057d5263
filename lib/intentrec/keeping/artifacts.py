"""Users leave the files beside the tables: reports, vocabularies of models, copies and half-trained models."""

import html
import json
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from pyspark.sql import functions as F

from intentrec.events import Erased
from intentrec.io.upkeep import change_rows
from intentrec.keeping.rows import RENAMED
from intentrec.ledger import Run
from intentrec.model.manifest import MANIFEST, file_sha256, write_folder
from intentrec.tables import MODELS

_VOCABULARY = "vocabulary.json"
REPRODUCED = "reproduced"  # copies of past nights, for comparison
_TAG = re.compile(r"<[^>]*>")
_SCRATCH = (REPRODUCED, "training")  # made again by whoever needs it


def remove_from_artifacts(run: Run, erased: Erased, shared: Collection[tuple[str, str]]) -> list[str]:
    """Remove reports and figures that name one of the users, and all scratch; rename feature values that are their ids.

    A report that is gone is written again when its night is run again. A value keeps its number, and the model that
    knows it its weights; the row in MODELS gets the new checksums.

    Args:
        run: holds the lock.
        erased: recognises the users.
        shared: fields and values that are no ids, see ``shared_values``.

    Returns:
        The files and folders that are gone or changed, below the folder of the artifacts, sorted.
    """
    root = Path(str(run.config.artifacts))
    touched = []
    for folder in (root / name for name in _SCRATCH):
        if folder.exists():
            shutil.rmtree(folder)
            touched.append(folder)
    for report in sorted([*root.glob("reports/*/*"), *root.glob("monitoring/*")]):
        if report.is_file() and erased.named_in_prose(_text_of(report)):
            report.unlink()
            touched.append(report)
    for kind in ("models", "starts"):
        for folder in sorted(path.parent for path in root.glob(f"{kind}/*/{_VOCABULARY}")):
            if _renamed_values(folder, erased, shared):
                touched.append(folder / _VOCABULARY)
            if kind == "models" and _has_renamed(folder):  # now, or by a run that was killed before it booked them
                _book_files(run, folder)
    return sorted(path.relative_to(root).as_posix() for path in touched)


def _text_of(report: Path) -> str:
    text = report.read_text(encoding="utf-8", errors="replace")
    return html.unescape(_TAG.sub(" ", text)) if report.suffix == ".html" else text


def _renamed_values(folder: Path, erased: Erased, shared: Collection[tuple[str, str]]) -> bool:
    """Replace the ids among the feature values of a model; return whether there was one."""
    names = json.loads((folder / _VOCABULARY).read_text(encoding="utf-8"))
    values = {
        field: [
            # by its number, as FEATURE_VOCABULARY names it
            f"{RENAMED}{number}" if (field, value) not in shared and erased.holds(value) else value
            for number, value in enumerate(known, 1)
        ]
        for field, known in names["values"].items()
    }
    if values == names["values"]:
        return False

    def write(new: Path) -> None:
        for path in folder.iterdir():
            if path.name not in (MANIFEST, _VOCABULARY):
                shutil.copy2(path, new / path.name)
        text = json.dumps({**names, "values": values}, sort_keys=True, ensure_ascii=False)
        (new / _VOCABULARY).write_text(text, encoding="utf-8")

    write_folder(folder, write, "model")
    return True


def _has_renamed(folder: Path) -> bool:
    names = json.loads((folder / _VOCABULARY).read_text(encoding="utf-8"))
    numbered = (pair for known in names["values"].values() for pair in enumerate(known, 1))
    return any(value == f"{RENAMED}{number}" for number, value in numbered)


def _book_files(run: Run, folder: Path) -> None:
    """Write the checksums of a changed folder into the model's row."""
    files = [(path.name, file_sha256(path), path.stat().st_size) for path in sorted(folder.iterdir())]
    found = run.spark.createDataFrame(
        [(folder.name, files)], "model_id STRING, now ARRAY<STRUCT<name: STRING, sha256: STRING, bytes: BIGINT>>"
    )
    change_rows(run.warehouse, MODELS, found, {"files": F.col("found.now")})
