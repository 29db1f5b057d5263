"""Candidates, best first -> lists of K that keep every limit, exactly as if all candidates had been looked at.

Taken one after the other, the best candidates may bar each other until nothing fits; such a list is repaired.

B users   R some of them   N candidates of a user   K places   G groups of items   M groups of an item   C list rules
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from intentrec.rules.compiling import Indices, View
from intentrec.rules.repairing import counted, fuller


class Found(NamedTuple):
    """Candidates of some users, best first.

    Attributes:
        items_RN: int64 item indices, none twice; 0 is none.
        scores_RN: float64.
        more_R: bool, whether the user has candidates beyond these.
    """

    items_RN: Indices
    scores_RN: NDArray[np.float64]
    more_R: NDArray[np.bool_]

    @classmethod
    def nothing(cls, num_users: int) -> "Found":
        """Return that there is no candidate."""
        return cls(np.zeros((num_users, 0), np.int64), np.zeros((num_users, 0)), np.zeros(num_users, bool))


Fetch = Callable[[Indices, int], Found]  # some users and a depth -> at least that many of their candidates

_OVER_FETCH = 4  # times K, at first; whoever needs more is looked at again
_COUNTS_AT_ONCE = 4_000_000  # counted groups of all users at once: 32 MB


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Lists, best first but for pinned places.

    Attributes:
        items_BK: int64 item indices, 0 in an empty place.
        scores_BK: float64; 0 in an empty or pinned place.
        pinned_BK: bool.
        passed_BC: int64, candidates that each of ``Rules.listed`` kept off the list although they were better.
    """

    items_BK: Indices
    scores_BK: NDArray[np.float64]
    pinned_BK: NDArray[np.bool_]
    passed_BC: Indices

    @classmethod
    def empty(cls, num_users: int, k: int, num_rules: int) -> "Chosen":
        """Return lists without any item."""
        shape = (num_users, k)
        return cls(
            np.zeros(shape, np.int64),
            np.zeros(shape),
            np.zeros(shape, bool),
            np.zeros((num_users, num_rules), np.int64),
        )

    def set(self, rows: Indices, other: "Chosen") -> None:
        """Write the lists of some users in their place."""
        for name in ("items_BK", "scores_BK", "pinned_BK", "passed_BC"):
            getattr(self, name)[rows] = getattr(other, name)

    def rows(self, rows: Indices) -> "Chosen":
        """Return a copy of the lists of some users."""
        return Chosen(self.items_BK[rows], self.scores_BK[rows], self.pinned_BK[rows], self.passed_BC[rows])


