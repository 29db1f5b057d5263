"""What is skipped, what runs again, and which rows of ``runs`` tell of it."""

import logging
from dataclasses import replace
from datetime import UTC
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.ledger.nights import DAY, NAMES, Night, command, raising, write_config

from intentrec.crashes import CRASH_VARIABLE
from intentrec.errors import InputError, PublishError
from intentrec.ledger import Outcome, Run, Stage, open_run
from intentrec.ledger import run as ledger_run
from intentrec.tables import ITEMS, USERS


def night_of(config: Path, night: Night, *overrides: str, **flags: bool) -> list[Outcome]:
    with open_run(command(config, *overrides, **flags)) as run:
        for stage in night.stages(NAMES[:2]):
            run.execute(stage)
        run.record_skips()
        return run.outcomes


def ledger(spark: SparkSession, folder: Path, *columns: str) -> list[tuple[object, ...]]:
    rows = spark.read.format("delta").load(str(folder / "warehouse" / "runs")).orderBy("finished_at", "stage")
    return [tuple(row) for row in rows.select(*columns).collect()]


def test_a_stage_runs_again_with_all_after_it_only_when_something_changed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, night = write_config(tmp_path), Night()
    night_of(config, night)
    assert night.executed() == ["ingest_events", "build_sessions"]

    assert [outcome.status for outcome in night_of(config, night)] == ["skipped", "skipped"]
    assert night.executed() == []

    night.sees["ingest_events"] = "one byte more"
    night_of(config, night)
    assert night.executed() == ["ingest_events", "build_sessions"]

    longer = "sessions.gap_minutes=60"  # build_sessions reads it, ingest_events does not
    night_of(config, night, longer)
    assert night.executed() == ["build_sessions"]
    night_of(config, night, longer, "model.width=32")  # neither reads it
    assert night.executed() == []

    monkeypatch.setattr(ledger_run, "__version__", "0.0.0")
    night_of(config, night, longer)
    assert night.executed() == ["ingest_events", "build_sessions"]
    night_of(config, night, longer, rebuild=True)
    assert night.executed() == ["ingest_events", "build_sessions"]


def test_finished_and_skipped_stages_leave_full_rows(spark: SparkSession, tmp_path: Path) -> None:
    config, night = write_config(tmp_path), Night()

    def write_and_warn(run: Run) -> None:
        run.warehouse.set_layout(USERS, "new")
        run.warn("few sessions")

    night.does["build_sessions"] = write_and_warn
    night_of(config, night)
    assert ledger(spark, tmp_path, "stage", "status", "message", "run_date") == [
        ("ingest_events", "finished", None, DAY),
        ("build_sessions", "finished", "few sessions", DAY),
    ]
    (_, last) = ledger(spark, tmp_path, "counters", "inputs", "outputs", "code_version")
    assert last == ([("a", 1), ("rows", 3)], [("users", 0)], [("users", 1)], ledger_run.__version__)

    night_of(config, night)
    hashes = ledger(spark, tmp_path, "stage", "input_hash", "config_hash")
    assert sorted(hashes[2:]) == sorted(hashes[:2])
    assert [status for (status,) in ledger(spark, tmp_path, "status")[2:]] == ["skipped", "skipped"]
    assert len(set(ledger(spark, tmp_path, "run_id"))) == 2


def test_a_refusal_is_told_and_recorded_again_when_its_stage_is_skipped_and_a_warning_is_not(
    spark: SparkSession, tmp_path: Path
) -> None:
    config, night = write_config(tmp_path), Night()
    night.does = {"ingest_events": lambda run: run.warn("late"), "build_sessions": lambda run: run.refuse("worse")}
    night_of(config, night)
    (_, first) = ledger(spark, tmp_path, "counters")
    assert first == ([("a", 1), ("refused", 1), ("rows", 3)],)
    assert [outcome.message for outcome in night_of(config, night)] == [None, "worse"]
    assert ledger(spark, tmp_path, "stage", "status", "message") == [
        ("ingest_events", "finished", "late"),
        ("build_sessions", "finished", "worse"),
        ("ingest_events", "skipped", None),
        ("build_sessions", "skipped", "worse"),
    ]


