"""What a run reads as its night, from tables that hold other nights too."""

from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from pyspark.sql import SparkSession
from tests.frames import assert_frames_equal
from tests.ledger.nights import DAY, command, write_config

from intentrec.errors import InputError
from intentrec.examples import Encoding, Shape
from intentrec.ledger import Run, counted, night_of, pinned_examples, tonight
from intentrec.tables import EXAMPLES, FEATURE_VOCABULARY, ITEMS, RUNS, SESSIONS, VOCABULARY

BEFORE = date(2024, 1, 30)
NOON = datetime(2024, 1, 30, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def config(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A row of tonight and one of the night before in every table; sessions belong to no night."""
    file = write_config(tmp_path_factory.mktemp("nights"))
    tables = Run(command(file), spark, "seed").warehouse
    event = (NOON, 0, "e", "tea", "view", None, [])
    rows = {
        SESSIONS: [("s", "ann", NOON, NOON, 1, [event], [], NOON, BEFORE, "r")],
        ITEMS: [(day, "tea", f"of {day}", [], None, True, [], "r") for day in (BEFORE, DAY)],
        VOCABULARY: [(day, "tea", day.day, NOON) for day in (BEFORE, DAY)],
        FEATURE_VOCABULARY: [(day, "action", "view", day.day) for day in (BEFORE, DAY)],
        EXAMPLES: [(day, "train", 8, day.day, 2, [0] * 8, [0] * 8, [0.0] * 8, []) for day in (BEFORE, DAY)],
    }
    tables.create(rows)
    for table, own in rows.items():
        tables.append(table, spark.createDataFrame(own, table.schema))
    return file


def test_a_night_is_made_of_the_run_dates_rows_and_the_configs_settings(spark: SparkSession, config: Path) -> None:
    settings = [
        "input.actions={view: 1.0, buy: {weight: 5.0}}", "examples.event_features=[action, categories]",
        "examples.max_categories=3", "examples.history_length=50", "examples.window_days=7", "timezone=Asia/Tokyo",
        "recommendations.seen={actions: [buy], days: 9}",
    ]  # fmt: skip
    night = night_of(Run(command(config, *settings), spark, "r"))
    assert night.encoding == Encoding(("action", "categories"), 3, {"view": 1.0, "buy": 5.0})
    assert (night.run_date, night.shape, night.window_days) == (DAY, Shape(DAY, 50, 4), 7)
    assert night.end() == datetime(2024, 1, 31, 15, tzinfo=UTC)
    assert night.seen is not None
    assert (night.seen.actions, night.seen.days) == (("buy",), 9)
    assert [row["title"] for row in night.items.collect()] == ["of 2024-01-31"]
    assert [row["item_index"] for row in night.vocabulary.collect()] == [31]
    assert [row["value_index"] for row in night.features.collect()] == [31]
    assert [row["session_id"] for row in night.sessions.collect()] == ["s"]


def test_a_log_without_declared_actions_has_no_weights(spark: SparkSession, config: Path) -> None:
    assert night_of(Run(command(config), spark, "r")).encoding.weights is None


def test_examples_are_pinned_to_a_version_and_to_the_files_of_tonight(spark: SparkSession, config: Path) -> None:
    run = Run(command(config), spark, "r")
    rows, files = pinned_examples(run)
    expected = tonight(run, EXAMPLES).collect()
    run.warehouse.delete(EXAMPLES, run_date=DAY)  # another run replaces them while this one trains
    assert rows.collect() == expected
    assert [row["row_id"] for row in expected] == [31]
    (file,) = files
    assert "/run_date=2024-01-31/split=train/length_bucket=8/" in unquote(file)
    assert_frames_equal(spark.read.parquet(file).select("row_id"), spark.createDataFrame([(31,)], "row_id BIGINT"))


def test_examples_that_a_vacuum_may_take_while_they_are_read_are_refused(
    spark: SparkSession, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(command(config), spark, "r")
    assert run.warehouse.properties(EXAMPLES)["delta.deletedFileRetentionDuration"] == "interval 30 days"
    monkeypatch.setattr(
        run.warehouse, "properties", lambda table: {"delta.deletedFileRetentionDuration": "interval 1 hour"}
    )
    with pytest.raises(InputError) as caught:
        pinned_examples(run)
    assert str(caught.value) == (
        "table examples: files of older versions are kept for 1:00:00, wanted at least 2 days, 0:00:00, or a vacuum "
        "may take them from a training; set delta.deletedFileRetentionDuration to 'interval 30 days'"
    )


def test_counters_of_all_finished_runs_of_a_date_are_added_up(spark: SparkSession, config: Path) -> None:
    run = Run(command(config), spark, "r")
    own = [
        ("r1", BEFORE, "ingest_events", "finished", 4), ("r2", BEFORE, "ingest_events", "finished", 3),
        ("r3", BEFORE, "ingest_events", "failed", 50), ("r3", BEFORE, "build_sessions", "finished", 60),
        ("r4", DAY, "ingest_events", "finished", 9),
    ]  # fmt: skip
    run.warehouse.create([RUNS])
    rows = [
        (run_id, day, stage, status, NOON, NOON, [], [], "", "", "", [("rows_new", rows), ("rows_read", 99)], None)
        for run_id, day, stage, status, rows in own
    ]
    run.warehouse.append(RUNS, spark.createDataFrame(rows, RUNS.schema))
    assert counted(run, "ingest_events", "rows_new") == {BEFORE: 7, DAY: 9}
