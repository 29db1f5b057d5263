"""Rows leave and change by key, files are merged, old versions go for good: every other row stays as it is."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.frames import assert_frames_equal
from tests.searching import places_of

from intentrec.io import Warehouse
from intentrec.io.upkeep import change_rows, cluster, purge, remove_rows, size_of, storage_of, vacuum
from intentrec.tables import EVENTS_QUARANTINE, EXAMPLES, USERS

MONDAY, TUESDAY = date(2024, 1, 1), date(2024, 1, 2)
NAMES = ("ann-of-the-north", "bob-of-the-south", "eve-of-the-east")


@pytest.fixture(params=["folder", "catalog"])
def warehouse(request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> Iterator[Warehouse]:
    if request.param == "folder":
        yield Warehouse(spark, str(tmp_path), in_catalog=False)
        return
    yield Warehouse(spark, "spark_catalog.upkeep", in_catalog=True)
    spark.sql("DROP SCHEMA IF EXISTS spark_catalog.upkeep CASCADE")


def users(spark: SparkSession, day: date, *names: str) -> DataFrame:
    return spark.createDataFrame([(day, name, None, [], "r") for name in names], USERS.schema)


def test_a_purged_table_holds_its_rows_and_no_trace_of_those_that_left(
    spark: SparkSession, warehouse: Warehouse
) -> None:
    warehouse.create([USERS])
    warehouse.append(USERS, users(spark, MONDAY, *NAMES))
    warehouse.append(USERS, users(spark, TUESDAY, *NAMES))
    remove_rows(warehouse, USERS, spark.createDataFrame([(NAMES[0],)], "user_id STRING"))
    place = Path(warehouse.place_of(USERS).removeprefix("file:"))
    assert places_of(NAMES[0], place)  # in old versions and in the log's statistics
    gone = purge(warehouse, USERS)
    assert places_of(NAMES[0], place) == []
    assert [name for name in gone if (place / name).exists()] == []
    assert {Path(name).suffix for name in gone} >= {".parquet", ".json"}
    left = users(spark, MONDAY, *NAMES[1:]).unionByName(users(spark, TUESDAY, *NAMES[1:]))
    assert_frames_equal(warehouse.read(USERS), left)
    properties = warehouse.delta(USERS).detail().first()["properties"]
    assert not {"delta.checkpointInterval", "delta.deletedFileRetentionDuration"} & properties.keys()
    warehouse.append(USERS, users(spark, TUESDAY, "zoe"))
    assert warehouse.read(USERS).count() == 5


def test_a_purge_gives_declared_properties_back(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(spark, str(tmp_path), in_catalog=False)
    warehouse.create([EXAMPLES])
    purge(warehouse, EXAMPLES)
    properties = warehouse.delta(EXAMPLES).detail().first()["properties"]
    assert properties == EXAMPLES.properties


def test_rows_are_removed_and_changed_by_values_of_which_null_is_one(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(spark, str(tmp_path), in_catalog=False)
    warehouse.create([EVENTS_QUARANTINE])
    rows = [(MONDAY, "f", line, "raw", "bad_id", None, "sha", "r") for line in (None, 1, 2)]
    warehouse.append(EVENTS_QUARANTINE, spark.createDataFrame(rows, EVENTS_QUARANTINE.schema))
    keys = "source_file STRING, line BIGINT"
    remove_rows(warehouse, EVENTS_QUARANTINE, spark.createDataFrame([("f", None), ("g", 1)], keys))
    found = spark.createDataFrame([("f", 2, "new")], f"{keys}, now STRING")
    change_rows(warehouse, EVENTS_QUARANTINE, found, {"raw": F.concat("found.now", "held.reason")})
    left = warehouse.read(EVENTS_QUARANTINE).orderBy("line").select("line", "raw").collect()
    assert [tuple(row) for row in left] == [(1, "raw"), (2, "newbad_id")]


def test_small_files_become_one_and_old_ones_stay_as_long_as_is_asked(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(spark, str(tmp_path), in_catalog=False)
    warehouse.create([USERS])
    for name in NAMES[:2]:
        warehouse.append(USERS, users(spark, MONDAY, name).coalesce(1))
    warehouse.append(USERS, users(spark, TUESDAY, NAMES[2]).coalesce(1))
    before = warehouse.version(USERS)
    cluster(warehouse, USERS, "user_id", {"run_date": [MONDAY]})
    assert size_of(warehouse, USERS).files == 2
    vacuum(warehouse, USERS, 1.0)
    assert warehouse.read(USERS, before).count() == 3
    stored = size_of(warehouse, USERS)
    vacuum(warehouse, USERS, 0)
    assert size_of(warehouse, USERS).stored_files < stored.stored_files
    assert warehouse.read(USERS).count() == 3
    data = [name for name in storage_of(warehouse, USERS).sizes() if name.endswith(".parquet")]
    assert sorted(name.partition("/")[0] for name in data) == ["run_date=2024-01-01", "run_date=2024-01-02"]
    assert spark.conf.get("spark.databricks.delta.retentionDurationCheck.enabled") == "true"