def test_versions_of_what_is_read_are_those_before_the_stage(spark: SparkSession, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    stage = Stage(
        name="ingest_events",
        body=lambda run: run.warehouse.set_layout(USERS, "new") or {},  # type: ignore[func-returns-value]
        reads=(USERS, ITEMS),
        writes=(USERS,),
    )
    with open_run(command(config)) as run:
        run.execute(stage)
    assert ledger(spark, tmp_path, "inputs", "outputs") == [([("users", 0), ("items", 0)], [("users", 1)])]


def test_a_failed_stage_leaves_a_row_and_is_where_the_next_run_goes_on(spark: SparkSession, tmp_path: Path) -> None:
    config, night = write_config(tmp_path), Night()
    night.does["build_sessions"] = raising(ValueError("not today\nsecond line"))
    with pytest.raises(ValueError, match="not today"):
        night_of(config, night)
    assert ledger(spark, tmp_path, "stage", "status", "message") == [
        ("ingest_events", "finished", None),
        ("build_sessions", "failed", "not today"),
    ]
    night.executed()
    night.does.clear()
    night_of(config, night)
    assert night.executed() == ["build_sessions"]


@pytest.mark.parametrize("end", [ValueError("half of it written"), KeyboardInterrupt()])
def test_a_repeated_stage_that_ended_half_way_is_not_finished_with_its_older_rows(
    spark: SparkSession, tmp_path: Path, end: BaseException
) -> None:
    config, night = write_config(tmp_path), Night()
    night_of(config, night)
    night.sees["ingest_events"], night.does["build_sessions"] = "new files", raising(end)
    with pytest.raises(type(end)):  # KeyboardInterrupt stands for a kill: nothing is recorded after it
        night_of(config, night)
    night.sees["ingest_events"] = ""  # as at first, but users may hold half of what the new files gave
    night.does.clear()
    night.executed()
    night_of(config, night)
    assert night.executed() == ["ingest_events", "build_sessions"]
    said = {message for stage, message in ledger(spark, tmp_path, "stage", "message") if stage == "build_sessions"}
    assert said == {None, str(end) or "did not end: the run was killed"}
    keys = ledger(spark, tmp_path, "run_id", "stage")
    assert len(set(keys)) == len(keys)


def test_a_stage_that_fails_before_it_knows_its_inputs_still_leaves_a_row(spark: SparkSession, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    stage = Stage(
        name="ingest_events",
        body=lambda run: {},
        reads=(),
        writes=(),
        fingerprint=raising(InputError("logs/*.json: no file")),  # type: ignore[arg-type]
    )
    with pytest.raises(InputError), open_run(command(config)) as run:
        run.execute(stage)
    wanted = [("ingest_events", "failed", "logs/*.json: no file", "unknown")]
    assert ledger(spark, tmp_path, "stage", "status", "message", "input_hash") == wanted


def test_a_stage_waits_for_the_one_before_it(spark: SparkSession, tmp_path: Path) -> None:
    config, night = write_config(tmp_path), Night()
    with open_run(command(config)) as run, pytest.raises(InputError) as caught:
        run.execute(night.stage("build_sessions"))
    assert str(caught.value) == (
        "table runs: ingest_events has not finished for run date 2024-01-31, wanted by build_sessions; "
        "run it first, or jobs/nightly.py"
    )
    assert night.executed() == []


def test_a_failure_that_cannot_be_recorded_does_not_hide_what_failed(spark: SparkSession, tmp_path: Path) -> None:
    config, night = write_config(tmp_path), Night()

    def lose_the_ledger(_: object) -> None:
        (tmp_path / "warehouse" / "runs" / "_delta_log").rename(tmp_path / "away")
        raise ValueError("first")

    night.does["ingest_events"] = lose_the_ledger
    with pytest.raises(ValueError, match="first"):
        night_of(config, night)


def test_a_lost_lease_stops_the_run_before_a_stage(spark: SparkSession, tmp_path: Path) -> None:
    night = Night()
    with open_run(command(write_config(tmp_path))) as run:
        run.check_lock = partial(raising(PublishError("lost")), run)
        with pytest.raises(PublishError, match="lost"):
            run.execute(night.stage("ingest_events"))
    assert night.executed() == []


def test_a_run_knows_its_date_its_cutoff_and_its_start(spark: SparkSession, tmp_path: Path) -> None:
    with open_run(command(write_config(tmp_path), "timezone=Europe/Berlin")) as run:
        assert run.cutoff.end_of(run.run_date).isoformat() == "2024-01-31T23:00:00+00:00"
        assert run.started_at.tzinfo is UTC
        assert run.run_id.startswith("20240131-")
        assert run.warehouse.run_id == run.run_id


def test_log_lines_name_run_and_stage(spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "intentrec")
    with open_run(command(write_config(tmp_path))) as run:
        run.execute(Night().stage("ingest_events"))
        assert f"{run.run_id} ingest_events started" in caplog.messages
        assert any(message.endswith("s: rows 3, a 1") for message in caplog.messages)
        run.refuse("worse")
        assert run.refusals == ["worse"]
        assert caplog.records[-1].levelname == "WARNING"


def test_every_place_where_a_stage_can_be_ended_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CRASH_VARIABLE, raising=False)
    stage = replace(Night().stage("build_sessions"), remembers=(USERS,), files=("model",))
    assert stage.crash_points == [
        "build_sessions:start", "users:before_commit", "users:after_commit", "users:before_layout",
        "users:after_layout", "model:before_sync", "model:before_rename", "model:after_rename",
        "build_sessions:before_record", "build_sessions:after_record",
    ]  # fmt: skip
