"""How far back files are kept, and which partitions are written anew."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.ledger.nights import command, write_config

from intentrec.keeping.maintaining import cluster_small_files, hours_to_keep
from intentrec.ledger import Run
from intentrec.sessions import Built
from intentrec.tables import EVENTS, ITEMS, SESSIONS, USER_INTENTS

NOW = datetime(2024, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path) -> Run:
    return Run(command(write_config(tmp_path), "maintenance.retention_hours=2"), spark, "r1")


def test_files_of_a_night_under_way_stay_from_its_beginning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hours_to_keep(run, ITEMS, NOW, held=True) == 2
    began = NOW - timedelta(hours=5)
    monkeypatch.setattr("intentrec.keeping.maintaining.running_since", lambda _: began)
    assert hours_to_keep(run, ITEMS, NOW, held=False) == pytest.approx(5 + 1 / 60)
    monkeypatch.setattr("intentrec.keeping.maintaining.running_since", lambda _: NOW - timedelta(minutes=1))
    assert hours_to_keep(run, ITEMS, NOW, held=False) == pytest.approx(2 + 1 / 60)
    monkeypatch.setattr("intentrec.keeping.maintaining.running_since", lambda _: None)  # it has just ended
    assert hours_to_keep(run, ITEMS, NOW, held=False) == pytest.approx(2 + 1 / 60)


def test_events_that_no_session_holds_yet_are_kept(run: Run) -> None:
    run.warehouse.create([EVENTS, SESSIONS])
    built = Built({}, date(2024, 1, 30), run.warehouse.version(EVENTS), 0)
    run.warehouse.set_layout(SESSIONS, built.text())
    now = datetime.now(UTC) + timedelta(hours=9)
    assert hours_to_keep(run, EVENTS, now, held=True) == 2
    run.warehouse.set_layout(EVENTS, json.dumps({}))
    assert hours_to_keep(run, EVENTS, now, held=True) == pytest.approx(9, abs=0.2)


def test_partitions_of_several_small_files_are_written_anew_once(run: Run) -> None:
    run.warehouse.create([USER_INTENTS])

    def append(day: int, *names: str) -> None:
        rows = [(date(2024, 1, day), name, [], [], None, [], "m", "r", None) for name in names]
        run.warehouse.append(USER_INTENTS, run.spark.createDataFrame(rows, USER_INTENTS.schema).coalesce(1))

    append(1, "ann", "eve")
    append(1, "bob")
    append(2, "ann")
    assert cluster_small_files(run, USER_INTENTS) == 1
    assert len(run.warehouse.files(USER_INTENTS)) == 2
    assert run.warehouse.read(USER_INTENTS).count() == 4
    assert cluster_small_files(run, USER_INTENTS) == 0
