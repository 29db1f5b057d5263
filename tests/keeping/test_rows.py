"""Which tables know users, and what happens to those beside them."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.ledger.nights import command, write_config

from intentrec.events import Erased
from intentrec.keeping.rows import (
    REDACTED,
    remove_users,
    rename_values,
    sessions_follow,
    shared_values,
    tables_to_purge,
    tables_with_users,
)
from intentrec.ledger import Run
from intentrec.sessions import Built
from intentrec.tables import (
    ALL,
    ERASED_USERS,
    EVENTS,
    FEATURE_VOCABULARY,
    GATE_DECISIONS,
    INGESTED_FILES,
    ITEMS,
    METRICS,
    MODELS,
    RUNS,
    SEGMENT_RECOMMENDATIONS,
    SESSIONS,
    SIMILAR_ITEMS,
    VOCABULARY,
)

DAY = date(2024, 1, 31)
NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)
# A table that joins these holds nobody: no id, no row of one user, no text from outside.
HOLD_NOBODY = {
    table.name
    for table in (
        INGESTED_FILES, ITEMS, VOCABULARY, MODELS, METRICS, SEGMENT_RECOMMENDATIONS, SIMILAR_ITEMS, ERASED_USERS,
    )
}  # fmt: skip


def test_every_table_is_known_to_hold_users_or_nobody(spark: SparkSession) -> None:
    hold_users = {table.name for table in tables_to_purge()}
    assert {table.name for table in ALL} == hold_users | HOLD_NOBODY, "say in keeping/rows.py or here what it holds"
    assert not hold_users & HOLD_NOBODY
    assert tables_with_users()[-1] is EVENTS


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path) -> Run:
    return Run(command(write_config(tmp_path)), spark, "r1")


@pytest.mark.parametrize(("taken_in", "generation"), [(True, 4), (False, -1)])
def test_sessions_go_on_from_the_new_version_or_are_built_again(run: Run, taken_in: bool, generation: int) -> None:
    run.warehouse.create([EVENTS, SESSIONS])
    run.warehouse.set_layout(EVENTS, "{}")
    built = Built({"sessions.gap_minutes": 30}, DAY, run.warehouse.version(EVENTS) - (not taken_in), 4)
    run.warehouse.set_layout(SESSIONS, built.text())
    with sessions_follow(run):
        run.warehouse.set_layout(EVENTS, "{} ")
    now = Built.from_text(run.warehouse.layout(SESSIONS))
    assert now == Built(built.settings, DAY, run.warehouse.version(EVENTS), generation)


def test_messages_that_name_a_user_are_replaced_in_their_place(run: Run) -> None:
    run.warehouse.create([RUNS])
    messages = ("user_id 'ann' stands twice", "joanna stands once", None)
    rows = [
        (f"r{number}", DAY, "ingest_events", "failed", NOON, NOON, [], [], "", "", "", [], message)
        for number, message in enumerate(messages)
    ]
    run.warehouse.append(RUNS, run.spark.createDataFrame(rows, RUNS.schema))
    run.warehouse.create([GATE_DECISIONS])
    decisions = [
        (DAY, "m", "withdrawn", None, None, [], reason, "r", NOON) for reason in ("user ann complained", "all socks")
    ]
    run.warehouse.append(GATE_DECISIONS, run.spark.createDataFrame(decisions, GATE_DECISIONS.schema))
    counters = [("rows", 9), ("rule_exclude:no tea for ann", 3), ("rule_exclude:no tea", 2)]
    counted = ("r9", DAY, "write_recommendations", "finished", NOON, NOON, [], [], "", "", "", counters, None)
    run.warehouse.append(RUNS, run.spark.createDataFrame([counted], RUNS.schema))
    erased = Erased.of(b"k" * 16, ["ann"])
    assert remove_users(run, ["ann"], erased) == {"runs": 2, "gate_decisions": 1}
    assert {row["reason"] for row in run.warehouse.read(GATE_DECISIONS).collect()} == {REDACTED, "all socks"}
    (kept,) = run.warehouse.read(RUNS).where("run_id = 'r9'").collect()
    assert [tuple(pair) for pair in kept["counters"]] == [counters[0], (REDACTED, 3), counters[2]]
    told = [row["message"] for row in run.warehouse.read(RUNS).where("run_id < 'r9'").orderBy("run_id").collect()]
    assert told == [REDACTED, *messages[1:]]


def test_a_feature_value_that_is_an_id_gets_a_name_unless_others_have_it_for_something_else(run: Run) -> None:
    run.warehouse.create([FEATURE_VOCABULARY, EVENTS, ITEMS])
    values = [
        (DAY, "friend", "bob", 1), (DAY, "friend", "5", 2), (DAY, "device", "5", 1), (DAY, "action", "5", 1),
        (DAY, "categories", "5", 1), (DAY, "friend", "ann", 3),
    ]  # fmt: skip
    run.warehouse.append(FEATURE_VOCABULARY, run.spark.createDataFrame(values, FEATURE_VOCABULARY.schema))
    event = ("e1", "bob", "i1", "5", NOON, 0, None, [("device", "5")], DAY, "a.json", 1, "r", NOON)
    run.warehouse.append(EVENTS, run.spark.createDataFrame([event], EVENTS.schema))
    item = (DAY, "i1", None, ["5"], None, True, [], "r")
    run.warehouse.append(ITEMS, run.spark.createDataFrame([item], ITEMS.schema))
    shared = shared_values(run, ["5", "ann"])
    assert shared == {("device", "5"), ("action", "5"), ("categories", "5")}
    assert rename_values(run, ["5", "ann"], shared) == {"feature_vocabulary": 2}
    left = {(row["field"], row["value"]) for row in run.warehouse.read(FEATURE_VOCABULARY).collect()}
    assert left == {*shared, ("friend", "bob"), ("friend", "erased 2"), ("friend", "erased 3")}
    assert rename_values(run, ["5", "ann"], shared) == {}
