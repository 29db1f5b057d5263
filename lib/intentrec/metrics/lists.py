"""What lists are like beyond being right: novel, diverse, serendipitous, not only popular.

U users   K places of a list, best first; 0 is an empty place   V items + 1   F features of an item
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentrec.metrics.ranking import Relevant, hits

Items = NDArray[np.integer[Any]]
_AT_ONCE = 4_000_000  # features of items of lists: 32 MB


def novelty(items_UK: Items, counts_V: NDArray[np.integer[Any]], num_users: int, k: int) -> NDArray[np.float64]:
    """Return for every user the mean of -log2(share of users who know the item) over the first ``k`` places, bits.

    Args:
        items_UK: item indices, best first.
        counts_V: users who know each item; none counts as one.
        num_users: all of them.
        k: places that count; empty ones do not. 0 for an empty list.

    Source: Zhou et al., Solving the apparent diversity-accuracy dilemma (PNAS 2010), surprisal.
    """
    items_UK = np.asarray(items_UK)[:, :k]
    bits_V = -np.log2(np.clip(counts_V, 1, num_users) / num_users)
    there_UK = items_UK > 0
    mean_U: NDArray[np.float64] = (bits_V[items_UK] * there_UK).sum(axis=1) / np.maximum(there_UK.sum(axis=1), 1)
    return mean_U


def intra_list_diversity(items_UK: Items, features_VF: NDArray[np.floating[Any]], k: int) -> NDArray[np.float64]:
    """Return for every user the mean of 1 - cosine over the pairs of the first ``k`` places.

    Args:
        items_UK: item indices, best first.
        features_VF: of every item, its categories say; an item without any is like no other.
        k: places that count; empty ones do not. 0 for a list of fewer than two items.

    Source: Ziegler et al., Improving recommendation lists through topic diversification (WWW 2005), section 3.3.
    """
    items_UK = np.asarray(items_UK)[:, :k]
    there_UK = items_UK > 0
    lengths_V = np.sqrt(np.einsum("vf,vf->v", features_VF, features_VF, dtype=np.float64))
    lengths_V = np.where(lengths_V > 0, lengths_V, 1.0)
    num_U = there_UK.sum(axis=1)
    similar_U = np.zeros(len(items_UK))  # sum over ordered pairs of two items
    chunk = max(1, _AT_ONCE // max(1, items_UK.shape[1] * features_VF.shape[1]))
    for start in range(0, len(items_UK), chunk):
        own_UK, there = items_UK[start : start + chunk], there_UK[start : start + chunk]
        directions_UKF = np.asarray(features_VF[own_UK], np.float64) * (there / lengths_V[own_UK])[:, :, None]
        with_itself_U = (directions_UKF**2).sum(axis=(1, 2))
        similar_U[start : start + chunk] = (directions_UKF.sum(axis=1) ** 2).sum(axis=1) - with_itself_U
    pairs_U = num_U * (num_U - 1)
    return np.where(pairs_U > 0, 1 - similar_U / np.maximum(pairs_U, 1), 0.0)


def intent_coverage(
    items_UK: Items, wanted_UN: NDArray[np.floating[Any]], categories_VC: Items, k: int
) -> NDArray[np.float64]:
    """Return for every user the share of what he wants that the first ``k`` places serve at least once.

    Args:
        items_UK: item indices, best first.
        wanted_UN: how much a user wants each category; column 0 (none) does not count.
        categories_VC: of every item, 0 for none.
        k: places that count; empty ones do not.

    Returns:
        From 0 to 1; 0 for a user who wants nothing.

    Source: intent-aware recall of subtopics, Zhai, Cohen and Lafferty (SIGIR 2003), with subtopics weighted.
    """
    items_UK = np.asarray(items_UK)[:, :k]
    served_UN = np.zeros(wanted_UN.shape, dtype=bool)
    own_UKC = categories_VC[items_UK] * (items_UK > 0)[:, :, None]
    served_UN[np.arange(len(items_UK))[:, None, None], own_UKC] = True
    served_UN[:, 0] = False
    wanted_U = wanted_UN[:, 1:].sum(axis=1)
    share_U: NDArray[np.float64] = (wanted_UN * served_UN).sum(axis=1) / np.where(wanted_U > 0, wanted_U, 1.0)
    return share_U


def serendipity(items_UK: Items, relevant: Relevant, expected_UK: Items, k: int) -> NDArray[np.float64]:
    """Return for every user the hits among the first ``k`` places that nobody needed a model for, left out, over ``k``.

    Args:
        items_UK: item indices, best first.
        relevant: of the same users.
        expected_UK: lists of a primitive recommender, popularity say; its first ``k`` places are expected.
        k: places that count.

    Raises:
        ValueError: the users differ in number, one has no relevant item, or a relevant item is 0.

    Source: Ge, Delgado-Battenfeld and Jannach, Beyond accuracy (RecSys 2010), section 3.2.
    """
    items_UK, expected_UK = np.asarray(items_UK)[:, :k], np.asarray(expected_UK)[:, :k]
    surprising_UK = ~(items_UK[:, :, None] == expected_UK[:, None, :]).any(axis=2)
    share_U: NDArray[np.float64] = (hits(items_UK, relevant)[0] & surprising_UK).sum(axis=1) / k
    return share_U


def debiased_recall(
    items_UK: Items, relevant: Relevant, counts_V: NDArray[np.integer[Any]], k: int, power: float = 0.5
) -> float:
    """Return the recall of all users together, where an item of n events counts n to the power of -``power``.

    Args:
        items_UK: item indices, best first.
        relevant: of the same users; an item that no list can hold counts as one without events.
        counts_V: events of each item in training; none counts as one.
        k: places that count.
        power: 0: plain recall, 1: the inverse of popularity.

    Returns:
        From 0 to 1; nan without users.

    Raises:
        ValueError: the users differ in number, one has no relevant item, or a relevant item is 0.

    Source: Steck, Item popularity and recommendation accuracy (RecSys 2011), section 3, popularity-stratified recall.
    """
    items_UK = np.asarray(items_UK)[:, :k]
    hits_UK, _ = hits(items_UK, relevant)
    weights_V = np.maximum(counts_V, 1).astype(np.float64) ** -power
    owners_R = np.repeat(np.arange(len(relevant)), np.diff(relevant.offsets))
    pairs_R2 = np.unique(np.stack([owners_R, relevant.items], axis=1), axis=0)
    items_R = pairs_R2[:, 1]
    known_R = (items_R > 0) & (items_R < len(weights_V))
    wanted = weights_V[items_R[known_R]].sum() + (~known_R).sum()
    return float(weights_V[items_UK[hits_UK]].sum() / wanted) if wanted else float("nan")
