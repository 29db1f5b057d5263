"""A sample of raw logs -> everything a first config needs."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from intentrec.errors import InputError
from intentrec.starter.actions import SeenAction, seen_actions
from intentrec.starter.ends import read_ends
from intentrec.starter.gaps import Gap, find_gap, pauses_of
from intentrec.starter.profiles import NAMED_UTC, Profile, micros, profile
from intentrec.starter.roles import Roles, roles_of
from intentrec.starter.sampling import Sample, read_sample, read_stretch

_MOST_CONTEXT, _MOST_FEATURES = 8, 3
_MOST_VALUES, _MOST_FEATURE_VALUES = 10_000, 5_000  # of a context column
_LONGEST_VALUE = 64  # characters on average; longer ones are texts, not categories
_MEASURES = {"size", "count", "num", "total", "price", "amount"}  # words of columns that count, and name no kind
_TEXTS = {"name", "title", "text", "description", "summary", "comment", "review"}  # words of columns that people read
_LENGTHS = (20, 50, 100, 200)
_JUDGED_LISTS = 500  # wanted on the held-out days: with fewer no difference shows
_HELD_OUT_SHARE = 0.1  # of the days, at most
_DAY_US = 86_400_000_000
_FUTURE_SHARE = 0.002  # of the events that may lie a day or more behind the proposed run date


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a config for these logs says, and what it was read from.

    Attributes:
        sample: the rows.
        roles: our field: their column.
        time_unit: of occurred_at.
        timezone: of iso times without an offset; None: they have one, or are numbers.
        time_pattern: regular expression of the part of the column that is the time; None: all of it.
        actions: empty where the log has none.
        context: further columns to keep.
        features: ``examples.event_features``.
        gap: of sessions.
        k: length of the lists.
        history_length: events of a user that the model sees.
        active_days: days after which a user gets no list.
        holdout_days: last days that the model is judged on.
        run_date: the last day with more than a few events, ends of the files included.
        newest_seen: whether the end of the last file was read.
        days: first and last day of the sample, UTC; the last is the run date where the files go on behind the sample.
        num_users: different ones in the sample.
        refused_share: of the rows, that the jobs would put into quarantine.
    """

    sample: Sample
    roles: Roles
    time_unit: str
    timezone: str | None
    time_pattern: str | None
    actions: tuple[SeenAction, ...]
    context: tuple[str, ...]
    features: tuple[str, ...]
    gap: Gap
    k: int
    history_length: int
    active_days: int
    holdout_days: int
    run_date: date
    newest_seen: bool
    days: tuple[date, date]
    num_users: int
    refused_share: float


def suggest(pattern: str) -> Suggestion:
    """Read a sample of the files and propose a config; nothing is written.

    Raises:
        InputError: no file matches, no row can be read, no column holds a time, a user or an item, or no row all three.
    """
    try:
        return _suggested(pattern)
    except (csv.Error, OSError, pa.ArrowException, ValueError, RecursionError) as error:
        raise InputError(f"{pattern}: cannot be read as raw logs ({error}), wanted files of one sound form") from error


