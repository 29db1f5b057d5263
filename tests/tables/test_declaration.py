"""A table's promise: exactly its columns, in order, with their types, or one line that says what is wrong."""

import pytest
from chispa import assert_df_equality
from pyspark.sql import SparkSession

from intentrec.errors import SchemaError
from intentrec.tables import Table

CLICKS = Table(
    name="clicks",
    row="click",
    writer="nobody",
    key=("user_id",),
    columns="""
        user_id  STRING                         NOT NULL  COMMENT 'who; with, a comma',
        items    ARRAY<STRUCT<item_id: STRING>> NOT NULL  COMMENT 'what',
        dwell_s  INT                                      COMMENT 'seconds'
    """,
)


def test_the_schema_keeps_types_comments_and_not_null(spark: SparkSession) -> None:
    user_id, items, dwell_s = CLICKS.schema
    assert (user_id.name, user_id.dataType.simpleString(), user_id.nullable) == ("user_id", "string", False)
    assert items.dataType.simpleString() == "array<struct<item_id:string>>"
    assert (dwell_s.nullable, dwell_s.metadata["comment"]) == (True, "seconds")
    assert user_id.metadata["comment"] == "who; with, a comma"


def test_conform_selects_exactly_the_columns_in_order(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(7, "extra", [("i1",)], "u1"), (None, "extra", [], "u2")],
        "dwell_s INT, more STRING, items ARRAY<STRUCT<item_id: STRING>>, user_id STRING",
    )
    wanted = spark.createDataFrame([("u1", [("i1",)], 7), ("u2", [], None)], CLICKS.schema)
    assert_df_equality(CLICKS.conform(rows), wanted, ignore_nullable=True, ignore_metadata=True, ignore_row_order=True)


def test_every_wrong_column_is_named_in_one_line(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("u1", 7)], "user_id STRING, dwell_s BIGINT")
    with pytest.raises(SchemaError) as refused:
        CLICKS.conform(rows)
    assert str(refused.value) == (
        "table clicks: column items must be array<struct<item_id:string>>, is missing; "
        "column dwell_s must be int, is bigint. "
        "Point `warehouse` at a place where intentrec made this table"
    )
