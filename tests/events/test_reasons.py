import pytest
from pyspark.sql import functions as F

from intentrec.events import REASONS
from intentrec.events.reasons import pairs, problem, required, shown, sound_id, wrong_type


def test_the_list_of_reasons_is_closed(spark):
    with pytest.raises(AssertionError, match="bad_mood"):
        problem("bad_mood", "x")
    assert all(text for text in REASONS.values())


def test_checks_return_the_reason_and_its_detail_or_nothing(spark):
    rows = spark.createDataFrame([("ann",), (" ",), (None,), ("x" * 200,)], "id STRING")
    found = rows.select(
        required("id").alias("required"), sound_id("id").alias("sound"),
        wrong_type("id", "a number").detail.alias("wrong"), shown(F.col("id")).alias("shown"),
    ).collect()  # fmt: skip
    assert [row.required and tuple(row.required) for row in found] == [
        None, None, ("missing_field", "id: null or absent, every row must have one"), None,
    ]  # fmt: skip
    wanted = "id: ' ', wanted 1 to 512 bytes that are not all blank, without NUL"
    assert [row.sound and tuple(row.sound) for row in found] == [None, ("bad_id", wanted), None, None]
    assert [row.wrong for row in found[:3]] == [
        "id: 'ann', wanted a number",
        "id: ' ', wanted a number",
        "id: null, wanted a number",
    ]
    assert len(found[3].shown) == 102  # 100 characters in quotes


def test_pairs_are_sorted_by_key_without_nulls(spark):
    row = spark.range(1).select(
        pairs({"b": F.lit("2"), "a": F.lit("1"), "c": F.lit(None).cast("string")}).alias("some"),
        pairs({}).alias("none"),
    ).collect()[0]  # fmt: skip
    assert [tuple(pair) for pair in row.some] == [("a", "1"), ("b", "2")]
    assert row.none == []
