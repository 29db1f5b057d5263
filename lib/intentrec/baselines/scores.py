"""Counts -> score arrays that the exact top-K engine takes: a dense bias per item, sparse additions per user.

B users   L last items of a user, the right-most is the latest, 0 is padding   V items + 1 (0 is padding)
N collected counts   P kept pairs of items   W windows   R (user, item) pairs with a score
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from intentrec.baselines.names import decayed_name, popularity_name

Indices = NDArray[np.integer[Any]]
_PER_SHARE = 1000.0
_PER_EVENT = 10.0  # from 0.0001 to 0.1 of an event NDCG differed by less than 1 %; a whole one lost up to 4 %


class Additive(NamedTuple):
    """Scores to add, each (row, column) at most once, ascending.

    Attributes:
        rows: int64, place of the user in the batch.
        columns: int64, item index.
        values: float32.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float32]

    def up_to(self, num_items: int) -> "Additive":
        """Return it without the scores of later items than ``num_items``."""
        known_R = self.columns <= num_items
        return Additive(self.rows[known_R], self.columns[known_R], self.values[known_R])

    def starts(self, num_users: int) -> NDArray[np.int64]:
        """Return where each user's scores start, and at last where they end: int64, num_users + 1."""
        return np.searchsorted(self.rows, np.arange(num_users + 1)).astype(np.int64)


def log_shares(found: Additive) -> Additive:
    """Return ln(1 + 1000 * share of the user's whole evidence): a thousandth of it makes 0.69, a tenth 4.6."""
    sums_B = np.bincount(found.rows, weights=found.values)
    shares_R = found.values / np.maximum(sums_B, np.finfo(np.float64).tiny)[found.rows]
    return found._replace(values=np.log1p(_PER_SHARE * shares_R).astype(np.float32))


