"""What a user's own history says of his taste: the mix of categories, and how often he tries a new one.

B users   E events of all users   V items + 1   C categories kept per item   N categories + 1 (0 is none)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
NEUTRAL = 0.5  # propensity of a user whose events have no category: his strength is that of the config


def shares_of(categories_XC: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return how much of an item counts for each of its categories: equal shares; 0 (none) where it has no category.

    Args:
        categories_XC: categories of items, 0 for none, any shape before the last dimension.
    """
    there = categories_XC > 0
    number = there.sum(axis=-1, keepdims=True)
    shares: NDArray[np.float64] = np.where(there, 1.0 / np.maximum(number, 1), 0.0)
    shares[..., 0] += number[..., 0] == 0
    return shares


def category_mix(items: Sequence[Indices], categories_VC: Indices, num_categories: int) -> NDArray[np.float64]:
    """Return float64 [B, N], each user's share of events per category; column 0 are events without one.

    Args:
        items: item indices of every user's events; 0 is an unknown item and does not count.
        categories_VC: of every item.
        num_categories: the greatest category.

    Returns:
        Rows that sum to 1, or to 0 for a user without a known item.
    """
    rows_E, items_E = _known(items)
    mix_BN = np.zeros((len(items), num_categories + 1))
    own_EC = categories_VC[items_E]
    np.add.at(mix_BN, (rows_E[:, None], own_EC), shares_of(own_EC))
    total_B1 = mix_BN.sum(axis=1, keepdims=True)
    return np.divide(mix_BN, total_B1, out=np.zeros_like(mix_BN), where=total_B1 > 0)


def novelty_propensity(
    items: Sequence[Indices], times: Sequence[Indices], categories_VC: Indices, gap_s: int
) -> NDArray[np.float64]:
    """Return float64 [B] from 0 to 1: the share of events in a category that the user had not met before.

    It is the mean of the share over the whole history and over the last session. An item's first category counts.

    Args:
        items: item indices of every user's events, oldest first.
        times: seconds of the same events.
        categories_VC: of every item; events without a category do not count.
        gap_s: a longer pause ends a session.

    Returns:
        ``NEUTRAL`` for a user without an event that counts.

    Source: the batch reading of a novelty-seeking user; strength of Beyond Item Dissimilarities (arXiv 2405.12327).
    """
    num_users = len(items)
    rows_E, items_E = _known(items)
    times_E = np.concatenate([np.zeros(0, np.int64), *(t[i > 0] for i, t in zip(items, times, strict=True))])
    main_E = categories_VC[items_E, 0]
    rows_E, times_E, main_E = (array[main_E > 0] for array in (rows_E, times_E, main_E))
    first_E = np.zeros(len(rows_E), dtype=bool)
    first_E[np.unique(rows_E * (int(main_E.max(initial=0)) + 1) + main_E, return_index=True)[1]] = True
    new_session_E = np.ones(len(rows_E), dtype=bool)
    new_session_E[1:] = (np.diff(rows_E) > 0) | (np.diff(times_E) > gap_s)
    session_E = np.cumsum(new_session_E)
    last_session_B = np.zeros(num_users, dtype=np.int64)
    last_session_B[rows_E] = session_E  # the last assignment stays
    in_last_E = session_E == last_session_B[rows_E]

    def share(counted_E: NDArray[np.bool_]) -> NDArray[np.float64]:
        hits_B = np.bincount(rows_E, first_E & counted_E, minlength=num_users)
        result: NDArray[np.float64] = hits_B / np.maximum(np.bincount(rows_E, counted_E, minlength=num_users), 1)
        return result

    mean_B = (share(np.ones_like(first_E)) + share(in_last_E)) / 2
    return np.where(last_session_B > 0, mean_B, NEUTRAL)


def _known(items: Sequence[Indices]) -> tuple[Indices, Indices]:
    lengths = [int((own > 0).sum()) for own in items]
    rows_E = np.repeat(np.arange(len(items)), lengths)
    return rows_E, np.concatenate([np.zeros(0, np.int64), *(own[own > 0] for own in items)]).astype(np.int64)
