"""events -> vocabulary, feature_vocabulary: numbers for items and for the values of event features."""

from datetime import date, datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from intentrec.config import column_of_number
from intentrec.examples.bins import bins_of
from intentrec.tables import BOT_FLAG, FEATURE_VOCABULARY, SESSIONS, VOCABULARY

# A context field with more values than this is closer to an id than to a feature; the most frequent ones are kept.
MAX_VALUES = 1000


def timeline(sessions: DataFrame, until: datetime, since: datetime | None = None) -> DataFrame:
    """Unfold sessions into events of [``since``, ``until``): the one cut-off of training, evaluation and scoring.

    Args:
        sessions: SESSIONS rows.
        until: aware; the first instant that is not seen.
        since: aware; the first instant that is seen; None: everything before ``until``.

    Returns:
        One row per event: user_id, by_bot (whether its session has a flag that begins with ``bot_``), occurred_at,
        sequence, event_id, item_id, action, value, context.
    """
    sessions = SESSIONS.conform(sessions).where(F.col("started_at") < F.lit(until))
    if since is not None:
        sessions = sessions.where(F.col("ended_at") >= F.lit(since))
    by_bot = F.exists("flags", lambda flag: flag.startswith(BOT_FLAG)).alias("by_bot")
    events = sessions.select("user_id", by_bot, F.inline("events"))
    seen = events.where(F.col("occurred_at") < F.lit(until))
    return seen if since is None else seen.where(F.col("occurred_at") >= F.lit(since))


def extend_vocabulary(events: DataFrame, known: DataFrame | None, run_date: date) -> DataFrame:
    """Number every item that has an event; items of ``known`` keep their number, new ones follow by item_id.

    Args:
        events: rows of ``timeline``.
        known: VOCABULARY rows of the champion, or None.
        run_date: the night the result belongs to.

    Returns:
        VOCABULARY rows, numbers from 1 without holes.
    """
    first_seen = (
        events.where(F.col("item_id").isNotNull()).groupBy("item_id").agg(F.min("occurred_at").alias("first_seen_at"))
    )
    # One task, but of distinct items only: at most the catalogue.
    by_id = Window.orderBy("item_id")
    night = F.lit(run_date).alias("run_date")
    if known is None:
        numbered = first_seen.withColumn("item_index", F.row_number().over(by_id))
        return VOCABULARY.conform(numbered.select(night, "*"))
    old = known.select("item_id", "item_index", "first_seen_at")
    size = old.agg(F.coalesce(F.max("item_index"), F.lit(0)).alias("size"))
    new = first_seen.join(old, "item_id", "left_anti").withColumn("number", F.row_number().over(by_id))
    numbered = new.crossJoin(F.broadcast(size)).select(
        "item_id", (F.col("number") + F.col("size")).alias("item_index"), "first_seen_at"
    )
    return VOCABULARY.conform(old.unionByName(numbered).select(night, "*"))


def extend_feature_vocabulary(
    events: DataFrame,
    items: DataFrame,
    fields: tuple[str, ...],
    known: DataFrame | None,
    run_date: date,
    until: datetime | None = None,
) -> DataFrame:
    """Number the values of every event feature; values of ``known`` keep their number, new ones follow by value.

    Of numbers bins are numbered, from events that no bot made; a field that has bins in ``known`` keeps them.

    Args:
        events: rows of ``timeline``.
        items: ITEMS rows of the run date; the source of the field ``categories``.
        fields: names of ``ExamplesConfig.fields``.
        known: FEATURE_VOCABULARY rows of the champion, or None.
        run_date: the night the result belongs to.
        until: aware; bins are cut from the events before it; None: from all.

    Returns:
        FEATURE_VOCABULARY rows; at most 1,000 values of a field, the most frequent ones, ties by value; at most 16
        bins of a number.
    """
    numeric = [field for field in fields if column_of_number(field) is not None]
    values = _values_of(events, items, tuple(field for field in fields if field not in numeric))
    counted = values.groupBy("field", "value").agg(F.count("*").alias("num"))
    frequent = Window.partitionBy("field").orderBy(F.desc("num"), "value")
    kept = counted.withColumn("place", F.row_number().over(frequent)).where(F.col("place") <= MAX_VALUES)
    if known is None:
        old = kept.sparkSession.createDataFrame([], "field STRING, value STRING, value_index INT")
    else:
        old = known.where(F.col("field").isin(*fields)).select("field", "value", "value_index")
    sizes = old.groupBy("field").agg(F.max("value_index").alias("size"))
    number = F.row_number().over(Window.partitionBy("field").orderBy("value"))
    new = (
        kept.join(old, ["field", "value"], "left_anti")
        .withColumn("number", number)
        .join(F.broadcast(sizes), "field", "left")
        .select("field", "value", (F.col("number") + F.coalesce("size", F.lit(0))).alias("value_index"))
    )
    uncut = sorted({*numeric} - {row["field"] for row in sizes.collect()}) if numeric else []
    if uncut:
        learnt = events.where(
            ~F.col("by_bot") & (F.lit(True) if until is None else F.col("occurred_at") < F.lit(until))
        )
        new = new.unionByName(bins_of(learnt, uncut))
    return FEATURE_VOCABULARY.conform(old.unionByName(new).select(F.lit(run_date).alias("run_date"), "*"))


def _values_of(events: DataFrame, items: DataFrame, fields: tuple[str, ...]) -> DataFrame:
    """One row per occurrence: field, value."""
    parts: list[Column] = []
    for field in fields:
        if field == "action":
            parts.append(F.array(F.struct(F.lit(field).alias("field"), F.col("action").alias("value"))))
        elif field != "categories":
            parts.append(F.array(F.struct(F.lit(field).alias("field"), context_value(field).alias("value"))))
    found = items.select(F.lit("categories").alias("field"), F.explode("categories").alias("value"))
    if "categories" not in fields:
        found = found.limit(0)
    if parts:
        found = found.unionByName(events.select(F.inline(F.flatten(F.array(*parts)))))
    return found.where(F.col("value").isNotNull())


def context_value(field: str) -> Column:
    """Return the event's value of a context field, null where it has none."""
    entry = F.filter("context", lambda pair: pair["key"] == F.lit(field))
    return F.get(F.transform(entry, lambda pair: pair["value"]), F.lit(0))
