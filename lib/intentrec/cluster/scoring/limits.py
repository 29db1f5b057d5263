"""Lists under limits and pins: what was proposed keeps its order as far as the rules let it.

B users   R some of them   N candidates of a user   K places   P pins   F filler items
"""

import math
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from intentrec.cluster.judging import Indices
from intentrec.cluster.scoring.columns import FALLBACK, PINNED, Lists
from intentrec.rules import Chosen, Fetch, Found, View, repair, select, take

_AT_ONCE = 256  # filler items looked at together
_COLUMNS = tuple(column.name for column in fields(Lists) if column.name.endswith("_BK"))
_AGAIN_AT_ONCE = 1_000_000  # candidates of all users whose lists are made anew: 8 MB an array


def keep_limits(
    view: View, num_rules: int, proposed: Lists, seen: Sequence[Indices], deeper: Fetch, pins_BP: NDArray[np.float64]
) -> Lists:
    """Keep the limits and pins of a view.

    The proposed places come first, in their order; where a rule stops one, the best of all other candidates follow.

    Args:
        view: the rules for these users.
        num_rules: rules that can pass candidates over.
        proposed: the users' lists as scores and policies want them, no pinned item among them.
        seen: item indices that each user's list may not hold.
        deeper: the best candidates of some users.
        pins_BP: the model's scores of ``view.pin_items_P``.
    """

    def fetch(rows: Indices, depth: int) -> Found:
        first_RK, found = proposed.items_BK[rows], deeper(rows, depth)
        again_RN = (found.items_RN[:, :, None] == first_RK[:, None, :]).any(axis=2)
        items = np.concatenate([first_RK, np.where(again_RN, 0, found.items_RN)], axis=1)
        return Found(items, np.concatenate([proposed.scores_BK[rows], found.scores_RN], axis=1), found.more_R)

    chosen = select(view, seen, fetch, num_rules)
    return with_pins(view, _as_proposed(proposed, chosen), chosen, pins_BP)


def with_pins(view: View, lists: Lists, chosen: Chosen, pins_BP: NDArray[np.float64]) -> Lists:
    """Mark the pinned places and give them their scores."""
    scores_BK, sources_BK = lists.scores_BK.copy(), lists.sources_BK.copy()
    sources_BK[chosen.pinned_BK] = PINNED
    for pin, slot in enumerate(view.pin_slots_P.tolist()):
        rows = chosen.pinned_BK[:, slot]
        scores_BK[rows, slot] = pins_BP[rows, pin]
    return replace(lists, scores_BK=scores_BK, sources_BK=sources_BK, passed_BC=chosen.passed_BC)


def _as_proposed(proposed: Lists, chosen: Chosen) -> Lists:
    """Return the chosen items with all that stands at their proposed places; others are the model's."""
    carried = _carried(proposed, chosen.items_BK)
    return replace(carried, items_BK=chosen.items_BK, scores_BK=chosen.scores_BK)


def _carried(lists: Lists, items_BK: Indices) -> Lists:
    """Return the lists with every item where ``items_BK`` has it, and nothing where the lists do not hold an item."""
    same_BKK = (items_BK[:, :, None] == lists.items_BK[:, None, :]) & (items_BK[:, :, None] > 0)
    there_BK, place_BK = same_BKK.any(axis=2), same_BKK.argmax(axis=2)
    empty = Lists.empty(*items_BK.shape)
    moved = {
        name: np.where(there_BK, np.take_along_axis(getattr(lists, name), place_BK, axis=1), getattr(empty, name))
        for name in _COLUMNS
    }
    return replace(empty, **moved)


