"""What a person has withdrawn is not published again, and what was decided of a night makes it run again."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.frames import assert_frames_equal
from tests.ledger.nights import DAY, command, write_config

from intentrec.errors import PublishError
from intentrec.io import Warehouse
from intentrec.ledger import Run, lists_fingerprint, publish_lists, withdrawal
from intentrec.ledger.command import translated
from intentrec.tables import GATE_DECISIONS, MODELS, RECOMMENDATIONS

BEFORE = DAY - timedelta(days=1)


def lists(spark: SparkSession, model: str):
    items = [(1, "tea", 1.0, "model", None, None, None)]
    return spark.createDataFrame([(DAY, "ann", items, model, "r", None)], RECOMMENDATIONS.schema)


def test_lists_are_published_unless_they_are_withdrawn_and_until_that_is_lifted(
    spark: SparkSession, tmp_path: Path
) -> None:
    run = Run(command(write_config(tmp_path)), spark, "20240131-r")
    run.warehouse.create([GATE_DECISIONS, MODELS, RECOMMENDATIONS])

    def decide(verdict: str, hour: int) -> None:
        row = (DAY, "m1", verdict, None, None, [], "all socks", "r", datetime(2024, 2, 1, hour, tzinfo=UTC))
        run.warehouse.append(GATE_DECISIONS, spark.createDataFrame([row], GATE_DECISIONS.schema))

    assert lists_fingerprint(run) == "first night"
    assert publish_lists(run, {RECOMMENDATIONS: lists(spark, "m1")})
    decide("withdrawn", 1)
    found = withdrawal(run)
    assert found is not None
    assert found["reason"] == "all socks"
    withdrawn = lists_fingerprint(run)
    assert withdrawn.splitlines() == ["first night", "withdrawn m1 2024-02-01T01:00:00+00:00"]
    assert not publish_lists(run, {RECOMMENDATIONS: lists(spark, "m2")})
    assert_frames_equal(run.warehouse.read(RECOMMENDATIONS), lists(spark, "m1"))  # only the job takes them away
    (refusal,) = run.refusals
    assert refusal == (
        f"table recommendations: the lists of {DAY} were withdrawn (all socks) and are not published again; they lie "
        "in recommendations_staged, and jobs/override.py --lift lets the next run publish"
    )
    decide("lifted", 2)
    assert lists_fingerprint(run).startswith(withdrawn)
    assert lists_fingerprint(run) != withdrawn
    assert publish_lists(run, {RECOMMENDATIONS: lists(spark, "m2")})
    assert_frames_equal(run.warehouse.read(RECOMMENDATIONS), lists(spark, "m2"))
    run.run_date = BEFORE  # another night is not concerned
    assert withdrawal(run) is None
    assert lists_fingerprint(run) == "first night"


def test_nothing_is_published_once_another_run_holds_the_warehouse(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(command(write_config(tmp_path)), spark, "20240131-r")
    run.warehouse.create([GATE_DECISIONS, RECOMMENDATIONS])

    def lost() -> None:
        raise PublishError("lost its lease")

    run.check_lock = lost
    with pytest.raises(PublishError, match="lost its lease"):
        publish_lists(run, {RECOMMENDATIONS: lists(spark, "m1")})
    assert run.warehouse.read(RECOMMENDATIONS).isEmpty()


def test_a_writer_who_loses_the_race_for_a_commit_ends_with_exit_code_6(spark: SparkSession, tmp_path: Path) -> None:
    first, second = (
        Warehouse(session, str(tmp_path), in_catalog=False, run_id=name)
        for session, name in ((spark, "first"), (spark.newSession(), "second"))
    )
    first.create([RECOMMENDATIONS])
    first.append(RECOMMENDATIONS, lists(spark, "m1"))
    started, go, errors = tmp_path / "started", tmp_path / "go", list[Exception]()

    def waiting(batches):
        """Hand the rows on once the other writer has committed: the commit of these began before."""
        started.touch()
        while not go.exists():
            time.sleep(0.02)
        yield from batches

    def publish() -> None:
        rows = first.read(RECOMMENDATIONS).coalesce(1)
        try:
            first.replace(RECOMMENDATIONS, rows.mapInArrow(waiting, RECOMMENDATIONS.schema), run_date=DAY)
        except Exception as error:  # noqa: BLE001 it is what the test is about
            errors.append(error)

    losing = threading.Thread(target=publish)
    losing.start()
    while not started.exists() and losing.is_alive():
        time.sleep(0.02)
    second.replace(RECOMMENDATIONS, lists(spark, "m2"), run_date=DAY)
    go.touch()
    losing.join()
    (error,) = errors
    known = translated(error)
    assert isinstance(known, PublishError)
    assert known.exit_code == 6
    assert "another writer changed the table; run again" in str(known)
    assert_frames_equal(first.read(RECOMMENDATIONS), lists(spark, "m2"))
