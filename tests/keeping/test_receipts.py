"""A receipt is one JSON file, written in one step."""

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.ledger.nights import command, write_config

from intentrec.errors import SetupError
from intentrec.keeping.receipts import write_receipt
from intentrec.ledger import Run


def test_a_receipt_says_whose_it_is_and_what_was_done(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(command(write_config(tmp_path)), spark, "r1")
    path = write_receipt(run, "erasures", {"users": 3})
    assert path == tmp_path / "artifacts" / "erasures" / "r1.json"
    assert json.loads(path.read_text()) == {
        "run_id": "r1", "run_date": "2024-01-31", "warehouse": str(tmp_path / "warehouse"), "users": 3,
    }  # fmt: skip
    assert [file.name for file in path.parent.iterdir()] == ["r1.json"]


def test_a_place_that_cannot_be_written_is_named(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(command(write_config(tmp_path)), spark, "r1")
    (tmp_path / "artifacts").write_text("a file")
    with pytest.raises(SetupError, match=r"r1.json: the receipt cannot be written \(Not a directory\)"):
        write_receipt(run, "erasures", {})
