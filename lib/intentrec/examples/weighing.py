"""encoded events -> the same, each with what it counts as a target of training."""

from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

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

    An event counts its value's share of the median value (1 without a value) times what its item's rarity counts,
    within 0.1 and 10 and then scaled so that value and rarity leave the sum of all weights as it was: what was counted
    from other days, or not at all, stays on the same scale.

    Args:
        events: rows of ``encode``.
        until: aware; no event lies at or after it.
        rules: what counts.
    """
    columns, weight = events.columns, F.col("weight")
    if rules.by_value or rules.rarity_floor is not None:
        events = _with_share(events, rules)
        weight *= F.col("share")
    if rules.half_life_days is not None:
        age_us = F.unix_micros(F.lit(until)) - F.unix_micros("occurred_at")
        weight *= F.pow(F.lit(0.5), age_us / F.lit(rules.half_life_days * 86400e6))
    return events.withColumn("weight", weight.cast("float")).select(*columns)


def effective_share(rows: DataFrame) -> tuple[int, float]:
    """Return the number of targets in EXAMPLES rows, and the share of them that equal weights would do with.

    Source: Kish, Survey Sampling (1965), section 11.7: (sum of weights)^2 / sum of squares.
    """
    after_first = F.slice("weights", F.size("weights") - F.col("length") + 2, F.col("length") - 1)
    weights = rows.select(F.explode(after_first).alias("weight")).where("weight > 0")
    most = weights.agg(F.max("weight")).collect()[0][0]
    if most is None:
        return 0, 1.0
    part = F.col("weight").cast("double") / F.lit(most)  # of weights that faded to 1e-15 a decimal would keep nothing
    sums = (F.sum(part.cast(_SHARE)).alias("sum"), F.sum((part * part).cast(_SHARE)).alias("squares"))
    (row,) = weights.agg(F.count("*").alias("num"), *sums).collect()
    return row.num, float(row["sum"]) ** 2 / float(row.squares) / row.num


def _with_share(events: DataFrame, rules: Weighing) -> DataFrame:
    """Add the column share: what value and rarity make of an event, 1 in the mean over all weights."""
    counting, product = events.where(F.col("weight") > 0), F.lit(1.0)
    if rules.by_value:
        events = events.crossJoin(F.broadcast(_median(counting)))
        product *= F.coalesce(F.col("value") / F.col("median"), F.lit(1.0))
    if rules.rarity_floor is not None:
        events = events.join(F.broadcast(_rarity(counting, rules.rarity_floor)), "item_index", "left")
        product *= F.coalesce("rarity", F.lit(1.0))
    events = events.withColumn("product", F.least(F.greatest(product, F.lit(_LEAST)), F.lit(_MOST)))
    weight = F.col("weight").cast("double")
    sums = F.sum((weight * F.col("product")).cast(_SHARE)), F.sum(weight.cast(_SHARE))
    mean = events.where(weight > 0).agg((sums[0] / sums[1]).cast("double").alias("mean"))
    return events.crossJoin(F.broadcast(mean)).withColumn("share", F.col("product") / F.coalesce("mean", F.lit(1.0)))


def _median(events: DataFrame) -> DataFrame:
    """Return one row: median, of the values above 0, null where there is none.

    Of values of three digits: an exact median keeps every value that differs, of these some 100,000 at most.
    """
    valued = events.where((F.col("value") > 0) & (F.col("value") < float("inf")))
    return valued.agg(F.median(F.format_string("%.2e", "value").cast("double")).alias("median"))


def _rarity(events: DataFrame, floor: float) -> DataFrame:
    """Return item_index, rarity: 1 / the root of an item's share of the most frequent item's events."""
    counted = events.where("item_index > 0").groupBy("item_index").agg(F.count("*").alias("num"))
    most = counted.agg(F.max("num").alias("most"))
    rarity = 1 / F.greatest(F.sqrt(F.col("num") / F.col("most")), F.lit(floor))
    return counted.crossJoin(F.broadcast(most)).select("item_index", rarity.alias("rarity"))