def select(view: View, excluded: Sequence[Indices], fetch: Fetch, num_rules: int) -> Chosen:
    """Choose the lists of some users of one view.

    Pinned items take their places where the user may have them; then the candidates, best first, each if no group of
    it is full. That looks at a prefix of the candidates, so the first 4 K serve nearly everybody; whoever is not full
    then and has more is looked at again, four times as deep; whoever is not full at their end gets a ``repair``.

    Args:
        view: the rules for these users.
        excluded: item indices that each user's list may not hold.
        fetch: what ``excluded`` and ``view.bias`` leave.
        num_rules: C.

    Returns:
        The lists, with empty places where no candidate fits any more.
    """
    num_users = len(excluded)
    if view.plain:
        items_BK, scores_BK, _ = fetch(np.arange(num_users), view.k)
        chosen = Chosen.empty(num_users, view.k, num_rules)
        chosen.items_BK[:], chosen.scores_BK[:] = items_BK, np.where(items_BK > 0, scores_BK, 0.0)
        return chosen
    lists = Chosen.empty(num_users, view.k, num_rules)
    at_once = max(1, _COUNTS_AT_ONCE // len(view.limits_G))
    for start in range(0, num_users, at_once):
        rows, depth = np.arange(start, min(start + at_once, num_users)), _OVER_FETCH * view.k
        while len(rows):
            chosen = pinned(view, [excluded[row] for row in rows.tolist()], num_rules)
            found = fetch(rows, depth)
            open_R = take(view, chosen, found.items_RN, found.scores_RN)
            ended = np.flatnonzero(open_R & ~found.more_R)
            repair(view, chosen, ended, found.items_RN[ended], found.scores_RN[ended])
            lists.set(rows, chosen)
            rows, depth = rows[open_R & found.more_R], 4 * depth
    return lists


def take(view: View, lists: Chosen, items_RN: Indices, scores_RN: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Put candidates into empty places, one after the other, each if none of its groups is full.

    Args:
        view: the rules for these users.
        lists: changed in place.
        items_RN: candidates, best first, none of them on the list and none twice; 0 is none.
        scores_RN: of the same.

    Returns:
        bool [R], which lists have empty places left.
    """
    num_users = len(items_RN)
    groups_VM = view.groups_VM if view.groups_VM is not None else np.zeros((len(view.allowed_V), 1), np.int64)
    limits_G = view.limits_G if view.groups_VM is not None else np.array([np.iinfo(np.int64).max])
    counts_RG = counted(lists.items_BK, groups_VM, len(limits_G))
    places_RK = np.argsort(lists.items_BK > 0, axis=1, kind="stable")  # the empty ones first, from the top
    empty_R = (lists.items_BK == 0).sum(axis=1)
    taken_R = np.zeros(num_users, dtype=np.int64)
    for items_R, scores_R in zip(items_RN.T, scores_RN.T, strict=True):
        open_R = taken_R < empty_R
        if not open_R.any():
            break
        rows = np.flatnonzero(open_R & (items_R > 0))
        groups_RM = groups_VM[items_R[rows]]
        full_RM = counts_RG[rows[:, None], groups_RM] >= limits_G[groups_RM]
        stopped_R = full_RM.any(axis=1)
        if stopped_R.any():
            stopping = groups_RM[stopped_R, full_RM[stopped_R].argmax(axis=1)]
            lists.passed_BC[rows[stopped_R], view.rule_of_G[stopping]] += 1
        rows, groups_RM = rows[~stopped_R], groups_RM[~stopped_R]
        counts_RG[rows[:, None], groups_RM] += 1
        places_R = places_RK[rows, taken_R[rows]]
        lists.items_BK[rows, places_R], lists.scores_BK[rows, places_R] = items_R[rows], scores_R[rows]
        taken_R[rows] += 1
    return np.asarray(taken_R < empty_R)


def repair(view: View, lists: Chosen, rows: Indices, items_RN: Indices, scores_RN: NDArray[np.float64]) -> None:
    """Choose short lists anew where that makes them fuller; full lists are left as they are.

    Pins keep their places and what stands there the candidates' order; ``passed_BC`` stays what ``take`` counted.

    Args:
        view: the rules for these users.
        lists: changed in place.
        rows: R of them.
        items_RN: all candidates of these, best first, those on the list among them, pinned ones not; 0 is none.
        scores_RN: of the same.
    """
    short = np.flatnonzero((lists.items_BK[rows] == 0).any(axis=1))
    at_once = max(1, _COUNTS_AT_ONCE // max(len(view.limits_G), items_RN.shape[1], 1))
    for start in range(0, len(short), at_once):
        some = short[start : start + at_once]
        pinned_RK, items_RK = lists.pinned_BK[rows[some]], lists.items_BK[rows[some]]
        num_R = ((items_RK > 0) & ~pinned_RK).sum(axis=1)
        chosen_RN = fuller(view, np.where(pinned_RK, items_RK, 0), items_RN[some], num_R)
        for place in np.flatnonzero(chosen_RN.any(axis=1)).tolist():
            row, own, at = rows[some[place]], some[place], np.flatnonzero(chosen_RN[place])
            free = np.flatnonzero(~pinned_RK[place])
            lists.items_BK[row, free], lists.scores_BK[row, free] = 0, 0.0
            lists.items_BK[row, free[: len(at)]] = items_RN[own, at]
            lists.scores_BK[row, free[: len(at)]] = scores_RN[own, at]


def pinned(view: View, excluded: Sequence[Indices], num_rules: int) -> Chosen:
    """Return lists with nothing but the pinned items that each user may have.

    Args:
        view: the rules for these users.
        excluded: item indices that each user's list may not hold.
        num_rules: C.
    """
    lists = Chosen.empty(len(excluded), view.k, num_rules)
    for slot, item in zip(view.pin_slots_P.tolist(), view.pin_items_P.tolist(), strict=True):
        if view.allowed_V[item]:
            rows = np.array([item not in own for own in excluded], dtype=bool)
            lists.items_BK[rows, slot] = item
            lists.pinned_BK[rows, slot] = True
    return lists
