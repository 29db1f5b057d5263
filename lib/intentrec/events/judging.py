"""Rows of text -> typed rows, each with the first thing that is wrong with it, if any."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.config import Action, Cutoff, Derived, EventSource
from intentrec.events.reasons import pairs, problem, required, shown, sound_id, wrong_type
from intentrec.events.times import as_text, instant_us, plausible, slipped

ONLY_ACTION = "event"  # the action of a log without actions
_EVENT_ID_LENGTH = 32  # hex digits, 128 bits: two of 10^10 events share one with a chance of 10^-19
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which instants tonight's run accepts.

    Attributes:
        earliest: aware, UTC; events before it are ``too_late``; None accepts all history.
        latest: aware, UTC; events at or after it are ``future``.
    """

    earliest: datetime | None
    latest: datetime


def bounds_of(cutoff: Cutoff, run_date: date, watermark: date | None, late_days: int, future_days: int) -> Bounds:
    """Return the bounds of a run; lateness counts from the watermark, never from the run date.

    Args:
        cutoff: ends of days.
        run_date: tonight.
        watermark: the newest run date that was ingested before; None for an empty warehouse.
        late_days: whole days behind the watermark's day that are still accepted.
        future_days: whole days ahead of the later of both dates that are accepted.
    """
    newest = run_date if watermark is None else max(run_date, watermark)
    earliest = None if watermark is None else cutoff.end_of(watermark - timedelta(days=late_days + 1))
    return Bounds(earliest, cutoff.end_of(newest + timedelta(days=future_days)))


def columns_of(source: EventSource) -> dict[str, str | Derived]:
    """Return our name: where its text comes from, of everything that is read from a source's files.

    Parts of a composite event_id are named ``event_id_0``, ...; context fields ``context_0``, ... by sorted key.
    """
    columns: dict[str, str | Derived] = {}
    for ours, theirs in source.columns.items():
        if isinstance(theirs, tuple):
            columns |= {f"event_id_{part}": column for part, column in enumerate(theirs)}
        else:
            columns[ours] = theirs
    return columns | {f"context_{number}": key for number, key in enumerate(sorted(source.context))}


def judge(rows: DataFrame, source: EventSource, actions: Mapping[str, Action] | None, bounds: Bounds) -> DataFrame:
    """Type the rows of one source and name the first problem of each.

    Args:
        rows: kind, source_file, content_sha256, line, raw, reason, detail and the texts of ``columns_of(source)``.
        source: mapping, time unit, time zone.
        actions: the actions that are known; None accepts all.
        bounds: the instants that are accepted.

    Returns:
        kind, source_file, content_sha256, line, raw, reason, detail; event_id, user_id, item_id, action,
        occurred_at, sequence, value, context, event_date. ``raw`` is kept for refused rows only. ``too_late`` and
        ``future`` rows are typed as well, all other refused rows hold null in the columns of an event.
    """
    typed = rows.select(
        "kind", "source_file", "content_sha256", "line", "raw", F.struct("reason", "detail").alias("met"),
        *(F.col(name) for name in columns_of(source)),
        _event_id(source).alias("_event_id"),
        _action(source).alias("_action"),
        instant_us("occurred_at", source.time_unit, source.timezone).alias("_us"),
    )  # fmt: skip
    problems = F.coalesce(
        F.when(F.col("met.reason").isNotNull(), F.col("met")),
        F.when(F.col("kind") != "row", F.lit(None)),
        *_problems(source, actions),
        *_untimely(bounds),
    )
    judged = typed.withColumn("problem", F.when(F.col("kind") == "row", problems))
    return _with_event_columns(judged, source, actions)


def _with_event_columns(judged: DataFrame, source: EventSource, actions: Mapping[str, Action] | None) -> DataFrame:
    reason = F.col("problem.reason")
    typed = (F.col("kind") == "row") & (reason.isNull() | reason.isin("too_late", "future"))
    texts = {name: F.col(name) for name in columns_of(source)}
    context = {key: F.col(f"context_{number}") for number, key in enumerate(sorted(source.context))}
    instant = F.timestamp_micros("_us")

    def column(value: Column) -> Column:
        return F.when(typed, value)

    raw = F.coalesce("raw", F.to_json(F.struct(*(value.alias(name) for name, value in texts.items()))))
    return judged.select(
        "kind", "source_file", "content_sha256", "line",
        F.when(reason.isNotNull() & F.col("line").isNotNull(), F.substring(raw, 1, 64 * 1024)).alias("raw"),
        reason.alias("reason"),
        F.coalesce("problem.detail", "met.detail").alias("detail"),
        column(F.col("_event_id")).alias("event_id"),
        column(F.col("user_id")).alias("user_id"),
        column(_item_id(source, actions)).alias("item_id"),
        column(F.col("_action")).alias("action"),
        column(instant).alias("occurred_at"),
        column(_sequence(source)).alias("sequence"),
        column(_value(source)).alias("value"),
        column(pairs(context)).alias("context"),
        column(F.to_date(instant)).alias("event_date"),
    )  # fmt: skip


