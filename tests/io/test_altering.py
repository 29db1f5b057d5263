"""A table of an earlier version comes to its present declaration, and what is not ours stays as it is."""

from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from intentrec.errors import SchemaError
from intentrec.io import Warehouse
from intentrec.io.altering import remove_property
from intentrec.tables import Table

BEFORE = Table(
    name="lists",
    row="user",
    writer="nobody",
    key=("user_id",),
    columns="""
        user_id  STRING                     NOT NULL  COMMENT 'who',
        items    ARRAY<STRUCT<rank: INT>>   NOT NULL  COMMENT 'what'
    """,
    checks={"some": "size(items) > 0"},
)
NOW = replace(
    BEFORE,
    columns="""
        user_id  STRING                                    NOT NULL  COMMENT 'who',
        segment  STRING                                              COMMENT 'of whom',
        items    ARRAY<STRUCT<reason: STRING, rank: INT>>  NOT NULL  COMMENT 'what'
    """,
)


def test_columns_and_nested_fields_are_added_in_their_place_and_old_rows_hold_null(
    spark: SparkSession, tmp_path: Path
) -> None:
    warehouse = Warehouse(spark, str(tmp_path), in_catalog=False)
    warehouse.create([BEFORE])
    warehouse.append(BEFORE, spark.createDataFrame([("ann", [(1,)])], BEFORE.schema))
    warehouse.create([NOW])
    version = warehouse.version(NOW)
    warehouse.create([NOW])
    assert warehouse.version(NOW) == version
    assert warehouse.read(NOW).schema["segment"].metadata["comment"] == "of whom"
    warehouse.append(NOW, spark.createDataFrame([("bob", "new", [("liked", 1)])], NOW.schema))
    assert sorted(map(tuple, warehouse.read(NOW).collect())) == [
        ("ann", None, [(None, 1)]),
        ("bob", "new", [("liked", 1)]),
    ]
    warehouse.alter(NOW, "check", remove_property(spark, "never.there"))
    assert "delta.constraints.some" in warehouse.delta(NOW).detail().first()["properties"]


def test_a_table_that_lacks_what_may_not_be_null_is_not_ours_and_stays(spark: SparkSession, tmp_path: Path) -> None:
    spark.createDataFrame([("ann",)], "user_id STRING").write.format("delta").save(str(tmp_path / "lists"))
    warehouse = Warehouse(spark, str(tmp_path), in_catalog=False)
    with pytest.raises(SchemaError, match="column segment must be string, is missing; column items must be"):
        warehouse.create([NOW])
    assert warehouse.version(NOW) == 0
