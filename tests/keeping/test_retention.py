"""Old nights go; what a night within reach starts from or serves with stays, however old."""

import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.ledger.nights import command, write_config

from intentrec.config import MaintenanceConfig
from intentrec.errors import ConfigError
from intentrec.keeping.retention import check_names, first_kept, remove_old_files, remove_old_rows
from intentrec.ledger import Run
from intentrec.tables import (
    EVENTS,
    EVENTS_QUARANTINE,
    GATE_DECISIONS,
    ITEMS,
    MODELS,
    RUNS,
    USERS,
    VOCABULARY,
)

TODAY = date(2024, 1, 31)  # the run date of the tests' command


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def test_tables_of_nights_have_their_days_and_others_none_unless_they_are_given() -> None:
    settings = MaintenanceConfig(run_date_days=10, keep_days={"users": None, "events": 400, "events_quarantine": 30})
    found = {
        table.name: first_kept(table, settings, TODAY) for table in (ITEMS, USERS, EVENTS, EVENTS_QUARANTINE, RUNS)
    }
    assert found == {
        "items": ago(10), "users": None, "events": ago(400), "events_quarantine": ago(30), "runs": None,
    }  # fmt: skip
    assert first_kept(EVENTS_QUARANTINE, MaintenanceConfig(run_date_days=10), TODAY) is None


def test_a_name_that_is_no_table_with_a_date_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"keep_days.event: no table with a date, the nearest is events"):
        check_names(MaintenanceConfig(keep_days={"event": 3}))
    with pytest.raises(ConfigError, match=r"maintenance.keep_days.runs: no table with a date"):
        check_names(MaintenanceConfig(keep_days={"runs": 3}))


def night(days: int, *, promoted: bool = True, demotes: str | None = None) -> tuple[list[tuple], list[tuple]]:
    """Return the rows of MODELS and GATE_DECISIONS of a night so many days ago: challenger cN, refit rN."""
    day, challenger, refit = ago(days), f"c{days}", f"r{days}"

    def model(model_id: str, kind: str, judged: str | None) -> tuple:
        return (model_id, day, kind, judged, None, at(day), "{}", "gone", [], [], [], "run", at(day))

    decisions = [(day, challenger, "promoted" if promoted else "refused", None, refit, [], "why", "run", at(day))]
    if demotes:
        decisions.append((day, demotes, "demoted", None, None, [], "why", "run", at(day)))
    return [model(challenger, "challenger", None), model(refit, "refit", challenger)], decisions


def test_the_champion_of_the_oldest_kept_night_stays_with_its_numbers_and_those_before_it_go(
    spark: SparkSession, tmp_path: Path
) -> None:
    run = Run(command(write_config(tmp_path), "maintenance.run_date_days=10"), spark, "r1")
    run.warehouse.create([MODELS, GATE_DECISIONS, VOCABULARY, USERS, RUNS])
    of_runs = [
        (f"r{day}", ago(day), stage, status, at(ago(day)), at(ago(day)), [], [], "in", "", "", [], None)
        for day in (50, 5)
        for stage, status in (("build_examples", "finished"), ("train_model", "failed"))
    ]
    run.warehouse.append(RUNS, spark.createDataFrame(of_runs, RUNS.schema))
    # 40 serves again once 30 is demoted, five days ago; 20 was refused; 12 is the champion of ten days ago.
    nights = [
        night(50),
        night(40),
        night(30),
        night(20, promoted=False),
        night(12),
        night(5, promoted=False, demotes="c12"),
    ]
    models, decisions = ([row for each in nights for row in each[part]] for part in (0, 1))
    decisions.append((ago(5), "r30", "demoted", None, None, [], "why", "run", at(ago(5))))
    run.warehouse.append(MODELS, spark.createDataFrame(models, MODELS.schema))
    run.warehouse.append(GATE_DECISIONS, spark.createDataFrame(decisions, GATE_DECISIONS.schema))
    days = (50, 40, 30, 20, 12, 5)
    numbers = [(ago(day), "i", 1, at(ago(day))) for day in days]
    run.warehouse.append(VOCABULARY, spark.createDataFrame(numbers, VOCABULARY.schema))
    people = [(ago(day), "u", None, [], "r") for day in days if day > 10]  # none came since: the newest stays
    run.warehouse.append(USERS, spark.createDataFrame(people, USERS.schema))
    root = tmp_path / "artifacts"
    for model_id in (row[0] for row in models):
        (root / "models" / model_id).mkdir(parents=True)
        if model_id.startswith("c"):
            (root / "starts" / model_id).mkdir(parents=True)
    for name in (ago(11).isoformat(), ago(10).isoformat(), "notes"):
        (root / "reports" / name).mkdir(parents=True)
    (root / "models" / "unknown").mkdir()

    assert remove_old_rows(run) == {"users": 4, "vocabulary": 2}
    assert {(TODAY - row["run_date"]).days for row in run.warehouse.read(VOCABULARY).collect()} == {40, 30, 12, 5}
    assert [(TODAY - row["run_date"]).days for row in run.warehouse.read(USERS).collect()] == [12]
    assert remove_old_files(run) == [
        f"reports/{ago(11)}", "models/c20", "models/c50", "models/r20", "models/r50", "starts/c20", "starts/c50",
    ]  # fmt: skip
    told = {(row["run_id"], row["stage"]): row["status"] for row in run.warehouse.read(RUNS).collect()}
    assert told == {
        ("r50", "build_examples"): "removed", ("r50", "train_model"): "failed",  # run again, that night is built again
        ("r5", "build_examples"): "finished", ("r5", "train_model"): "failed",
    }  # fmt: skip
    assert remove_old_rows(run) == {}
    assert remove_old_files(run) == []


def test_unused_checkpoints_and_copies_go_when_versions_go(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(command(write_config(tmp_path), "maintenance.retention_hours=200"), spark, "r1")
    for name, hours in (("starts-old", 201), ("starts-new", 199), ("starts-resumed", 300)):
        written = tmp_path / "artifacts" / "training" / name / "checkpoints" / "epoch_0001" / "weights"
        written.parent.mkdir(parents=True)
        written.touch()
        for path in (written, *written.parents[:4]):
            os.utime(path, (time.time() - 3600 * hours,) * 2)
    os.utime(tmp_path / "artifacts" / "training" / "starts-resumed" / "checkpoints")  # an epoch was added
    copies = [tmp_path / "artifacts" / "reproduced" / name for name in ("run-old", "run-new")]
    for copy, hours in zip(copies, (201, 199), strict=True):
        (copy / "warehouse").mkdir(parents=True)
        for path in (copy / "warehouse", copy):
            os.utime(path, (time.time() - 3600 * hours,) * 2)
    assert remove_old_files(run) == ["reproduced/run-old", "training/starts-old"]