def _problems(source: EventSource, actions: Mapping[str, Action] | None) -> list[Column]:
    """List what can be wrong with a row, in the order in which it is told."""
    found = [required("user_id"), sound_id("user_id"), required("occurred_at")]
    if "action" in source.columns:
        found += [required("action"), sound_id("action")]
    if actions is not None:
        unlisted = problem("unknown_action", "action: ", shown(F.col("_action")), ", not in input.actions")
        found.append(F.when(~F.col("_action").isin(*actions), unlisted))
    found += _item_problems(source, actions)
    parts = [name for name in columns_of(source) if name.startswith("event_id")]
    found += [check for name in parts for check in (required(name), sound_id(name))]
    if "value" in source.columns:
        number = F.expr("try_cast(value AS DOUBLE)")
        bad = F.col("value").isNotNull() & (number.isNull() | F.isnan(number) | (F.abs(number) == float("inf")))
        found.append(F.when(bad, wrong_type("value", "a finite number")))
    if "sequence" in source.columns:
        bad = F.col("sequence").isNotNull() & _sequence_or_null().isNull()
        found.append(F.when(bad, wrong_type("sequence", "a whole number")))
    return found + _time_problems(source)


def _item_problems(source: EventSource, actions: Mapping[str, Action] | None) -> list[Column]:
    needs_item = _needs_item(actions)
    if "item_id" not in source.columns:
        detail = "item_id: not mapped, and the action is not declared with has_item: false"
        return [F.when(needs_item, problem("missing_field", detail))]
    missing = problem("missing_field", "item_id: null or absent, action ", shown(F.col("_action")), " needs one")
    return [F.when(needs_item & F.col("item_id").isNull(), missing), F.when(needs_item, sound_id("item_id"))]


def _time_problems(source: EventSource) -> list[Column]:
    unit = source.time_unit
    wanted = {"iso": "a time such as 2024-05-01T09:30:00Z"}.get(unit, f"a number of {unit} since 1970")
    if unit == "iso" and source.timezone is None:
        wanted += ", with its offset (or give the source a timezone)"
    micros = F.col("_us")
    text = shown(F.col("occurred_at"))
    slip = problem("unit_slip", "occurred_at: ", text, f" is no plausible number of {unit}, see time_unit")
    return [
        F.when(micros.isNull(), wrong_type("occurred_at", wanted)),
        F.when(slipped(micros), slip),
        F.when(~plausible(micros), problem("time_out_of_range", "occurred_at: ", text, ", wanted 1990 to 2099")),
    ]


def _untimely(bounds: Bounds) -> list[Column]:
    micros = F.col("_us")
    latest = micros_of(bounds.latest)
    early = problem("future", "occurred_at: ", as_text(micros), f" is not before {bounds.latest.isoformat()}")
    found = [F.when(micros >= latest, early)]
    if bounds.earliest is not None:
        late = problem("too_late", "occurred_at: ", as_text(micros), f" is before {bounds.earliest.isoformat()}")
        found.append(F.when(micros < micros_of(bounds.earliest), late))
    return found


def micros_of(instant: datetime) -> int:
    """Return an aware instant as microseconds since 1970, exact."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _event_id(source: EventSource) -> Column:
    """Take the log's id; hash a composite one, or all mapped fields where there is none.

    Hashed is the JSON list of the texts, so that ("a", "bc") and ("ab", "c") differ.
    """
    mapped = source.columns.get("event_id")
    if mapped is not None and not isinstance(mapped, tuple):
        return F.col("event_id")
    names = [name for name in columns_of(source) if mapped is None or name.startswith("event_id_")]
    listed = F.to_json(F.array(*(F.col(name) for name in sorted(names))))
    return F.substring(F.sha2(listed, 256), 1, _EVENT_ID_LENGTH)


def _action(source: EventSource) -> Column:
    return F.col("action") if "action" in source.columns else F.lit(ONLY_ACTION)


def _needs_item(actions: Mapping[str, Action] | None) -> Column:
    without = [name for name, action in (actions or {}).items() if not action.has_item]
    return ~F.col("_action").isin(*without) if without else F.lit(True)


def _item_id(source: EventSource, actions: Mapping[str, Action] | None) -> Column:
    """Take the item of actions that have one; what other actions hold in its place, a search text say, is no item."""
    return F.when(_needs_item(actions), F.col("item_id")) if "item_id" in source.columns else F.lit(None).cast("string")


def _value(source: EventSource) -> Column:
    return F.expr("try_cast(value AS DOUBLE)") if "value" in source.columns else F.lit(None).cast("double")


def _sequence_or_null() -> Column:
    return F.when(~F.col("sequence").rlike("[.eE]"), F.expr("try_cast(sequence AS BIGINT)"))


def _sequence(source: EventSource) -> Column:
    return F.coalesce(_sequence_or_null(), F.lit(0)) if "sequence" in source.columns else F.lit(0).cast("bigint")