def fill_places(
    view: View, lists: Lists, seen: Sequence[Indices], filler: Indices, filler_scores: NDArray[np.float32]
) -> Lists:
    """Fill empty places with what is popular, limits kept; scores go on falling from where the model's end.

    A list that stays short although others of its items and of the filler would fill it is made of those.

    Args:
        view: the rules for these users.
        lists: of ``keep_limits``, some with empty places.
        seen: item indices that each user's list may not hold.
        filler: item indices, best first, all allowed, none pinned.
        filler_scores: of the same, never rising.
    """
    rows = np.flatnonzero((lists.items_BK == 0).any(axis=1))
    if not len(rows):
        return lists
    assert lists.passed_BC is not None, "lists of keep_limits are wanted"
    being = Chosen(lists.items_BK.copy(), lists.scores_BK.copy(), lists.sources_BK == PINNED, lists.passed_BC.copy())
    for start in range(0, len(filler), _AT_ONCE):
        block = filler[start : start + _AT_ONCE]
        some = being.rows(rows)
        taken = [np.isin(block, np.concatenate([seen[row], being.items_BK[row]])) for row in rows.tolist()]
        scores_RF = np.broadcast_to(filler_scores[start : start + _AT_ONCE].astype(np.float64), (len(rows), len(block)))
        still_open_R = take(view, some, np.where(taken, 0, block), scores_RF)
        being.set(rows, some)
        rows = rows[still_open_R]
        if not len(rows):
            break
    lists = _made_anew(view, being, rows, lists, [seen[row] for row in rows.tolist()], (filler, filler_scores))
    before_BK = lists.items_BK > 0
    filled_BK = (being.items_BK > 0) & ~before_BK
    ranked_BK = before_BK & ~being.pinned_BK
    scores_BK = _falling(being.scores_BK, filled_BK, ranked_BK)
    sources_BK = np.where(filled_BK, FALLBACK, lists.sources_BK).astype(np.int8)
    return replace(
        lists, items_BK=being.items_BK, scores_BK=scores_BK, sources_BK=sources_BK, passed_BC=being.passed_BC
    )


def _made_anew(
    view: View,
    being: Chosen,
    rows: Indices,
    lists: Lists,
    seen: Sequence[Indices],
    filler: tuple[Indices, NDArray[np.float32]],
) -> Lists:
    """Repair short lists, in place, out of what stood there before, then the whole filler.

    Args:
        view: the rules for these users.
        being: the lists of all users, as far as they could be filled.
        rows: R that are short.
        lists: of all users, before they were filled.
        seen: item indices that the list of each of ``rows`` may not hold.
        filler: item indices and their scores.

    Returns:
        ``lists``, with what is left of them where ``being`` has it.
    """
    if view.groups_VM is None or not len(rows):
        return lists
    filler_F, scores_F = filler
    at_once = max(1, _AGAIN_AT_ONCE // (view.k + len(filler_F)))
    for start in range(0, len(rows), at_once):
        some, own = rows[start : start + at_once], seen[start : start + at_once]
        stood_RK = np.where(being.pinned_BK[some], 0, lists.items_BK[some])
        taken = [np.isin(filler_F, np.concatenate(pair)) for pair in zip(own, stood_RK, strict=True)]
        items_RN = np.concatenate([stood_RK, np.where(taken, 0, filler_F)], axis=1)
        scores_RF = np.broadcast_to(scores_F.astype(np.float64), (len(some), len(scores_F)))
        repair(view, being, some, items_RN, np.concatenate([lists.scores_BK[some], scores_RF], axis=1))
    before = replace(lists, passed_BC=None, **{name: getattr(lists, name)[rows] for name in _COLUMNS})
    carried, columns = _carried(before, being.items_BK[rows]), {name: getattr(lists, name).copy() for name in _COLUMNS}
    for name, column_BK in columns.items():
        column_BK[rows] = getattr(carried, name)
    return replace(lists, **columns)


def _falling(
    scores_BK: NDArray[np.float64], filled_BK: NDArray[np.bool_], ranked_BK: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Lower the filled places' scores below the lowest that the model gave, where there is one."""
    lowest_B1 = np.where(ranked_BK, scores_BK, math.inf).min(axis=1, keepdims=True)
    first_B1 = np.where(filled_BK, scores_BK, -math.inf).max(axis=1, keepdims=True)
    drop_B1 = np.where(np.isfinite(lowest_B1) & np.isfinite(first_B1), np.minimum(0.0, lowest_B1 - first_B1), 0.0)
    return np.where(filled_BK, np.minimum(scores_BK + drop_B1, lowest_B1), scores_BK)  # the sum is rounded
