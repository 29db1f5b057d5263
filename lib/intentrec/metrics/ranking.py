"""Ranking metrics over full lists: per user first, means after. Never sampled.

U users   K places of a list, best first   R relevant items of all users together
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from intentrec.metrics.intervals import bootstrap_means

METRIC_NAMES = ("hit_rate", "recall", "precision", "ndcg", "mrr", "map")


@dataclass(frozen=True, slots=True)
class Relevant:
    """What the users really did next: items of user u are ``items[offsets[u]:offsets[u + 1]]``.

    Attributes:
        offsets: int64, number of users + 1, from 0, ascending.
        items: item indices in any order, a repeated one counts once. An item that no list can hold (the
            vocabulary lacks it) carries a negative number of its own: it still counts as relevant.
    """

    offsets: NDArray[np.integer[Any]]
    items: NDArray[np.integer[Any]]

    @classmethod
    def of(cls, items_of_users: Sequence[Iterable[int]]) -> Self:
        """Build from one collection of item indices per user."""
        lists = [list(items) for items in items_of_users]
        offsets = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        return cls(offsets, np.array([item for items in lists for item in items], dtype=np.int64))

    def __len__(self) -> int:
        """Return the number of users."""
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over users, as a row of METRICS holds it; k is null where it has no meaning."""

    metric: str
    k: int | None
    value: float
    low: float
    high: float
    num_users: int


def ranking_metrics(items_UK: NDArray[np.integer[Any]], relevant: Relevant, k: int) -> dict[str, NDArray[np.float64]]:
    """Judge the first ``k`` places of every user's list.

    hit_rate: 1 if any place hits. recall: hits / relevant. precision: hits / k, also for a shorter list. mrr: 1 / rank
    of the first hit. ndcg: sum of 1 / log2(rank + 1) over hits, divided by that of min(k, relevant) hits on top.
    map: mean over min(k, relevant) of the precision at each hit.

    Args:
        items_UK: item indices, best first; 0 is an empty place. An item that is repeated hits at its first place only.
        relevant: of the same users in the same order; every user has at least one item.
        k: places that count; a list with fewer has misses after them.

    Returns:
        METRIC_NAMES -> float64 per user.

    Raises:
        ValueError: the users differ in number, one has no relevant item, or a relevant item is 0.

    Source: Jarvelin and Kekalainen, Cumulated Gain-Based Evaluation of IR Techniques (TOIS 2002), section 2, for ndcg.
    """
    items_UK = np.asarray(items_UK)[:, :k]
    hits_UK, num_relevant_U = hits(items_UK, relevant)
    ranks_K = np.arange(1, items_UK.shape[1] + 1)
    ideal_U = np.minimum(num_relevant_U, k)
    gains_k = 1 / np.log2(np.arange(1, k + 1) + 1)
    num_hits_U = hits_UK.sum(axis=1)
    precision_UK = np.cumsum(hits_UK, axis=1) / ranks_K
    return {
        "hit_rate": (num_hits_U > 0).astype(np.float64),
        "recall": num_hits_U / num_relevant_U,
        "precision": num_hits_U / k,
        "ndcg": (hits_UK * gains_k[: len(ranks_K)]).sum(axis=1) / np.cumsum(gains_k)[ideal_U - 1],
        "mrr": (hits_UK / ranks_K).max(axis=1, initial=0.0),
        "map": (hits_UK * precision_UK).sum(axis=1) / ideal_U,
    }


def coverage(items_UK: NDArray[np.integer[Any]], eligible: NDArray[np.integer[Any]], k: int) -> float:
    """Return the share of eligible items that stand in the first ``k`` places of at least one user.

    Args:
        items_UK: item indices, best first; 0 is an empty place.
        eligible: item indices that may be recommended, a repeated one counts once.
        k: places that count.

    Returns:
        From 0 to 1; nan where no item is eligible.
    """
    wanted = np.unique(eligible)
    return float(np.isin(wanted, np.asarray(items_UK)[:, :k]).mean()) if len(wanted) else float("nan")


def summarize(figures_of_users: Mapping[str, NDArray[np.float64]], k: int, seed: int) -> tuple[Figure, ...]:
    """Return the mean and 90 % interval of each metric; the same users are resampled for all of them.

    Args:
        figures_of_users: from ``ranking_metrics``, users in user_id order.
        k: the places that counted.
        seed: of the resampling.
    """
    names = list(figures_of_users)
    if not names:
        return ()
    values_UM = np.stack([figures_of_users[name] for name in names], axis=1)
    intervals = bootstrap_means(values_UM, seed)
    return tuple(
        Figure(name, k, *interval, num_users=len(values_UM)) for name, interval in zip(names, intervals, strict=True)
    )


def hits(items_UK: NDArray[np.integer[Any]], relevant: Relevant) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which places hit, and how many distinct relevant items each user has.

    Raises:
        ValueError: the users differ in number, one has no relevant item, or a relevant item is 0.
    """
    if len(items_UK) != len(relevant):
        raise ValueError(f"lists of {len(items_UK)} users, relevant items of {len(relevant)}")
    if np.any(relevant.items == 0):
        raise ValueError("item 0 is padding and cannot be relevant")
    users_U = np.arange(len(items_UK))
    users_R = np.repeat(users_U, np.diff(relevant.offsets))
    low = min(items_UK.min(initial=0), relevant.items.min(initial=0))
    span = int(max(items_UK.max(initial=0), relevant.items.max(initial=0)) - low + 1)  # users * span fits int64
    keys_R = np.unique(users_R * span + (relevant.items - low))
    num_relevant_U = np.bincount(keys_R // span, minlength=len(users_U))
    if np.any(num_relevant_U == 0):
        raise ValueError(f"user {int(np.argmin(num_relevant_U))} has no relevant item: leave such users out")
    keys_UK = users_U[:, None] * span + (items_UK - low)
    return np.isin(keys_UK, keys_R) & ~_repeated(items_UK), num_relevant_U


def _repeated(items_UK: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Return which places hold an item that stands further up in the same list."""
    order_UK = np.argsort(items_UK, axis=1, kind="stable")
    sorted_UK = np.take_along_axis(items_UK, order_UK, axis=1)
    repeated_UK = np.zeros(items_UK.shape, dtype=bool)
    np.put_along_axis(repeated_UK, order_UK[:, 1:], sorted_UK[:, 1:] == sorted_UK[:, :-1], axis=1)
    return repeated_UK
