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
from intentrec.rules import Chosen, Fetch, Found, View, select, take

_AT_ONCE = 256  # filler items looked at together


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
    same_BKK = (chosen.items_BK[:, :, None] == proposed.items_BK[:, None, :]) & (chosen.items_BK[:, :, None] > 0)
    there_BK, place_BK = same_BKK.any(axis=2), same_BKK.argmax(axis=2)
    empty = Lists.empty(*chosen.items_BK.shape)
    moved = {
        name: np.where(there_BK, np.take_along_axis(getattr(proposed, name), place_BK, axis=1), getattr(empty, name))
        for name in (column.name for column in fields(Lists))
        if name.endswith("_BK")
    }
    return replace(empty, **{**moved, "items_BK": chosen.items_BK, "scores_BK": chosen.scores_BK})


def fill_places(
    view: View, lists: Lists, seen: Sequence[Indices], filler: Indices, filler_scores: NDArray[np.float32]
) -> Lists:
    """Fill empty places with what is popular, limits kept; scores go on falling from where the model's end.

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
    before_BK = being.items_BK > 0
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
    filled_BK = (being.items_BK > 0) & ~before_BK
    ranked_BK = before_BK & ~being.pinned_BK
    scores_BK = _falling(being.scores_BK, filled_BK, ranked_BK)
    sources_BK = np.where(filled_BK, FALLBACK, lists.sources_BK).astype(np.int8)
    return replace(
        lists, items_BK=being.items_BK, scores_BK=scores_BK, sources_BK=sources_BK, passed_BC=being.passed_BC
    )


def _falling(
    scores_BK: NDArray[np.float64], filled_BK: NDArray[np.bool_], ranked_BK: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Lower the filled places' scores below the lowest that the model gave, where there is one."""
    lowest_B1 = np.where(ranked_BK, scores_BK, math.inf).min(axis=1, keepdims=True)
    first_B1 = np.where(filled_BK, scores_BK, -math.inf).max(axis=1, keepdims=True)
    drop_B1 = np.where(np.isfinite(lowest_B1) & np.isfinite(first_B1), np.minimum(0.0, lowest_B1 - first_B1), 0.0)
    return np.where(filled_BK, np.minimum(scores_BK + drop_B1, lowest_B1), scores_BK)  # the sum is rounded
