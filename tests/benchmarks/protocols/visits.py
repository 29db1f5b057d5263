"""Folders of clicks with times and features -> one log of numbered events.

N events
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intentrec.model.shape import ACTION, Field
from protocols.folders import DAY_S, MINUTE_S, Integers, Log, numbered, only, opened

_IDS = ("user_id", "session_id", "click_article_id")
_TIMES = ("session_start", "click_timestamp")  # milliseconds
_CONTEXT = (
    "click_environment",
    "click_deviceGroup",
    "click_os",
    "click_country",
    "click_region",
    "click_referrer_type",
)


def day_files(folder: Path) -> tuple[Log, Integers]:
    """Read clicks of one day a file: the form of globo_clicks; also where each day begins and the last ends, seconds.

    A user's sessions follow each other by their start, clicks of a session by their time. A session is told by its
    user, its start and its id, which may begin anew with every user or file.
    """
    parts = [_table(path, (*_IDS, *_TIMES, *_CONTEXT), _TIMES) for path in numbered(folder, "clicks_day", ".csv")]
    rows = pd.concat(parts, ignore_index=True)
    if not len(rows):
        sys.exit(f"{folder}: no file holds a click")
    begin_s = _begin([part["session_start"].to_numpy() // 1000 for part in parts])
    by_click = rows.sort_values("click_timestamp", kind="stable")
    names = pd.factorize(by_click["click_article_id"])[1]  # so what is known at any moment has the first numbers
    for name in ("user_id", "session_id"):
        rows[name] = pd.factorize(rows[name])[0]
    rows = rows.sort_values(["user_id", "session_start", "session_id", "click_timestamp"], kind="stable")
    keys = [rows[name].to_numpy() for name in ("user_id", "session_start", "session_id")]
    begins_N = np.any([np.diff(key_N, prepend=key_N[0] - 1) != 0 for key_N in keys], axis=0)
    features_CN, fields, values = _features(rows, [(name.removeprefix("click_"), name) for name in _CONTEXT])
    log = Log(
        keys[0].astype(np.int64),
        pd.Index(names).get_indexer(rows["click_article_id"]).astype(np.int64) + 1,
        rows["click_timestamp"].to_numpy() // 1000,
        tuple(map(str, names)),
        True,
        np.cumsum(begins_N) - 1,
        keys[1] // 1000,
        features_CN,
        fields,
        values,
    )
    return log, begin_s + DAY_S * np.arange(len(parts) + 1)


def action_sessions(folder: Path) -> Log:
    """Read events with actions, one sequence a session in the order of their starts: the form of trivago_100k.

    An event whose reference is no number has no item, its number is 0.
    """
    columns = ((ACTION, "action_type"), ("device", "device"), ("platform", "platform"))
    path = only(folder, r"events\.csv")
    rows = _table(path, ("session_id", "reference", *(column for _, column in columns)), ("timestamp", "step"))
    if not len(rows):
        sys.exit(f"{path}: holds no event")
    rows["start"] = rows.groupby("session_id")["timestamp"].transform("min")
    rows = rows.sort_values(["start", "session_id", "step"], kind="stable")
    features_CN, fields, values = _features(rows, columns)
    items = rows["reference"].where(rows["reference"].str.fullmatch(r"\d+"))
    codes_N, names = pd.factorize(items)  # -1: none
    sessions_N = pd.factorize(rows["session_id"])[0].astype(np.int64)
    times_N, starts_N = rows["timestamp"].to_numpy(), rows["start"].to_numpy()
    return Log(
        sessions_N, codes_N.astype(np.int64) + 1, times_N, tuple(names), True, sessions_N, starts_N, features_CN,
        fields, values,
    )  # fmt: skip


def _table(path: Path, columns: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """Read columns of a file as they are written, some as whole numbers; a file of no bytes has no rows."""
    columns = [*dict.fromkeys((*columns, *numbers))]
    try:
        with opened(path) as lines:
            rows = pd.read_csv(lines, dtype=str, keep_default_na=False, usecols=lambda name: name in columns)
    except pd.errors.EmptyDataError:
        rows = pd.DataFrame(columns=columns, dtype=str)
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        sys.exit(f"{path}: wanted columns {', '.join(columns)}; lacks {', '.join(missing)}")
    rows = rows[columns].copy()
    for name in numbers:
        read_N = pd.to_numeric(rows[name], errors="coerce").to_numpy(np.float64)
        if not np.isfinite(read_N).all():
            row = int((~np.isfinite(read_N)).argmax())
            sys.exit(f"{path}: row {row + 1}: wanted a number as {name}, is {rows[name].iloc[row]!r}")
        rows[name] = read_N.astype(np.int64)
    return rows


def _begin(starts: Sequence[Integers]) -> int:
    """Return the full minute at which the first day begins: that by which most rows lie in their own file's day.

    A day's first session starts seconds after the day, later where the night is quiet, and a session may stand in the
    file of another day.

    Args:
        starts: per file the UTC seconds at which the session of each row began.
    """
    offset_N = np.sort(np.concatenate([own_N - day * DAY_S for day, own_N in enumerate(starts)]))
    covered_N = np.searchsorted(offset_N, offset_N + DAY_S) - np.arange(len(offset_N))
    return int(offset_N[covered_N.argmax()]) // MINUTE_S * MINUTE_S


def _features(
    rows: pd.DataFrame, columns: Iterable[tuple[str, str]]
) -> tuple[Integers, tuple[Field, ...], dict[str, tuple[str, ...]]]:
    """Return value indices [C, N] of some columns, their fields (name, column), and the values; empty is none.

    Values are numbered in the order of their names; whole numbers in their own.
    """
    features: list[NDArray[np.int64]] = []
    fields, values = [], {}
    for name, column in columns:
        found = sorted(value for value in rows[column].unique() if value)
        found = sorted(found, key=int) if all(value.isdecimal() for value in found) else found
        features.append(pd.Index(found, dtype=object).get_indexer(rows[column]).astype(np.int64) + 1)
        fields.append(Field(name, len(found)))
        values[name] = tuple(found)
    return np.stack(features), tuple(fields), values
