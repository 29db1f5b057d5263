"""encoded events -> examples, histories: arrays per user, oldest first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from intentrec.tables import EXAMPLES, HISTORIES

_SMALLEST_BUCKET = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """What all rows of one night have in common: most events of a row, and numbers per event in ``features``."""

    run_date: date
    history_length: int
    num_features: int


def length_buckets(history_length: int) -> tuple[int, ...]:
    """Return the lengths that arrays are padded to: 8, 16, 32, ... below ``history_length``, then itself.

    Most histories are short: padding all of them to 100 fills 5 % of the slots (measured on news clicks).
    """
    buckets = []
    bucket = _SMALLEST_BUCKET
    while bucket < history_length:
        buckets.append(bucket)
        bucket *= 2
    return (*buckets, history_length)


def training_sequences(
    events: DataFrame, split: str, since: datetime | None, until: datetime, shape: Shape, max_share: float = 1.0
) -> DataFrame:
    """Cut each user's events before ``until`` into rows whose targets lie in [``since``, ``until``).

    Counted from the latest event, each row takes one target less than it has room for and the one event before them, so
    every event but a user's first is a target of exactly one row. Rows without a target are left out: those of users
    with one event, and those that lie before ``since`` as a whole.

    Args:
        events: rows of ``encode``.
        split: name of the split.
        since: aware; earlier events are context only (weight 0); None: all are targets.
        until: aware.
        shape: of the rows.
        max_share: of all targets; of a user with more, only the latest so many stay targets, ``history_length`` at
            least.

    Returns:
        EXAMPLES rows.
    """
    stride = shape.history_length - 1
    newest_first = Window.partitionBy("user_id").orderBy(F.desc("occurred_at"), F.desc("sequence"), F.desc("event_id"))
    before = events.where(F.col("occurred_at") < F.lit(until))
    if max_share < 1:
        before = _capped(before, newest_first, max_share, shape.history_length)
    aged = before.withColumn("age", F.row_number().over(newest_first) - 1)
    block = F.floor(F.col("age") / stride).cast("bigint")
    is_also_context = (F.col("age") % stride == 0) & (F.col("age") > 0)
    blocks = F.when(is_also_context, F.array(block - 1, block)).otherwise(F.array(block))
    placed = aged.withColumn("block", F.explode(blocks))
    is_target = placed["block"] == block
    if since is not None:
        is_target = is_target & (F.col("occurred_at") >= F.lit(since))
    placed = placed.withColumn("weight", F.when(is_target, F.col("weight")).otherwise(F.lit(0.0)).cast("float"))
    event = F.struct(F.negative("age").alias("order"), "occurred_at", "item_index", "weight", "features")
    rows = placed.groupBy("user_id", "block").agg(F.array_sort(F.collect_list(event)).alias("events"))
    has_target = F.exists(F.slice("events", 2, stride), lambda entry: entry["weight"] > 0)
    return _padded(rows.where((F.size("events") > 1) & has_target), split, shape)


def _capped(events: DataFrame, newest_first: WindowSpec, max_share: float, least: int) -> DataFrame:
    """Keep as targets only the latest ones of every user, ``max_share`` of all at most; the others become context."""
    targets = F.sum((F.col("weight") > 0).cast("bigint"))
    most = events.agg(F.greatest(F.floor(targets * max_share), F.lit(least)).alias("most"))
    so_far = newest_first.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    weight = F.when(targets.over(so_far) <= F.col("most"), F.col("weight")).otherwise(F.lit(0.0))
    return events.crossJoin(F.broadcast(most)).withColumn("weight", weight).drop("most")


def _padded(rows: DataFrame, split: str, shape: Shape) -> DataFrame:
    length = F.size("events")
    *smaller, bucket_of_longest = length_buckets(shape.history_length)
    bucket = F.lit(bucket_of_longest)
    for size in reversed(smaller):
        bucket = F.when(length <= size, F.lit(size)).otherwise(bucket)
    rows = rows.withColumn("length_bucket", bucket)
    missing = F.col("length_bucket") - length

    def left_padded(values: Column, zero: Column) -> Column:
        return F.concat(F.array_repeat(zero, missing), values)

    weights = F.transform("events", lambda event: event["weight"])
    return EXAMPLES.conform(
        rows.select(
            F.lit(shape.run_date).alias("run_date"),
            F.lit(split).alias("split"),
            "length_bucket",
            F.xxhash64("user_id", "block").alias("row_id"),
            length.alias("length"),
            left_padded(_items("events"), F.lit(0)).alias("items"),
            left_padded(_times("events"), F.lit(0).cast("bigint")).alias("times"),
            left_padded(weights, F.lit(0.0).cast("float")).alias("weights"),
            _features("events", shape, lambda values: left_padded(values, F.lit(0))).alias("features"),
        )
    )


def latest_events(events: DataFrame, keys: Sequence[str], length: int) -> DataFrame:
    """Collect the latest events of every key.

    Args:
        events: rows of ``encode``, and the keys.
        keys: columns, user_id among them.
        length: most events kept.

    Returns:
        One row per key: the keys, latest ARRAY<STRUCT> (oldest first), num_events, last_event_at.
    """
    newest_first = Window.partitionBy(*keys).orderBy(F.desc("occurred_at"), F.desc("sequence"), F.desc("event_id"))
    aged = events.withColumn("age", F.row_number().over(newest_first) - 1)
    event = F.struct(F.negative("age").alias("order"), "occurred_at", "item_index", "features")
    return aged.groupBy(*keys).agg(
        F.array_sort(F.collect_list(F.when(F.col("age") < length, event))).alias("latest"),
        F.count("*").alias("num_events"),
        F.max("occurred_at").alias("last_event_at"),
    )


def history_columns(shape: Shape) -> tuple[Column, Column, Column]:
    """Return items, times and features of the rows of ``latest_events``."""
    features = _features("latest", shape, lambda values: values)
    return _items("latest").alias("items"), _times("latest").alias("times"), features.alias("features")


def user_histories(
    events: DataFrame, seen: DataFrame, until: datetime, active_since: datetime | None, shape: Shape
) -> DataFrame:
    """Collect the latest events of every active user.

    Args:
        events: rows of ``encode``.
        seen: rows of ``seen.seen_items``.
        until: aware; later events are not looked at.
        active_since: aware; users without an event from here on are left out; None: none is.
        shape: of the rows.

    Returns:
        HISTORIES rows.
    """
    users = latest_events(events.where(F.col("occurred_at") < F.lit(until)), ("user_id",), shape.history_length)
    if active_since is not None:
        users = users.where(F.col("last_event_at") >= F.lit(active_since))
    return HISTORIES.conform(
        users.join(seen, "user_id", "left").select(
            F.lit(shape.run_date).alias("run_date"),
            "user_id",
            *history_columns(shape),
            F.coalesce("seen", F.array().cast("array<int>")).alias("seen"),
            "num_events",
            "last_event_at",
        )
    )


def _items(events: str) -> Column:
    return F.transform(events, lambda event: event["item_index"])


def _times(events: str) -> Column:
    return F.transform(events, lambda event: F.unix_seconds(event["occurred_at"]))


def _features(events: str, shape: Shape, laid_out: Callable[[Column], Column]) -> Column:
    """Turn the events' features on their side: one column after the other, each as long as the events."""

    def column_of(position: int) -> Column:
        return laid_out(F.transform(events, lambda event: event["features"][position]))

    columns = [column_of(position) for position in range(shape.num_features)]
    return F.concat(*columns) if columns else F.array().cast("array<int>")
