"""Numeric event features: bins of as many events each, kept in feature_vocabulary by where they begin."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

NUM_BINS = 16
VALUE = "value"  # names the events' own column; every other name one of their context


def number_of(field: str) -> Column:
    """Return the event's number of a field as DOUBLE; null where it has none, or what is there is no finite number."""
    entry = F.filter("context", lambda pair: pair["key"] == F.lit(field))
    found = F.col(VALUE) if field == VALUE else F.get(F.transform(entry, lambda pair: pair["value"]), F.lit(0))
    number = found.try_cast("double")
    return F.when(F.abs(number) < F.lit(float("inf")), number)


def three_digits(number: Column) -> Column:
    """Round to three significant digits: an exact quantile keeps every value that differs, of these some 100,000."""
    return F.when(number.isNotNull(), F.format_string("%.2e", number)).cast("double")


def bins_of(events: DataFrame, fields: Sequence[str]) -> DataFrame:
    """Cut the numbers of every field into 16 bins of as many events each, fewer where numbers repeat.

    Args:
        events: rows of ``timeline``.
        fields: names of context columns, or ``value``.

    Returns:
        One row per bin: field, value (STRING: the least number of the bin, -Infinity of the first), value_index from 1;
        none of a field without numbers.
    """
    shares = F.array(*[F.lit(place / NUM_BINS) for place in range(1, NUM_BINS)])
    cuts = [F.percentile(three_digits(number_of(field)), shares).alias(f"cuts_{at}") for at, field in enumerate(fields)]
    found = events.agg(*cuts)
    named = [F.struct(F.lit(own).alias("field"), F.col(f"cuts_{at}").alias("cuts")) for at, own in enumerate(fields)]
    rows = found.select(F.inline(F.array(*named))).where(F.col("cuts").isNotNull())
    begins = F.concat(F.array(F.lit(float("-inf"))), F.array_distinct(F.array_sort("cuts")))
    placed = rows.select("field", F.posexplode(begins).alias("place", "begin"))
    return placed.select(
        "field", F.col("begin").cast("string").alias("value"), (F.col("place") + 1).alias("value_index")
    )


def begins_of(features: DataFrame, field: str, name: str) -> DataFrame:
    """Return one row with one column ``name``, ARRAY<DOUBLE>: where the field's bins begin, ascending.

    Args:
        features: FEATURE_VOCABULARY rows of one run date.
        field: numeric.
        name: of the column.
    """
    begins = features.where(F.col("field") == field).select(F.col("value").cast("double").alias("begin"))
    return begins.agg(F.array_sort(F.collect_list("begin")).alias(name))


def bin_at(number: Column, begins: Column) -> Column:
    """Return the bin of a number, 0 for none."""
    index = F.size(F.filter(begins, lambda begin: begin <= number))
    return F.when(number.isNotNull(), index).otherwise(F.lit(0))
