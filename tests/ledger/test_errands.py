"""A job outside of the night: its flags, its lock, its row in the ledger."""

import argparse
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.ledger.nights import DAY, write_config

from intentrec.ledger import Errand, Run, brief_lock, run_errand
from intentrec.ledger.lock import folder_lock


def with_size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=1)


def test_it_runs_with_its_flags_and_leaves_its_row(spark: SparkSession, tmp_path: Path) -> None:
    def body(run: Run, given: argparse.Namespace) -> dict[str, int]:
        run.warn("small")
        return {"size": given.size}

    arguments = ["--config", str(write_config(tmp_path)), "--run-date", DAY.isoformat(), "--size", "3"]
    assert run_errand(Errand(name="measure", body=body, flags=with_size), arguments) == 0
    rows = spark.read.format("delta").load(str(tmp_path / "warehouse" / "runs")).collect()
    (row,) = [(row["stage"], row["status"], row["message"], [*map(tuple, row["counters"])]) for row in rows]
    assert row == ("measure", "finished", "small", [("size", 3)])


@pytest.mark.parametrize(("alone", "code"), [(True, 6), (False, 0)])
def test_one_that_is_not_alone_starts_beside_a_night(
    tmp_path: Path, spark: SparkSession, alone: bool, code: int
) -> None:
    held: list[bool] = []

    def body(run: Run, _given: argparse.Namespace) -> dict[str, int]:
        with brief_lock(run) as ours:
            held.append(ours)
        return {}

    arguments = ["--config", str(write_config(tmp_path)), "--run-date", DAY.isoformat()]
    with folder_lock(tmp_path / "warehouse", "night"):
        assert run_errand(Errand(name="measure", body=body, alone=alone), arguments) == code
    assert held == ([] if alone else [False])
    assert not (tmp_path / "warehouse" / "runs").exists()
