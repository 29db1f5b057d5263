"""EVENTS rows -> SESSIONS rows, from nothing or around the events that are new."""

from collections.abc import Iterable, Iterator
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.sessions.layout import Limits
from intentrec.sessions.splitting import CUT_AT_START, EVENT_FIELDS, HELD, INPUT, OUTPUT, split
from intentrec.tables import EVENTS, SESSIONS


def sessionize(events: DataFrame, limits: Limits, run_id: str, sessions: DataFrame | None = None) -> DataFrame:
    """Cut each user's events into sessions: one shuffle of the needed columns, a sort, and one pass.

    Args:
        events: EVENTS rows, in any order; repeats of an event are dropped.
        limits: gap and limits; a pause of exactly the gap does not split, and the last event of a session may come
            exactly ``max_hours`` after its first.
        run_id: the run that builds them.
        sessions: stored sessions whose events are taken in as well; of every user all from some session on.
            The result then replaces them.

    Returns:
        SESSIONS rows, one per session. Events of one instant are ordered by sequence, then event_id, so equal
        input gives equal rows, whatever the order, the partitions and the batches.

    Raises:
        SchemaError: ``events`` lacks a column of EVENTS.
    """
    rows = EVENTS.conform(events).select(*INPUT)
    order = [F.col(name) for name in ("user_id", "occurred_at", "sequence", "event_id")]
    if sessions is not None:
        rows = rows.unionByName(exploded(sessions), allowMissingColumns=True)
        order.append(F.col("held_id").desc_nulls_last())  # of two equal rows the one that knows its session comes first
    output = OUTPUT.format(events=SESSIONS.schema["events"].dataType.simpleString())
    ordered = rows.repartition("user_id").sortWithinPartitions(*order)
    return _named(ordered.mapInArrow(_splitter(limits), output), run_id)


def _splitter(limits: Limits) -> Any:
    def cut(batches: Iterable[Any]) -> Iterator[Any]:
        return split(batches, limits)

    return cut


def _named(sessions: DataFrame, run_id: str) -> DataFrame:
    columns = {
        "session_id": F.coalesce("held_id", _session_id(F.col("twin"))),
        "session_date": F.to_date("started_at"),
        "run_id": F.lit(run_id),
    }
    return SESSIONS.conform(sessions.withColumns(columns))


def _session_id(twin_id: Column) -> Column:
    """Hash start and user: digits come first, so the text is unambiguous.

    More than ``max_events`` events of one instant, or an action that ends a session in the instant in which the next
    begins, make sessions of one user and start: those after the first have their first event's id between the two, with
    its length, so that it cannot be taken for a part of the user's.
    """
    start = F.unix_micros("started_at").cast("string")
    twin = F.concat(F.lit("/"), F.length(twin_id).cast("string"), F.lit("/"), twin_id)
    return F.sha2(F.concat(start, F.coalesce(twin, F.lit("")), F.lit("|"), F.col("user_id")), 256)


def exploded(sessions: DataFrame) -> DataFrame:
    """Return the events of stored sessions, one row per event, as the splitter takes them.

    The first event of a session that was cut from an earlier one carries the start of its chain and the session's
    id: where no earlier session of the user is taken in, it stays a forced start. That of a session whose id names its
    first event carries the id alone: where the session before it is not taken in, nothing else tells that it needs it.
    """
    has_own_id = F.col("session_id") != _session_id(F.lit(None).cast("string"))
    events = sessions.withColumn("has_own_id", has_own_id).select(
        "user_id", "chain_started_at", "session_id", "flags", "has_own_id",
        F.posexplode("events").alias("position", "event"),
    )  # fmt: skip
    first = F.col("position") == 0
    continues = first & F.array_contains("flags", CUT_AT_START)
    return events.select(
        "user_id",
        *(F.col(f"event.{name}").alias(name) for name in EVENT_FIELDS),
        F.when(continues, F.unix_micros("chain_started_at")).alias(HELD[0]),
        F.when(continues | (first & F.col("has_own_id")), F.col("session_id")).alias(HELD[1]),
    )


def sessions_to_rebuild(sessions: DataFrame, touched: DataFrame, limits: Limits) -> DataFrame:
    """Mark the stored sessions that new events may change.

    A new event can extend, merge or split the session that ends at most one gap before it, and everything of the
    user after that, because forced cuts move; it cannot change a session that ended earlier.

    Args:
        sessions: SESSIONS rows.
        touched: EVENTS rows that are new.
        limits: the gap counts.

    Returns:
        The rows with ``rebuilt``, true or false.
    """
    first = touched.groupBy("user_id").agg((F.min(F.unix_micros("occurred_at")) - limits.gap_us).alias("_from_us"))
    rebuilt = F.coalesce(F.unix_micros("ended_at") >= F.col("_from_us"), F.lit(False))
    return sessions.join(first, "user_id", "left").withColumn("rebuilt", rebuilt).drop("_from_us")