def _suggested(pattern: str) -> Suggestion:
    sample = read_sample(pattern)
    profiles = [profile(name, place, texts) for place, (name, texts) in enumerate(sample.columns.items())]
    roles = roles_of(profiles)
    time = roles.columns["occurred_at"]
    unit = time.time_unit or "iso"
    timezone = "UTC" if unit == "iso" and not time.has_offset else None
    actions = _actions(sample, roles)
    times_us, sound = _judged(sample, roles, (unit, timezone), actions)
    if not sound.any():
        raise InputError(
            f"{pattern}: no row holds a user, an item and a time in 1990 to 2099 (column {time.name}, {unit}), wanted "
            "raw logs"
        )
    users, num_users = _numbered(sample.columns[roles.columns["user_id"].name])
    days = [datetime.fromtimestamp(at / 1e6, UTC).date() for at in np.quantile(times_us[sound], (0, 1))]
    latest, newest_seen = _latest(sample, time, (unit, timezone), times_us[sound])
    context = [column for column in _context(profiles, roles) if not _is_alias(sample, column, roles)]
    num_items = len({item for item in sample.columns[roles.columns["item_id"].name] if item is not None})
    return Suggestion(
        sample=sample,
        roles=roles,
        time_unit=unit,
        timezone=timezone,
        time_pattern=NAMED_UTC if time.named_utc else None,
        actions=actions,
        context=tuple(column.name for column in context[:_MOST_CONTEXT]),
        features=_features(actions, context[:_MOST_CONTEXT]),
        gap=_gap(sample, roles, unit, timezone),
        k=max(1, min(20, num_items // 10)),
        history_length=_history_length(users[sound]),
        active_days=90,
        holdout_days=_holdout_days(users[sound], times_us[sound], latest) if sample.whole else 1,
        run_date=latest.date(),
        newest_seen=newest_seen,
        days=(days[0], max(days[1], latest.date())),
        num_users=num_users,
        refused_share=1 - float(sound.sum()) / sample.num_rows,
    )


def _actions(sample: Sample, roles: Roles) -> tuple[SeenAction, ...]:
    if "action" not in roles.columns:
        return ()
    of_actions, of_items = (sample.columns[roles.columns[field].name] for field in ("action", "item_id"))
    return seen_actions(of_actions, of_items)


def _judged(
    sample: Sample, roles: Roles, time: tuple[str, str | None], actions: Sequence[SeenAction]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return each row's microseconds, and whether the jobs would accept the row."""
    texts = {field: sample.columns[column.name] for field, column in roles.columns.items()}
    cut = roles.columns["occurred_at"].named_utc
    instants = [_micros(text, *time, cut=cut) for text in texts["occurred_at"]]
    times_us = np.array([np.nan if at is None else at for at in instants])
    without = {action.name for action in actions if not action.has_item}
    of_actions = texts.get("action") or [None] * len(times_us)
    needs_action = "action" in texts
    sound = [
        user is not None and bool(user.strip()) and (action is not None or not needs_action)
        and (action in without or (item is not None and bool(item.strip())))
        for user, item, action in zip(texts["user_id"], texts["item_id"], of_actions, strict=True)
    ]  # fmt: skip
    return times_us, np.array(sound) & ~np.isnan(times_us)


def _latest(
    sample: Sample, column: Profile, time: tuple[str, str | None], times_us: npt.NDArray[np.float64]
) -> tuple[datetime, bool]:
    """Return the instant behind which few events lie, and whether the last file was read to its end.

    A sample holds the first rows of a file. Where a file goes on, for a day or a year, its end counts as well.
    """
    latest_us = float(np.quantile(times_us, 1 - _FUTURE_SHARE))
    texts: list[str | None] = []
    newest_seen = True
    if not sample.whole:
        texts, newest_seen = read_ends(sample, column.name)
    instants = [_micros(text, *time, cut=column.named_utc) for text in texts]
    ends_us = [at for at in instants if at is not None]
    if ends_us:
        # of few rows too one clock that runs ahead is no last day
        latest_us = max(latest_us, float(np.quantile(ends_us, 1 - _FUTURE_SHARE, method="lower")))
    return datetime.fromtimestamp(latest_us / 1e6, UTC), newest_seen


def _gap(sample: Sample, roles: Roles, unit: str, timezone: str | None) -> Gap:
    user, time = roles.columns["user_id"], roles.columns["occurred_at"]
    texts = read_stretch(sample, (user.name, time.name))
    instants = [_micros(text, unit, timezone, cut=time.named_utc) for text in texts[time.name]]
    times_us = np.array([np.nan if at is None else at for at in instants])
    users, _ = _numbered(texts[user.name])
    sound = ~np.isnan(times_us) & np.array([text is not None for text in texts[user.name]])
    first, last = np.quantile(times_us[sound], (0.001, 0.999))  # a clock that is years off stretches nothing
    return find_gap(pauses_of(users[sound], times_us[sound]), (last - first) / 1e6)


def _micros(text: str | None, unit: str, timezone: str | None, *, cut: bool) -> float | None:
    named = re.match(NAMED_UTC, text) if cut and text else None
    return micros(named[1] if named else text, unit, timezone)


def _numbered(texts: Sequence[str | None]) -> tuple[npt.NDArray[np.int64], int]:
    numbers: dict[str | None, int] = {}
    found = np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int64)
    return found, len(numbers) - (None in numbers)


def _context(profiles: Sequence[Profile], roles: Roles) -> list[Profile]:
    """Return the columns that look like categories: several values, each met often, none a long text."""
    taken = {roles.clock, *(column.name for column in roles.columns.values())}
    return [
        column
        for column in profiles
        if column.name not in taken
        and 2 <= column.num_distinct <= min(_MOST_VALUES, max(2, column.counts.total() // 10))
        and column.mean_length <= _LONGEST_VALUE
        and column.time_unit != "iso"
        and not column.tokens & (_MEASURES | _TEXTS)
        and not (column.numeric > 0.9 > column.whole)
    ]


def _is_alias(sample: Sample, column: Profile, roles: Roles) -> bool:
    """Return whether a column is another name of the users or items: each value goes with one of theirs, and back."""
    for field in ("user_id", "item_id"):
        own = roles.columns[field]
        if 0.9 < column.num_distinct / own.num_distinct < 1.1:
            pairs = set(zip(sample.columns[column.name], sample.columns[own.name], strict=True))
            if len(pairs) < 1.1 * own.num_distinct:
                return True
    return False


def _features(actions: Sequence[SeenAction], context: Sequence[Profile]) -> tuple[str, ...]:
    """Choose what the model reads: the columns in which one value says least about all rows come first."""
    of_user = {"session", "user", "visitor"}
    good = [
        column for column in context
        if column.num_distinct <= _MOST_FEATURE_VALUES and column.filled > 0.5 and not column.tokens & of_user
    ]  # fmt: skip
    even = sorted(good, key=lambda column: (max(column.counts.values()) / column.counts.total(), column.position))
    chosen = [column.name for column in even[:_MOST_FEATURES]]
    return (*(["action"] if len(actions) > 1 else []), *sorted(chosen, key=[c.name for c in context].index))


def _history_length(users: npt.NDArray[np.int64]) -> int:
    """Return the round number that holds the events of 95 in 100 users of the sample, 50 at least."""
    events = np.unique(users, return_counts=True)[1]
    wanted = float(np.quantile(events, 0.95))
    return max(50, next((length for length in _LENGTHS if length >= wanted), _LENGTHS[-1]))


def _holdout_days(users: npt.NDArray[np.int64], times_us: npt.NDArray[np.float64], latest: datetime) -> int:
    """Return the fewest last days with enough users to judge by, each day counting its own, and at least one."""
    day_of = np.floor(times_us / _DAY_US).astype(np.int64)
    last, lists = int(latest.timestamp() // 86400), np.unique(np.stack([users, day_of]), axis=1)[1]
    first = float(np.quantile(day_of, 0.001))  # a clock that is years off stretches nothing
    most = max(1, int(_HELD_OUT_SHARE * (last - first + 1)))
    enough = (days for days in range(1, most) if np.sum((lists <= last) & (lists > last - days)) >= _JUDGED_LISTS)
    return next(enough, most)
