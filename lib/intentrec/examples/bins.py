"""Numeric event features: bins of as many events each, kept in feature_vocabulary by where they begin."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.config import column_of_number

NUM_BINS = 16
VALUE = "value"  # names the events' own column; every other name one of their context
_LEAST_NUMBERS = 10 * NUM_BINS  # of fewer, cuts that stay as long as the champion would be those of a few events
_MOST_NUMBERS = 1_000_000  # sorted in one task; of more, an even part stands for all
_FROM = ">= "  # no value of a category and no id of a user looks so


def number_of(field: str) -> Column:
    """Return the event's number of a field as DOUBLE; null where it has none, or what is there is no finite number."""
    name = column_of_number(field)
    entry = F.filter("context", lambda pair: pair["key"] == F.lit(name))
    found = F.col(VALUE) if name == VALUE else F.get(F.transform(entry, lambda pair: pair["value"]), F.lit(0))
    number = found.try_cast("double")
    return F.when(F.abs(number) < F.lit(float("inf")), number)


def bins_of(events: DataFrame, fields: Sequence[str]) -> DataFrame:
    """Cut the numbers of every field into 16 bins of as many events each, fewer where numbers repeat.

    Args:
        events: rows of ``timeline`` that are learnt from.
        fields: numeric ones, at least one.

    Returns:
        One row per bin: field, value (STRING: ">= " and the least number of the bin, of the first -Infinity),
        value_index from 1; none of a field with fewer than 160 numbers.
    """
    every = max(1, -(-events.count() // _MOST_NUMBERS))
    some = events.where(F.pmod(F.xxhash64("event_id"), F.lit(every)) == 0)  # the same ones every time
    shares = F.array(*[F.lit(place / NUM_BINS) for place in range(1, NUM_BINS)])
    cuts = [F.percentile(number_of(field), shares).alias(f"cuts_{at}") for at, field in enumerate(fields)]
    nums = [F.count(number_of(field)).alias(f"num_{at}") for at, field in enumerate(fields)]
    found = some.agg(*cuts, *nums)
    named = [
        F.struct(F.lit(own).alias("field"), F.col(f"cuts_{at}").alias("cuts"), F.col(f"num_{at}").alias("num"))
        for at, own in enumerate(fields)
    ]
    rows = found.select(F.inline(F.array(*named))).where(F.col("num") >= _LEAST_NUMBERS)
    begins = F.concat(F.array(F.lit(float("-inf"))), F.array_distinct(F.array_sort("cuts")))
    placed = rows.select("field", F.posexplode(begins).alias("place", "begin"))
    value = F.concat(F.lit(_FROM), F.col("begin").cast("string"))
    return placed.select("field", value.alias("value"), (F.col("place") + 1).alias("value_index"))


def begins_of(features: DataFrame, field: str, name: str) -> DataFrame:
    """Return one row with one column ``name``, ARRAY<DOUBLE>: where the field's bins begin, ascending.

    Args:
        features: FEATURE_VOCABULARY rows of one run date.
        field: numeric.
        name: of the column.
    """
    number = F.substring("value", len(_FROM) + 1, 1000).cast("double")
    begins = features.where(F.col("field") == field).select(number.alias("begin"))
    return begins.agg(F.array_sort(F.collect_list("begin")).alias(name))


def bin_at(number: Column, begins: Column) -> Column:
    """Return the bin of a number, 0 for none."""
    index = F.size(F.filter(begins, lambda begin: begin <= number))
    return F.when(number.isNotNull(), index).otherwise(F.lit(0))
