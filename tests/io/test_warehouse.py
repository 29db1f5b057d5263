"""Every write and read of the warehouse, in a folder and in Spark's own catalog."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.frames import assert_frames_equal

from intentrec.errors import ConfigError, InputError, SchemaError
from intentrec.io import Warehouse
from intentrec.tables import (
    ALL,
    EVENTS,
    HISTORIES,
    ITEMS,
    METRICS,
    MODELS,
    RUNS,
    SESSIONS,
    USERS,
    VOCABULARY,
    Table,
)

MONDAY, TUESDAY, WEDNESDAY = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)
NOON = datetime(2024, 1, 1, 12)  # noqa: DTZ001 what Spark gives in UTC


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    place = tmp_path_factory.mktemp("ware house")  # a space, as on many desks
    warehouse = Warehouse(spark, str(place), in_catalog=False, run_id="night-1")
    warehouse.create()
    return warehouse


@pytest.fixture(scope="module")
def catalog(spark: SparkSession) -> Iterator[Warehouse]:
    warehouse = Warehouse(spark, "spark_catalog.shop", in_catalog=True, run_id="night-1")
    warehouse.create()
    yield warehouse
    spark.sql("DROP SCHEMA spark_catalog.shop CASCADE")


@pytest.fixture(params=["folder", "catalog"])
def warehouse(request: pytest.FixtureRequest) -> Warehouse:
    found: Warehouse = request.getfixturevalue(request.param)
    return found


def vocabulary(spark: SparkSession, *rows: tuple[date, str, int]) -> DataFrame:
    return spark.createDataFrame([(*row, NOON) for row in rows], VOCABULARY.schema)


def users(spark: SparkSession, *rows: tuple[date, str]) -> DataFrame:
    return spark.createDataFrame([(*row, None, [], "r") for row in rows], USERS.schema)


def event(event_id: str, day: date) -> tuple[object, ...]:
    return (event_id, "u", "i", "view", NOON, 0, None, [], day, "f", 1, "r", NOON)


def promised(table: Table) -> list[tuple[str, str, bool, str]]:
    return [(c.name, c.dataType.simpleString(), c.nullable, c.metadata["comment"]) for c in table.schema]


def test_create_makes_every_table_with_types_not_null_and_comments(warehouse: Warehouse) -> None:
    for table in ALL:
        made = warehouse.read(table).schema
        assert [(c.name, c.dataType.simpleString(), c.nullable, c.metadata["comment"]) for c in made] == promised(table)


def test_create_gives_each_table_its_partitions_constraints_properties_and_description(warehouse: Warehouse) -> None:
    for table in (SESSIONS, EVENTS, METRICS):
        detail = warehouse.delta(table).detail().first()
        assert detail is not None
        assert tuple(detail["partitionColumns"]) == table.partition
        assert detail["description"] == f"One row per {table.row}."
        checks = {f"delta.constraints.{name}": check for name, check in table.checks.items()}
        assert detail["properties"] == {**table.properties, **checks}


def test_create_leaves_what_exists_as_it_is(warehouse: Warehouse) -> None:
    warehouse.create([HISTORIES])
    assert warehouse.version(HISTORIES) == 0


def test_constraints_and_not_null_are_enforced(spark: SparkSession, folder: Warehouse) -> None:
    with pytest.raises(Exception, match="CHECK constraint index_from_one"):
        folder.append(VOCABULARY, vocabulary(spark, (MONDAY, "a", 0)))
    nothing = vocabulary(spark, (MONDAY, "a", 1)).withColumn("item_id", F.lit(None).cast("string"))
    with pytest.raises(Exception, match="NOT NULL constraint violated for column: item_id"):
        folder.append(VOCABULARY, nothing)


def test_rows_are_appended_replaced_and_deleted_in_signed_commits(spark: SparkSession, warehouse: Warehouse) -> None:
    warehouse.append(VOCABULARY, vocabulary(spark, (MONDAY, "a", 1), (TUESDAY, "b", 1), (WEDNESDAY, "c", 1)))
    for _ in range(2):  # twice equals once
        rows = vocabulary(spark, (MONDAY, "x", 1), (TUESDAY, "y", 1))
        warehouse.replace(VOCABULARY, rows, run_date=[MONDAY, TUESDAY])
    after = vocabulary(spark, (MONDAY, "x", 1), (TUESDAY, "y", 1), (WEDNESDAY, "c", 1))
    assert_frames_equal(warehouse.read(VOCABULARY), after)

    warehouse.replace(VOCABULARY, vocabulary(spark), run_date=TUESDAY)
    warehouse.delete(VOCABULARY, run_date=WEDNESDAY, item_id=["c", "z"])
    assert_frames_equal(warehouse.read(VOCABULARY), vocabulary(spark, (MONDAY, "x", 1)))
    warehouse.empty(VOCABULARY)
    assert_frames_equal(warehouse.read(VOCABULARY), vocabulary(spark))

    assert warehouse.version(VOCABULARY) == 6
    history = warehouse.delta(VOCABULARY).history()
    assert {row["userMetadata"] for row in history.select("userMetadata").collect()} == {"run night-1"}
    detail = warehouse.delta(VOCABULARY).detail().first()
    assert detail is not None
    assert detail["partitionColumns"] == ["run_date"]


def test_an_old_version_stays_readable_with_its_rows_and_files(spark: SparkSession, warehouse: Warehouse) -> None:
    warehouse.append(USERS, users(spark, (MONDAY, "old")))
    pinned = warehouse.version(USERS)
    files = warehouse.files(USERS, pinned)
    warehouse.replace(USERS, users(spark, (MONDAY, "new")), run_date=MONDAY)
    assert_frames_equal(warehouse.read(USERS, pinned), users(spark, (MONDAY, "old")))
    assert_frames_equal(warehouse.read(USERS), users(spark, (MONDAY, "new")))
    assert warehouse.files(USERS, pinned) == files
    assert warehouse.files(USERS) != files
    warehouse.empty(USERS)


def test_the_newest_commit_counts_also_beside_a_checkpoint(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(spark, str(tmp_path), in_catalog=False)
    warehouse.create([USERS])
    for number in range(1, 12):  # Delta writes a checkpoint with commit 10
        warehouse.set_layout(USERS, str(number))
        assert warehouse.version(USERS) == number
    assert [path.name for path in (tmp_path / "users" / "_delta_log").glob("*10.checkpoint*")]
    newest = warehouse.delta(USERS).history(1).first()
    assert newest is not None
    assert newest["version"] == 11


def test_a_row_outside_of_the_replaced_partitions_is_refused(spark: SparkSession, warehouse: Warehouse) -> None:
    rows = vocabulary(spark, (MONDAY, "x", 1), (TUESDAY, "y", 1))
    with pytest.raises(AnalysisException, match="DELTA_REPLACE_WHERE_MISMATCH"):
        warehouse.replace(VOCABULARY, rows, run_date=MONDAY)
    with pytest.raises(ValueError, match="table vocabulary: rows were given for no value of run_date"):
        warehouse.replace(VOCABULARY, rows, run_date=[])
    assert_frames_equal(warehouse.read(VOCABULARY), vocabulary(spark))


def test_no_value_means_that_nothing_is_done(spark: SparkSession, folder: Warehouse) -> None:
    before = folder.version(USERS)
    folder.replace(USERS, users(spark), run_date=[])
    folder.delete(USERS, run_date=())
    assert folder.version(USERS) == before


def test_rows_of_a_table_without_partitions_are_replaced_by_value(spark: SparkSession, folder: Warehouse) -> None:
    def run(run_id: str, stage: str, status: str) -> tuple[object, ...]:
        return (run_id, MONDAY, stage, status, NOON, NOON, [], [], "i", "c", "v", [], None)

    rows = [run("r-1", "ingest_events", "started"), run("r-1", "build_sessions", "finished")]
    folder.append(RUNS, spark.createDataFrame(rows, RUNS.schema))
    done = spark.createDataFrame([run("r-1", "ingest_events", "finished")], RUNS.schema)
    folder.replace(RUNS, done, run_id="r-1", stage="ingest_events")
    wanted = [run("r-1", "ingest_events", "finished"), run("r-1", "build_sessions", "finished")]
    assert_frames_equal(folder.read(RUNS), spark.createDataFrame(wanted, RUNS.schema))


def test_only_rows_of_the_table_are_written(spark: SparkSession, folder: Warehouse) -> None:
    with pytest.raises(SchemaError, match=r"table vocabulary: column item_index must be int, is missing"):
        folder.append(VOCABULARY, vocabulary(spark).drop("item_index"))
    with pytest.raises(SchemaError, match=r"column item_index must be int, is bigint"):
        folder.replace(VOCABULARY, vocabulary(spark).withColumn("item_index", F.lit(1).cast("bigint")), run_date=MONDAY)


def test_a_row_is_claimed_only_where_it_is_missing_or_free(spark: SparkSession, catalog: Warehouse) -> None:
    warehouse = catalog
    free = F.col("held.item_index") < F.col("claimed.item_index")
    for index in (5, 4, 6):  # 4 is not above 5, so it changes nothing
        warehouse.claim(VOCABULARY, vocabulary(spark, (MONDAY, "a", index)), free)
        wanted = {5: 5, 4: 5, 6: 6}[index]
        assert_frames_equal(warehouse.read(VOCABULARY), vocabulary(spark, (MONDAY, "a", wanted)))
    warehouse.empty(VOCABULARY)


def test_files_are_listed_in_writing_order_by_whole_partitions(spark: SparkSession, warehouse: Warehouse) -> None:
    rows = [(day, f"{day.day}-{number:02}", number + 1) for day in (TUESDAY, MONDAY) for number in range(25)]
    ordered = vocabulary(spark, *rows).repartitionByRange(2, "item_index").sortWithinPartitions("run_date", "item_id")
    spark.conf.set("spark.sql.files.maxRecordsPerFile", 1)
    warehouse.replace(VOCABULARY, ordered, run_date=[MONDAY, TUESDAY])
    spark.conf.unset("spark.sql.files.maxRecordsPerFile")
    paths = [unquote(url) for url in warehouse.files(VOCABULARY)]  # Spark takes % for a character like any other
    read = [spark.read.parquet(path).select("item_id").collect() for path in paths[::5]]
    assert [row["item_id"] for rows in read for row in rows] == [
        f"{day}-{number:02}" for day in (1, 2) for number in (0, 5, 10, 15, 20)
    ]
    tuesday = warehouse.files(VOCABULARY, run_date=TUESDAY)
    assert tuesday == [url for url in warehouse.files(VOCABULARY) if "run_date=2024-01-02" in url]
    assert len(tuesday) == 25
    with pytest.raises(AssertionError, match="whole partitions only"):
        warehouse.files(VOCABULARY, item_id="1-00")
    warehouse.empty(VOCABULARY)


def test_the_rows_that_later_commits_added_can_be_read(spark: SparkSession, warehouse: Warehouse) -> None:
    def events(*names: str) -> DataFrame:
        return spark.createDataFrame([event(name, MONDAY) for name in names], EVENTS.schema)

    first = warehouse.version(EVENTS)
    warehouse.append(EVENTS, events("a"))
    second = warehouse.version(EVENTS)
    warehouse.append(EVENTS, events("b", "c"))
    warehouse.set_layout(EVENTS, "{}")
    assert_frames_equal(warehouse.inserted_since(EVENTS, first), events("a", "b", "c"))
    assert_frames_equal(warehouse.inserted_since(EVENTS, second), events("b", "c"))
    assert_frames_equal(warehouse.inserted_since(EVENTS, warehouse.version(EVENTS)), events())


def test_a_layout_is_remembered_to_the_letter(warehouse: Warehouse) -> None:
    assert warehouse.layout(SESSIONS) is None
    for text in ('{"gap_minutes": 30}', """{"sep": "'; DROP TABLE x --", "quote": "\\\\"}"""):
        warehouse.set_layout(SESSIONS, text)
        assert warehouse.layout(SESSIONS) == text
    detail = warehouse.delta(SESSIONS).detail().first()
    assert detail is not None
    assert detail["properties"]["delta.constraints.in_order"] == SESSIONS.checks["in_order"]


def test_a_missing_table_is_named_with_its_writer(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Warehouse(spark, str(tmp_path), in_catalog=False).read(ITEMS)
    assert str(caught.value) == f"table items: not found in {tmp_path}, wanted the one that ingest_events writes"
    with pytest.raises(InputError, match=r"table items: not found in spark_catalog.none, wanted"):
        Warehouse(spark, "spark_catalog.none", in_catalog=True).read(ITEMS)


def test_a_table_whose_columns_are_not_ours_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(1).write.format("delta").save(str(tmp_path / "users"))
    warehouse = Warehouse(spark, str(tmp_path), in_catalog=False)
    for touch in (warehouse.read, lambda table: warehouse.create([table])):
        with pytest.raises(SchemaError) as caught:
            touch(USERS)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith("table users: column run_date must be date, is missing; column user_id ")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("00000000000000000000.json", "garbage", "FAILED_READ_FILE"),
        ("00000000000000000003.json", "{}", "DELTA_TRUNCATED_TRANSACTION_LOG"),
        ("other.txt", "", "DELTA_TABLE_NOT_FOUND"),
    ],
)
def test_a_broken_log_is_refused_in_one_line(
    spark: SparkSession, tmp_path: Path, file: str, text: str, said: str
) -> None:
    log = tmp_path / "models" / "_delta_log"
    log.mkdir(parents=True)
    (log / file).write_text(text)
    with pytest.raises(SchemaError) as caught:
        Warehouse(spark, str(tmp_path), in_catalog=False).read(MODELS)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"table models: {tmp_path} holds no readable Delta table of this name: ")
    assert said in str(caught.value)
    assert str(caught.value).endswith("where intentrec may make this table, or restore it")


def test_a_file_where_a_table_should_be_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "users").write_text("mine")
    with pytest.raises(SchemaError, match=r"table users: .* holds no readable Delta table of this name"):
        Warehouse(spark, str(tmp_path), in_catalog=False).create([USERS])
    assert (tmp_path / "users").read_text() == "mine"


def test_a_table_of_another_format_in_the_schema_is_refused(spark: SparkSession) -> None:
    spark.sql("CREATE SCHEMA spark_catalog.foreign_shop")
    spark.createDataFrame([], USERS.schema).write.format("parquet").saveAsTable("foreign_shop.users")
    with pytest.raises(SchemaError, match=r"table users: spark_catalog.foreign_shop holds no readable Delta table"):
        Warehouse(spark, "spark_catalog.foreign_shop", in_catalog=True).create([USERS])
    spark.sql("DROP SCHEMA spark_catalog.foreign_shop CASCADE")


def test_a_catalog_that_spark_does_not_know_is_a_wrong_config(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match=r"warehouse: nowhere.shop names a catalog that Spark cannot load") as caught:
        Warehouse(spark, "nowhere.shop", in_catalog=True)
    assert "\n" not in str(caught.value)
