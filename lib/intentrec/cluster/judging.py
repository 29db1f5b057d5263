"""Judged users, day by day: what lists are made of, and what the users then chose.

U users   V items + 1 (0 is padding)   P pairs of items
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from intentrec.baselines import (
    LastItems,
    Source,
    TransitionTable,
    popularity,
    popularity_counts,
    reach_of,
    transitions,
)
from intentrec.cluster.catalogue import Numbers
from intentrec.config import EvaluationConfig
from intentrec.examples import Night
from intentrec.metrics import Relevant
from intentrec.model.inference import Histories

_Value = TypeVar("_Value")
Indices = NDArray[np.int64]
Counts = Mapping[int, Indices]  # window in hours -> events of every item [V]
NUM_SUCCESSORS = 100  # kept per item; the hundredth is below one in a thousand of what follows


@dataclass(frozen=True, slots=True)
class JudgedUsers:
    """What the users of one judged day did before it, and in it.

    Attributes:
        users_U: int64 numbers of the users, ascending; a user has the same one on every day.
        histories: their latest events.
        seen: of every user the item indices that the list may not hold.
        relevant: of every user the items of their own choice.
        current: of every user the items that evidence is looked up by, the running session say; None: the histories'.
        ids: their user_id; None where they have none.
    """

    users_U: Indices
    histories: Histories
    seen: list[Indices]
    relevant: Relevant
    current: list[Indices] | None = None
    ids: list[str] | None = None

    def __len__(self) -> int:
        """Return the number of users."""
        return len(self.seen)

    def looked_up(self) -> Sequence[Indices]:
        """Return the items that evidence is looked up by."""
        return self.histories.items if self.current is None else self.current

    def some(self, num_users: int) -> "JudgedUsers":
        """Return so many of the users at most, in their order; chosen by hash: ids may tell the age of an account."""
        if len(self) <= num_users:
            return self
        names = map(str, self.users_U) if self.ids is None else self.ids
        hashes = [hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest() for name in names]
        rows = sorted(sorted(range(len(self)), key=hashes.__getitem__)[:num_users])
        past, (starts, ends) = self.histories, (self.relevant.offsets[:-1], self.relevant.offsets[1:])

        def chosen(values: Sequence[_Value]) -> list[_Value]:
            return [values[row] for row in rows]

        return JudgedUsers(
            self.users_U[rows],
            Histories(chosen(past.items), chosen(past.times), chosen(past.features)),
            chosen(self.seen),
            Relevant.of([self.relevant.items[starts[row] : ends[row]] for row in rows]),
            None if self.current is None else chosen(self.current),
            None if self.ids is None else chosen(self.ids),
        )


@dataclass(frozen=True, slots=True)
class JudgedDay:
    """A day as the night before it knew it, and the users who did something in it.

    Attributes:
        users: in user_id order.
        counts: events of every item in windows that end where the day begins.
        allowed: bool [V], whether an item may be recommended: not before it had its first event.
        sources: name -> evidence that a prior may weigh, as of where the day begins.
    """

    users: JudgedUsers
    counts: Counts
    allowed: NDArray[np.bool_]
    sources: Mapping[str, Source] = field(default_factory=dict)


def judged_days(
    night: Night, events: DataFrame, numbers: Numbers, span: tuple[int, int], settings: EvaluationConfig
) -> list[JudgedDay]:
    """Collect judged days, each with what the night before it would have known.

    Args:
        night: whose events they are.
        events: rows of ``night.events()``, cached: they are read twice.
        numbers: of the night.
        span: days of the night that begin with the first judged one (1: the run date itself), and how many are judged.
        settings: windows, and the most lists.
    """
    bounds = night.bounds(*span)
    users = collect_judged(night.judged(events, *span, settings.max_lists), span[1])
    counted = popularity(events, bounds[:-1], settings.popularity_hours)
    counts = collect_counts(counted, span[1], settings.popularity_hours, len(numbers.vocabulary.items))
    allowed = [numbers.allowed_before(since) for since in bounds[:-1]]
    return [JudgedDay(*day) for day in zip(users, counts, allowed, strict=True)]


def collect_judged(judged: DataFrame, num_days: int) -> list[JudgedUsers]:
    """Collect rows of ``Night.judged``, at most evaluation.max_lists of them, as one entry per day."""
    rows = judged.toArrow()
    names = np.array(rows["user_id"].to_pylist(), dtype=object)
    users_R = np.unique(names, return_inverse=True)[1].astype(np.int64) if len(names) else np.zeros(0, np.int64)
    ends = np.searchsorted(rows["day"].to_numpy(), np.arange(num_days + 1))
    days = []
    for start, end in pairwise(ends.tolist()):
        own = rows.slice(start, end - start)
        columns = [
            [np.asarray(values, dtype=np.int64) for values in own[name].to_pylist()]
            for name in ("items", "times", "features", "seen")
        ]
        relevant = Relevant.of(own["relevant"].to_pylist())
        ids = own["user_id"].to_pylist()
        days.append(JudgedUsers(users_R[start:end], Histories(*columns[:3]), columns[3], relevant, ids=ids))
    return days


def collect_counts(
    counted: DataFrame, num_cutoffs: int, hours: Sequence[int], num_items: int
) -> list[dict[int, Indices]]:
    """Collect rows of ``baselines.popularity`` by cut-off; a window without an event has zeros."""
    rows = counted.toArrow()
    day, window, item, events = (rows[name].to_numpy() for name in ("day", "hours", "item_index", "num_events"))

    def of(cutoff: int, length: int) -> Indices:
        own = (day == cutoff) & (window == length)
        return popularity_counts(item[own], events[own], num_items)

    return [{length: of(cutoff, length) for length in hours} for cutoff in range(num_cutoffs)]


def collect_transitions(counted: DataFrame, num_items: int) -> TransitionTable:
    """Collect rows of ``baselines.transitions``."""
    rows = counted.toArrow()
    item_P, successor_P, weight_P, total_P = (
        rows[name].to_numpy() for name in ("item_index", "successor_index", "weight", "total")
    )
    return TransitionTable.of(item_P, successor_P, weight_P, total_P, num_items)


def collect_sources(
    events: DataFrame, cutoff: datetime, names: Iterable[str], pause: timedelta, num_items: int
) -> dict[str, LastItems]:
    """Count what followed what before a cut-off, once for each named source.

    Args:
        events: rows of ``Night.events``.
        cutoff: aware instant; events at it or later are not counted.
        names: of ``transitions_name``.
        pause: pairs further apart in time are not counted.
        num_items: greatest item index.

    Returns:
        Name -> what is said by as many of a user's last items as a successor may lie behind.
    """
    tables = {
        name: collect_transitions(transitions(events, cutoff, NUM_SUCCESSORS, pause, reach_of(name)), num_items)
        for name in sorted(set(names))
    }
    return {name: LastItems(table, reach_of(name)) for name, table in tables.items()}
