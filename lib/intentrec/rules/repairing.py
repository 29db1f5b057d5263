"""Limits that clash: which candidates to take so that a list gets full although the best ones bar each other.

R users   N candidates of a user   K places   V items + 1 (0 is padding)   G groups of items   M groups of an item
S kinds of items that are in the same groups   P users that took a candidate
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from intentrec.rules.compiling import Indices, View

_VIEWS_KEPT = 16  # whose items' kinds are kept: 0.8 MB each at 100,000 items


def counted(items_RK: Indices, groups_VM: Indices, num_groups: int) -> Indices:
    """Return counts_RG: how many items of each group the lists hold; what is counted of the last one means nothing."""
    counts_RG = np.zeros((len(items_RK), num_groups), dtype=np.int64)
    rows_R1 = np.arange(len(items_RK))[:, None]
    for items_R in items_RK.T:
        if items_R.any():
            counts_RG[rows_R1, groups_VM[items_R]] += (items_R > 0)[:, None]
    return counts_RG


def fuller(view: View, held_RK: Indices, items_RN: Indices, num_R: Indices) -> NDArray[np.bool_]:
    """Choose other candidates where that makes a list fuller than the best ones, one after the other, made it.

    Items that few limits count leave most to others, so the first 1, 2, 4, ..., K places go to the best of those that
    the fewest limits count, the rest to the best that still fit. The fewest such places that fill a list are taken,
    or else those that fill most of it; what was passed over then cannot be told by rule.

    Args:
        view: limits; of one kind of readers.
        held_RK: items that keep their places, 0 elsewhere.
        items_RN: candidates, best first, none of them held and none twice; 0 is none.
        num_R: how many candidates stand on the lists as they are.

    Returns:
        bool [R, N], the candidates of the fuller list; none where there is no fuller one.
    """
    best_RN, num_R = np.zeros(items_RN.shape, dtype=bool), num_R.copy()
    if view.groups_VM is None:
        return best_RN
    kept_RN, counts_RG = _first_of_each_kind(view, items_RN), counted(held_RK, view.groups_VM, len(view.limits_G))
    few_RN = np.take_along_axis(items_RN, kept_RN, axis=1)
    empty_R = (held_RK == 0).sum(axis=1)
    rows = np.arange(len(items_RN))
    for first in _doubled(view.k):
        own_RN = kept_RN[rows]
        chosen_RN = _chosen(view, counts_RG[rows], few_RN[rows], empty_R[rows], first)
        more = np.flatnonzero(chosen_RN.sum(axis=1) > num_R[rows])
        best_RN[rows[more]] = False
        best_RN[rows[more, None], own_RN[more]] = chosen_RN[more]
        num_R[rows[more]] = chosen_RN[more].sum(axis=1)
        rows = rows[num_R[rows] < empty_R[rows]]
        if not len(rows):
            break
    return best_RN


def _doubled(k: int) -> Iterator[int]:
    first = 1
    while first < k:
        yield first
        first *= 2
    yield k


def _chosen(view: View, counts_RG: Indices, items_RN: Indices, empty_R: Indices, first: int) -> NDArray[np.bool_]:
    """Take ``first`` candidates by fewest groups, then the best, each if it fits; counts_RG is changed."""
    assert view.groups_VM is not None
    (num_users, num_items), nothing = items_RN.shape, len(view.limits_G) - 1
    groups_RNM, rows_R = view.groups_VM[items_RN], np.arange(num_users)
    full_RG = counts_RG >= view.limits_G
    open_RN = (items_RN > 0) & ~full_RG[rows_R[:, None, None], groups_RNM].any(axis=2)
    place_RN = np.broadcast_to(np.arange(num_items), items_RN.shape)
    rank_RN = (groups_RNM != nothing).sum(axis=2) * num_items + place_RN
    last = int(rank_RN.max(initial=0)) + 1
    chosen_RN = np.zeros(items_RN.shape, dtype=bool)
    for step in range(int(empty_R.max(initial=0)) if num_items else 0):
        at_R = np.where(open_RN, rank_RN if step < first else place_RN, last).argmin(axis=1)
        rows = np.flatnonzero(open_RN[rows_R, at_R] & (step < empty_R))
        if not len(rows):
            break
        at_P = at_R[rows]
        chosen_RN[rows, at_P], open_RN[rows, at_P] = True, False
        groups_PM = groups_RNM[rows, at_P]
        counts_RG[rows[:, None], groups_PM] += 1
        full_PM = counts_RG[rows[:, None], groups_PM] >= view.limits_G[groups_PM]
        for groups_P, full_P in zip(groups_PM.T, full_PM.T, strict=True):
            shut = rows[full_P]
            open_RN[shut] &= (groups_RNM[shut] != groups_P[full_P, None, None]).all(axis=2)
    return chosen_RN


def _first_of_each_kind(view: View, items_RN: Indices) -> Indices:
    """Return the places, ascending, of all candidates that could be taken, and then of others.

    Of items in the same groups the best are taken first, and never more than the least of their limits.
    """
    kind_V, most_S = _kinds(view)
    kind_RN = kind_V[items_RN]
    order_RN = np.argsort(kind_RN, axis=1, kind="stable")
    sorted_RN = np.take_along_axis(kind_RN, order_RN, axis=1)
    place_RN = np.broadcast_to(np.arange(items_RN.shape[1]), items_RN.shape)
    begins_RN = np.concatenate([np.ones_like(sorted_RN[:, :1], dtype=bool), np.diff(sorted_RN, axis=1) != 0], axis=1)
    before_RN = place_RN - np.maximum.accumulate(np.where(begins_RN, place_RN, 0), axis=1)
    keep_RN = np.zeros(items_RN.shape, dtype=bool)
    np.put_along_axis(keep_RN, order_RN, before_RN < most_S[sorted_RN], axis=1)
    most = int(keep_RN.sum(axis=1).max(initial=0))
    return np.asarray(np.argsort(~keep_RN, axis=1, kind="stable")[:, :most])


@lru_cache(maxsize=_VIEWS_KEPT)
def _kinds(view: View) -> tuple[Indices, Indices]:
    """Return kind_V, the same for items in the same groups, and most_S: how many of a kind a list can hold."""
    assert view.groups_VM is not None
    order_V = np.lexsort(view.groups_VM.T)
    sorted_VM = view.groups_VM[order_V]
    begins_V = np.concatenate([[True], (sorted_VM[1:] != sorted_VM[:-1]).any(axis=1)])
    kind_V = np.empty(len(order_V), dtype=np.int64)
    kind_V[order_V] = np.cumsum(begins_V)
    kind_V[0] = 0  # of padding nothing is kept
    most_S = np.minimum(view.limits_G[sorted_VM[begins_V]].min(axis=1), view.k)
    return kind_V, np.concatenate([[0], most_S])
