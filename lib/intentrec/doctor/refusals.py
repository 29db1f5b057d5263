"""Texts of a row -> what ingest_events would refuse it for: the requirements of ``intentrec.events``, without Spark."""

import re
import unicodedata
from collections.abc import Mapping
from math import isfinite

from intentrec.config import Action, EventSource, Snapshot
from intentrec.events import columns_of
from intentrec.events.judging import ONLY_ACTION
from intentrec.events.reasons import ID_LIMIT
from intentrec.starter.profiles import any_micros, micros

Row = Mapping[str, str | None]
Problems = dict[str, str]  # field: reason

_INVISIBLE = {"Zs", "Zl", "Zp", "Cc", "Cf"}
_BOOLEANS = {"true", "t", "yes", "y", "1", "false", "f", "no", "n", "0"}
_INT64 = range(-(2**63), 2**63)


def problems_of_event(row: Row, source: EventSource, actions: Mapping[str, Action] | None) -> Problems:
    """Return every field of an event that would be refused; whether its day has come is no matter here.

    Args:
        row: reason, and the texts of ``columns_of(source)``.
        source: mapping, time unit, time zone.
        actions: the actions that are known; None accepts all.
    """
    if row["reason"] is not None:
        return {"row": row["reason"]}
    action = row["action"] if "action" in source.columns else ONLY_ACTION
    known = actions.get(action or "") if actions is not None else None
    found: list[tuple[str, str | None]] = [("user_id", _id_problem(row["user_id"])), *_time_problems(row, source)]
    if "action" in source.columns:
        found.append(("action", _id_problem(action)))
    if actions is not None and action is not None and known is None:
        found.append(("action", "unknown_action"))
    if known is None or known.has_item:
        found.append(("item_id", _id_problem(row.get("item_id"))))
    found += [(name, _id_problem(row[name])) for name in columns_of(source) if name.startswith("event_id")]
    for name, is_sound in (("value", _is_number), ("sequence", _is_whole)):
        text = row[name] if name in source.columns else None
        found.append((name, None if text is None or is_sound(text) else "wrong_type"))
    problems: Problems = {}
    for field, reason in found:
        if reason is not None:
            problems.setdefault(field, reason)
    return problems


def problems_of_member(row: Row, snapshot: Snapshot, kind: str, timezone: str) -> Problems:
    """Return every field of an item or a user that would be refused.

    Args:
        row: reason, and the texts of ``columns_of_snapshot(snapshot, kind)``.
        snapshot: mapping, unit of published_at.
        kind: items or users.
        timezone: of iso times without an offset.
    """
    if row["reason"] is not None:
        return {"row": row["reason"]}
    key = f"{kind.removesuffix('s')}_id"
    reason = _id_problem(row[key])
    problems: Problems = {} if reason is None else {key: reason}
    if kind == "items":
        published, available = row.get("published_at"), row.get("available")
        if published is not None and snapshot.time_unit == "iso":
            published = _first_day(published)
        if published is not None and any_micros(published, snapshot.time_unit, timezone) is None:
            problems["published_at"] = "wrong_type"
        if available is not None and available.strip().lower() not in _BOOLEANS:
            problems["available"] = "wrong_type"
    return problems


def _time_problems(row: Row, source: EventSource) -> list[tuple[str, str | None]]:
    text = row["occurred_at"]
    if text is None:
        return [("occurred_at", "missing_field")]
    if micros(text, source.time_unit, source.timezone) is not None:
        return []
    read = any_micros(text, source.time_unit, source.timezone) is not None
    return [("occurred_at", "time_out_of_range" if read else "wrong_type")]


def _id_problem(text: str | None) -> str | None:
    if text is None:
        return "missing_field"
    visible = any(not char.isspace() and unicodedata.category(char) not in _INVISIBLE for char in text)
    sound = visible and "\0" not in text and len(text.encode(errors="replace")) <= ID_LIMIT
    return None if sound else "bad_id"


def _is_number(text: str) -> bool:
    try:
        return "_" not in text and isfinite(float(text))
    except ValueError:
        return False


def _is_whole(text: str) -> bool:
    try:
        return "_" not in text and int(text) in _INT64
    except ValueError:
        return False


def _first_day(text: str) -> str:
    """Write a year or a month out as its first day."""
    return text + "-01-01"[len(text) - 4 :] if re.fullmatch(r"[0-9]{4}(-[0-9]{2})?", text) else text
