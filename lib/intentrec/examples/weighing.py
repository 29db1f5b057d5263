"""encoded events -> the same, each with what it counts as a target of training."""

from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.examples.bins import three_digits

_LEAST, _MOST = 0.1, 10.0  # what value and rarity together may make of an event
_SHARE = "decimal(28,9)"  # sums of doubles depend on the order of rows


@dataclass(frozen=True, slots=True)
class Weighing:
    """What events count beside their action's weight.

    Attributes:
        half_life_days: age at which an event counts half; None: all ages count alike.
        by_value: whether an event counts in proportion to its value, as of a duration or an amount.
        rarity_floor: events of rare items count 1 / the root of the item's share of the most frequent item's events,
            the root being at least this, above 0 and at most 1; None: all items count alike.

    Source: duration: IntentRec (arXiv 2408.05353), section 3.4; popularity for a propensity, clipped: Saito et al.,
    Unbiased Recommender Learning from Missing-Not-At-Random Implicit Feedback (WSDM 2020), section 4.
    """

    half_life_days: float | None = None
    by_value: bool = False
    rarity_floor: float | None = None


def weighed(events: DataFrame, until: datetime, rules: Weighing) -> DataFrame:
    """Change the weights of events; what has no weight keeps none.

    Value and rarity are counted among the events that have a weight. Of their value events count the share of the
    median one, those without a value as the median; rarity counts 1 in the mean; the product lies between 0.1 and 10.

    Args:
        events: rows of ``encode``.
        until: aware; no event lies at or after it.
        rules: what counts.
    """
    columns, factors = events.columns, list[Column]()
    if rules.by_value:
        events = _with_median(events)
        factors.append(F.coalesce(F.col("value") / F.col("median"), F.lit(1.0)))
    if rules.rarity_floor is not None:
        events = _with_rarity(events, rules.rarity_floor)
        factors.append(F.coalesce("rarity", F.lit(1.0)))
    weight = F.col("weight")
    if factors:
        product = factors[0] if len(factors) == 1 else factors[0] * factors[1]
        weight *= F.least(F.greatest(product, F.lit(_LEAST)), F.lit(_MOST))
    if rules.half_life_days is not None:
        age_us = F.unix_micros(F.lit(until)) - F.unix_micros("occurred_at")
        weight *= F.pow(F.lit(0.5), age_us / F.lit(rules.half_life_days * 86400e6))
    return events.withColumn("weight", weight.cast("float")).select(*columns)


def effective_share(rows: DataFrame) -> tuple[int, float]:
    """Return the number of targets in EXAMPLES rows, and the share of them that equal weights would do with.

    Source: Kish, Survey Sampling (1965), section 11.7: (sum of weights)^2 / sum of squares.
    """
    weight = F.col("weight").cast("double")
    weights = rows.select(F.explode("weights").alias("weight")).where("weight > 0")
    found = weights.agg(F.count("*").alias("num"), F.sum(weight).alias("sum"), F.sum(weight * weight).alias("squares"))
    (row,) = found.collect()
    return row.num, row["sum"] ** 2 / row.squares / row.num if row.num else 1.0


def _with_median(events: DataFrame) -> DataFrame:
    """Add the column median: of the values above 0 of events that have a weight; null where there is none."""
    valued = events.where((F.col("weight") > 0) & (F.col("value") > 0) & (F.col("value") < float("inf")))
    return events.crossJoin(F.broadcast(valued.agg(F.median(three_digits(F.col("value"))).alias("median"))))


def _with_rarity(events: DataFrame, floor: float) -> DataFrame:
    """Add the column rarity, 1 in the mean over events that have a weight; null for other items."""
    counted = events.where(F.col("weight") > 0).groupBy("item_index").agg(F.count("*").alias("num"))
    most = counted.agg(F.max("num").alias("most"))
    rare = 1 / F.greatest(F.sqrt(F.col("num") / F.col("most")), F.lit(floor))
    items = counted.crossJoin(F.broadcast(most)).select("item_index", "num", rare.alias("rare"))
    total = F.sum(F.col("num") * F.col("rare").cast(_SHARE)) / F.sum("num")
    mean = items.agg(total.cast("double").alias("mean"))
    rarity = items.crossJoin(F.broadcast(mean)).select("item_index", (F.col("rare") / F.col("mean")).alias("rarity"))
    return events.join(F.broadcast(rarity), "item_index", "left")