def weighted_sum(parts: Sequence[tuple[float, Additive]], num_items: int) -> Additive:
    """Add up scores for the same users, each part times its weight."""
    keys_R, places = np.unique(
        np.concatenate([np.zeros(0, np.int64), *(part.rows * (num_items + 1) + part.columns for _, part in parts)]),
        return_inverse=True,
    )
    values = np.concatenate([np.zeros(0), *(weight * part.values.astype(np.float64) for weight, part in parts)])
    sums_R = np.bincount(places, weights=values, minlength=len(keys_R))
    return Additive(keys_R // (num_items + 1), keys_R % (num_items + 1), sums_R.astype(np.float32))


def popularity_counts(item_index_N: Indices, num_events_N: Indices, num_items: int) -> NDArray[np.int64]:
    """Spread one window's collected counts over the catalogue.

    Returns:
        counts_V: int64, V = num_items + 1; 0 for items without events and for padding.
    """
    counts_V = np.zeros(num_items + 1, dtype=np.int64)
    counts_V[item_index_N] = num_events_N
    counts_V[0] = 0
    return counts_V


def decayed_counts(counts_by_hours: Mapping[int, NDArray[np.int64]], half_life_hours: float) -> NDArray[np.float64]:
    """Add up the events of all windows, each halved for every half-life between it and the cut-off.

    An event counts as if it lay in the middle between the window that holds it and the next shorter one.

    Args:
        counts_by_hours: window length -> counts_V.
        half_life_hours: above 0.
    """
    lengths = sorted(counts_by_hours)
    inner_V, inner_hours = np.zeros_like(counts_by_hours[lengths[0]]), 0
    decayed_V = np.zeros(len(inner_V), dtype=np.float64)
    for hours in lengths:
        counts_V = counts_by_hours[hours]
        decayed_V += (counts_V - inner_V) * 0.5 ** ((inner_hours + hours) / 2 / half_life_hours)
        inner_V, inner_hours = counts_V, hours
    return decayed_V


def log_popularity(counts_by_hours: Mapping[int, NDArray[np.int64]], half_life_hours: float) -> NDArray[np.float32]:
    """Return ln(1 + 10 * decayed count): 0 where nothing was counted, a tenth of an event makes 0.69."""
    scores_V: NDArray[np.float32] = np.log1p(_PER_EVENT * decayed_counts(counts_by_hours, half_life_hours))
    return scores_V.astype(np.float32)


@dataclass(frozen=True, slots=True)
class PopularityBaseline:
    """The same list for everybody: the items of one window by count.

    Attributes:
        name: of ``baselines.names``.
        bias_V: float32 from 0 to below 1, no two items equal: the rank by (count in the window, counts in the longer
            windows from short to long, smaller index), divided by a power of two. Exact up to 16.7 million items.
    """

    name: str
    bias_V: NDArray[np.float32]

    @classmethod
    def of(cls, counts_by_hours: Mapping[int, NDArray[np.int64]], hours: int) -> Self:
        """Rank by the window of ``hours``; longer windows break its ties and fill its list.

        Args:
            counts_by_hours: window length -> counts_V.
            hours: one of these windows.
        """
        longer = sorted(length for length in counts_by_hours if length >= hours)
        return cls(popularity_name(hours), _ranked([counts_by_hours[length] for length in longer]))

    @classmethod
    def decayed(cls, counts_by_hours: Mapping[int, NDArray[np.int64]], half_life_hours: float) -> Self:
        """Rank by ``decayed_counts``; smaller indices first among equals."""
        counts_V = decayed_counts(counts_by_hours, half_life_hours)
        return cls(decayed_name(half_life_hours), _ranked([counts_V]))


@dataclass(frozen=True, slots=True)
class TransitionTable:
    """What follows each item: successors of item i are ``successors[offsets[i]:offsets[i + 1]]``.

    Attributes:
        offsets: int64, V + 1.
        successors: item indices, ascending within an item.
        shares: float64, weight of the pair / weight of all successors of the item.
    """

    offsets: NDArray[np.int64]
    successors: NDArray[np.int64]
    shares: NDArray[np.float64]

    @classmethod
    def of(
        cls, item_index_P: Indices, successor_P: Indices, weight_P: Indices, total_P: Indices, num_items: int
    ) -> Self:
        """Build from the collected rows of ``baselines.transitions``, in any order."""
        order_P = np.lexsort((successor_P, item_index_P))
        offsets = np.searchsorted(item_index_P[order_P], np.arange(num_items + 2)).astype(np.int64)
        return cls(offsets, successor_P[order_P].astype(np.int64), (weight_P / total_P)[order_P])

    def evidence(self, items_BL: Indices, decay: float = 0.7) -> Additive:
        """Add up the shares of what followed each user's last items, a step further back counts ``decay`` times.

        Args:
            items_BL: last items of each user, the latest on the right; 0 is padding and adds nothing.
            decay: of each step back; 1 counts all alike.

        Returns:
            One score for each user and successor, at most 1 / (1 - decay).
        """
        width = int(np.asarray(items_BL).shape[1])
        num_items = len(self.offsets) - 2
        keys, values = [], []
        for step in range(width):
            rows, columns, shares = self._followers(np.asarray(items_BL)[:, width - 1 - step])
            keys.append(rows * (num_items + 1) + columns)
            values.append(shares * decay**step)
        if not keys:
            return Additive(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        keys_R, places = np.unique(np.concatenate(keys), return_inverse=True)
        sums_R = np.bincount(places, weights=np.concatenate(values), minlength=len(keys_R))  # always latest step first
        return Additive(keys_R // (num_items + 1), keys_R % (num_items + 1), sums_R.astype(np.float32))

    def _followers(self, items_B: Indices) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        starts_B, ends_B = self.offsets[items_B], self.offsets[items_B + 1]
        lengths_B = ends_B - starts_B  # nothing was counted for padding
        rows_R = np.repeat(np.arange(len(items_B)), lengths_B)
        within_R = np.arange(len(rows_R)) - np.repeat(np.cumsum(lengths_B) - lengths_B, lengths_B)
        places_R = starts_B[rows_R] + within_R
        return rows_R, self.successors[places_R], self.shares[places_R]


class Source(Protocol):
    """Anything that finds items by what a user did."""

    def evidence_of(self, histories: Sequence[Indices]) -> Additive:
        """Return a score above 0 for some items of every user.

        Args:
            histories: item indices of each user, oldest first; 0 is an event without a known item.
        """


@dataclass(frozen=True, slots=True)
class LastItems:
    """What a table says of a user's last items.

    Attributes:
        table: what goes with what.
        num_last: last known items of a user that are looked up.
        decay: of each step back.
    """

    table: TransitionTable
    num_last: int = 1
    decay: float = 0.7

    def evidence_of(self, histories: Sequence[Indices]) -> Additive:
        """Return the summed shares of each user's successors; items that came after the table are passed over."""
        num_rows = len(self.table.offsets) - 1
        last_BL = np.zeros((len(histories), self.num_last), dtype=np.int64)
        for row, items in enumerate(histories):
            known = items[(items > 0) & (items < num_rows)][-self.num_last :]
            last_BL[row, self.num_last - len(known) :] = known
        return self.table.evidence(last_BL, self.decay)

    def reasons(self, history: Indices, items_K: Indices) -> NDArray[np.int64]:
        """Return the one of the user's last items that says most for each of some items; 0 where none says anything.

        Args:
            history: item indices of the user, oldest first.
            items_K: listed items.
        """
        best_K, reason_K = np.zeros(len(items_K)), np.zeros(len(items_K), np.int64)
        num_rows = len(self.table.offsets) - 1
        known = history[(history > 0) & (history < num_rows)][::-1][: self.num_last]
        for step, item in enumerate(known.tolist()):
            own = slice(self.table.offsets[item], self.table.offsets[item + 1])
            shares_V = dict(zip(self.table.successors[own].tolist(), self.table.shares[own].tolist(), strict=True))
            said_K = np.array([shares_V.get(listed, 0.0) for listed in items_K.tolist()]) * self.decay**step
            reason_K = np.where(said_K > best_K, item, reason_K)
            best_K = np.maximum(said_K, best_K)
        return reason_K


@dataclass(frozen=True, slots=True)
class EvidenceBaseline:
    """Items by the evidence for them, best first; popularity breaks ties and fills the list.

    Attributes:
        name: as METRICS and GATE_DECISIONS name it.
        source: of the evidence.
        bias_V: of a PopularityBaseline, below 1.
    """

    name: str
    source: Source
    bias_V: NDArray[np.float32]

    def additive(self, histories: Sequence[Indices]) -> Additive:
        """Return the score of every item with evidence, to be added to ``bias_V``.

        Returns:
            The rank of the evidence among that of the same user, whole numbers from 1, equal evidence by equal
            numbers: so any evidence beats any popularity, and popularity decides only between equals.
        """
        found = self.source.evidence_of(histories)
        order = np.lexsort((found.values, found.rows))
        rows, values = found.rows[order], found.values[order]
        begins = np.diff(rows, prepend=-1) > 0
        steps = np.cumsum(begins | (np.diff(values, prepend=0) != 0))
        ranks = np.empty(len(order), dtype=np.float32)
        ranks[order] = steps - steps[begins][np.cumsum(begins) - 1] + 1 if len(order) else steps
        return found._replace(values=ranks)


def _ranked(counts_by_importance: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    num_rows = len(counts_by_importance[0])
    larger_index_first_V = -np.arange(num_rows)
    order_V = np.lexsort((larger_index_first_V, *reversed(counts_by_importance)))
    order_V = np.concatenate([[0], order_V[order_V != 0]])  # padding is last of all
    ranks_V = np.empty(num_rows, dtype=np.int64)
    ranks_V[order_V] = np.arange(num_rows)
    return np.ldexp(ranks_V.astype(np.float32), -int(num_rows - 1).bit_length())
