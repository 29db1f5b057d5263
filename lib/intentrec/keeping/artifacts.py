"""Users leave the files beside the tables: reports, vocabularies of models, copies and half-trained models."""

import html
import json
import shutil
from collections.abc import Iterator
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
_SCRATCH = (REPRODUCED, "training")  # made again by whoever needs it


def remove_from_artifacts(run: Run, erased: Erased) -> list[str]:
    """Remove reports and figures that name one of the users, and all scratch; rename feature values that are their ids.

    A report that is gone is written again when its night is run again. A value keeps its number, and the model that
    knows it its weights; the row in MODELS gets the new checksums.

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
        if report.is_file() and erased.named_in(html.unescape(report.read_text(encoding="utf-8", errors="replace"))):
            report.unlink()
            touched.append(report)
    for kind in ("models", "starts"):
        for folder in sorted(path.parent for path in root.glob(f"{kind}/*/{_VOCABULARY}")):
            if _renamed_values(folder, erased):
                touched.append(folder / _VOCABULARY)
            if kind == "models" and _has_renamed(folder):  # now, or by a run that was killed before it booked them
                _book_files(run, folder)
    return sorted(path.relative_to(root).as_posix() for path in touched)


def _renamed_values(folder: Path, erased: Erased) -> bool:
    """Replace the ids among the feature values of a model; return whether there was one."""
    names = json.loads((folder / _VOCABULARY).read_text(encoding="utf-8"))
    values = {field: list(_kept_or_renamed(known, erased)) for field, known in names["values"].items()}
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


def _kept_or_renamed(values: list[str], erased: Erased) -> Iterator[str]:
    """Name a value that is an id by its number, as FEATURE_VOCABULARY does."""
    for number, value in enumerate(values, 1):
        yield f"{RENAMED}{number}" if erased.holds(value) else value


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
