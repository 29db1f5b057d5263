"""Reports that show a user go, values that are an id get a name, and the model's row knows its new files."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

from pyspark.sql import SparkSession
from tests.ledger.nights import command, write_config

from intentrec.events import Erased
from intentrec.keeping.artifacts import remove_from_artifacts
from intentrec.ledger import Run
from intentrec.model.manifest import verify_folder, write_folder
from intentrec.tables import MODELS


def model(folder: Path, *values: str) -> tuple[tuple[str, str, int], ...]:
    names = {"items": ["ann"], "values": {"friend": [*values]}}

    def write(new: Path) -> None:
        (new / "vocabulary.json").write_text(json.dumps(names))
        (new / "weights.safetensors").write_bytes(b"w")

    return write_folder(folder, write, "model")


def test_users_leave_reports_vocabularies_and_scratch(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(command(write_config(tmp_path)), spark, "r1")
    root = tmp_path / "artifacts"
    shown = '<td width="5">5 of 10, joanna &amp; co</td>', "<td>a&amp;b c</td>", "<h2>User 5</h2>"
    for name, text in zip(("2024-01-29", "2024-01-30", "2024-01-31"), shown, strict=True):
        (root / "reports" / name).mkdir(parents=True)
        (root / "reports" / name / "report.html").write_text(text)
    (root / "training" / "models-m1").mkdir(parents=True)
    files = model(root / "models" / "m1", "bob", "ann")
    model(root / "models" / "m2", "bob")
    model(root / "starts" / "m1", "ann", "5")
    at = datetime(2024, 1, 31, tzinfo=UTC)
    row = (
        "m1",
        date(2024, 1, 31),
        "refit",
        None,
        None,
        at,
        "{}",
        str(root / "models" / "m1"),
        list(files),
        [],
        [],
        "r",
        at,
    )
    run.warehouse.create([MODELS])
    run.warehouse.append(MODELS, spark.createDataFrame([row], MODELS.schema))

    erased, shared = Erased.of(b"k" * 16, ["ann", "5", "a&b c"]), {("friend", "5")}
    assert remove_from_artifacts(run, erased, shared) == [
        "models/m1/vocabulary.json", "reports/2024-01-30/report.html", "reports/2024-01-31/report.html",
        "starts/m1/vocabulary.json", "training",
    ]  # fmt: skip

    kept = json.loads((root / "models" / "m1" / "vocabulary.json").read_text())
    assert kept == {"items": ["ann"], "values": {"friend": ["bob", "erased 2"]}}  # an item is no user
    (booked,) = run.warehouse.read(MODELS).select("files").collect()
    verify_folder(root / "models" / "m1", [tuple(file) for file in booked["files"]])
    verify_folder(root / "starts" / "m1")
    start = json.loads((root / "starts" / "m1" / "vocabulary.json").read_text())
    assert start["values"] == {"friend": ["erased 1", "5"]}
    assert remove_from_artifacts(run, erased, shared) == []
