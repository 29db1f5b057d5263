"""Counting over events before a cut-off: DataFrame -> DataFrame, one pass each."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

UNIT = 60  # weight of a direct successor; divisible by 1 to 6, so that every weight is an integer and sums are exact
MAX_REACH = 6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def popularity(events: DataFrame, cutoffs: Sequence[datetime], hours: Sequence[int]) -> DataFrame:
    """Count the events of every item in windows that end at each cut-off, all of them in one pass.

    Args:
        events: one row per event: item_index INT (0: no known item, not counted), occurred_at TIMESTAMP, by_bot
            BOOLEAN (true: not counted).
        cutoffs: aware instants; an event at a cut-off or after it is not counted for it.
        hours: lengths of the windows; an event exactly so long before the cut-off is counted.

    Returns:
        One row per cut-off, window and item with at least one event: day INT (place of the cut-off, from 0),
        hours INT, item_index INT, num_events BIGINT.

    Raises:
        ValueError: a cut-off has no time zone, there is none, or there is no window.
    """
    if not hours or not cutoffs:
        raise ValueError("cutoffs and hours: at least one of each wanted")
    occurred_at, longest = F.col("occurred_at"), timedelta(hours=max(hours))
    windows = [
        F.when(
            (occurred_at < _instant(cutoff)) & (occurred_at >= _instant(cutoff - timedelta(hours=length))),
            F.struct(F.lit(day).alias("day"), F.lit(length).alias("hours")),
        )
        for day, cutoff in enumerate(cutoffs)
        for length in sorted(set(hours))
    ]
    looked_at = (occurred_at < _instant(max(cutoffs))) & (occurred_at >= _instant(min(cutoffs) - longest))
    return (
        events.where((F.col("item_index") != 0) & ~F.col("by_bot") & looked_at)
        .select(F.explode(F.array(*windows)).alias("window"), "item_index")
        .where(F.col("window").isNotNull())
        .groupBy("window.day", "window.hours", "item_index")
        .agg(F.count(F.lit(1)).alias("num_events"))
    )


def transitions(
    events: DataFrame, cutoff: datetime, num_successors: int, max_pause: timedelta | None = None, reach: int = 1
) -> DataFrame:
    """Count what follows each item in the same user's events.

    Args:
        events: one row per event: user_id, item_index INT (0: no known item, left out first), occurred_at TIMESTAMP,
            sequence, event_id, by_bot (true: left out first). Events of a user are ordered by (occurred_at, sequence,
            event_id).
        cutoff: aware instant; an event at it or after it is not counted.
        num_successors: successors kept per item, the heaviest; ties go to the smaller item_index.
        max_pause: pairs further apart in time are not counted, so the gap of sessions keeps pairs within
            sessions; None: the whole history is one sequence.
        reach: a successor up to so many events later counts, with weight 60 / distance; 1 to 6.

    Returns:
        One row per kept pair: item_index INT, successor_index INT (never the same item), weight BIGINT (60 for each
        direct succession), total BIGINT (weight of all successors of the item, kept or not).

    Raises:
        ValueError: the cut-off has no time zone, or reach is out of bounds.
    """
    end = _instant(cutoff)
    if not 1 <= reach <= MAX_REACH:
        raise ValueError(f"reach: wanted 1 to {MAX_REACH}, is {reach}")
    pairs = (
        events.where((F.col("item_index") != 0) & ~F.col("by_bot") & (F.col("occurred_at") < end))
        .withColumn("followers", _followers(reach))
        .select("item_index", "occurred_at", F.explode("followers").alias("next"))
        .select("item_index", "next.successor_index", "next.weight", _pause("occurred_at", "next.occurred_at"))
        .where(F.col("successor_index") != F.col("item_index"))  # null past the end of the history
    )
    near = pairs if max_pause is None else pairs.where(F.col("pause_us") <= max_pause // timedelta(microseconds=1))
    of_item = Window.partitionBy("item_index")
    heaviest = of_item.orderBy(F.desc("weight"), "successor_index")
    return (
        near.groupBy("item_index", "successor_index")
        .agg(F.sum("weight").alias("weight"))
        .withColumns({"total": F.sum("weight").over(of_item), "place": F.row_number().over(heaviest)})
        .where(F.col("place") <= num_successors)
        .drop("place")
    )


def _followers(reach: int) -> Column:
    by_time = Window.partitionBy("user_id").orderBy("occurred_at", "sequence", "event_id")
    return F.array(
        *(
            F.struct(
                F.lead("item_index", distance).over(by_time).alias("successor_index"),
                F.lead("occurred_at", distance).over(by_time).alias("occurred_at"),
                F.lit(UNIT // distance).cast("bigint").alias("weight"),
            )
            for distance in range(1, reach + 1)
        )
    )


def _pause(earlier: str, later: str) -> Column:
    return (F.unix_micros(later) - F.unix_micros(earlier)).alias("pause_us")


def _instant(moment: datetime) -> Column:
    if moment.tzinfo is None:
        raise ValueError(f"cutoff: wanted an instant with its time zone, is {moment}")
    return F.timestamp_micros(F.lit(int((moment - _EPOCH) // timedelta(microseconds=1))))
