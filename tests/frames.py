"""Comparison of whole DataFrames."""

from chispa import assert_df_equality
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def assert_frames_equal(actual: DataFrame, expected: DataFrame) -> None:
    """Compare names, types and rows in any order; nullability apart, which Spark flips freely, inside arrays too."""
    types = {field.name: field.dataType.simpleString() for field in expected.schema}
    assert {field.name: field.dataType.simpleString() for field in actual.schema} == types
    columns = [F.col(field.name).cast(field.dataType).alias(field.name) for field in expected.schema]
    assert_df_equality(
        actual.select(columns), expected, ignore_row_order=True, ignore_nullable=True, ignore_metadata=True
    )
