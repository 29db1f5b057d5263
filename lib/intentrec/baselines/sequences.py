"""What goes with what in sequences of items, counted in memory.

S sequences   N their items, one sequence after the other   V items + 1 (0 is an event without a known item)   P pairs
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from intentrec.baselines.scores import TransitionTable

Shares = Literal["successors", "occurrences", "cosine"]


@dataclass(frozen=True, slots=True)
class Sequences:
    """Sessions or users: items of sequence s are ``items[offsets[s]:offsets[s + 1]]``, oldest first.

    Attributes:
        offsets: int64, S + 1.
        items: int64, N; 0 is an event without a known item.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[NDArray[np.integer[Any]]]) -> Self:
        """Join one array of items per sequence."""
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return cls(offsets, np.concatenate([np.zeros(0, np.int64), *rows]).astype(np.int64))

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.offsets) - 1

    def owners(self) -> NDArray[np.int64]:
        """Return the number of the sequence that holds each item: int64, N."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def first(self, num_sequences: int) -> "Sequences":
        """Return the first sequences."""
        offsets = self.offsets[: num_sequences + 1]
        return Sequences(offsets, self.items[: offsets[-1]])


@dataclass(frozen=True, slots=True)
class PairRules:
    """Which pairs of a sequence count, and what share of what they are.

    Attributes:
        reach: events between the two, at most.
        fading: a pair counts 1 / distance; False: 1.
        both_ways: the earlier item goes with the later one too.
        itself: an item that is repeated goes with itself.
        shares: a pair's count over that of all pairs of its first item (successors), over the occurrences of that item
            (occurrences), or over the root of the product of both items' occurrences (cosine).
    """

    reach: int = 1
    fading: bool = True
    both_ways: bool = False
    itself: bool = False
    shares: Shares = "successors"


def pair_table(sequences: Sequences, num_items: int, rules: PairRules) -> TransitionTable:
    """Count which items go with each other.

    Args:
        sequences: to count in.
        num_items: greatest item index.
        rules: which pairs count.

    Returns:
        Of every item the pairs that were counted.

    Raises:
        ValueError: the reach is below 1.

    Source: cosine: Linden, Smith and York, Amazon.com Recommendations (IEEE Internet Computing 2003), item-to-item.
    """
    if rules.reach < 1:
        raise ValueError(f"reach: wanted at least 1, is {rules.reach}")
    size = num_items + 1
    keys_P, counts_P = _pairs(sequences, size, rules)
    if rules.both_ways:
        turned_P = keys_P % size * size + keys_P // size
        keys_P, counts_P = _summed([keys_P, turned_P], [counts_P, counts_P])
    first_P, second_P = keys_P // size, keys_P % size
    occurrences_V = np.bincount(sequences.items, minlength=size).astype(np.float64)
    if rules.shares == "successors":
        totals_P = np.bincount(first_P, weights=counts_P, minlength=size)[first_P]
    elif rules.shares == "occurrences":
        totals_P = occurrences_V[first_P]
    else:
        totals_P = np.sqrt(occurrences_V[first_P] * occurrences_V[second_P])
    offsets = np.searchsorted(first_P, np.arange(size + 1)).astype(np.int64)
    return TransitionTable(offsets, second_P, counts_P / totals_P)


def _pairs(sequences: Sequences, size: int, rules: PairRules) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the keys ``first * size + second`` of all pairs, ascending, and what they count."""
    keys_P, counts_P = np.zeros(0, np.int64), np.zeros(0, np.float64)
    owners_N, items_N = sequences.owners(), sequences.items
    longest = int(np.diff(sequences.offsets).max(initial=0))
    starts_N = np.arange(len(items_N))
    for distance in range(1, min(rules.reach, longest - 1) + 1):
        starts_N = starts_N[: np.searchsorted(starts_N, len(items_N) - distance)]
        starts_N = starts_N[owners_N[starts_N] == owners_N[starts_N + distance]]  # fewer and fewer are long enough
        first_N, second_N = items_N[starts_N], items_N[starts_N + distance]
        counted_N = (first_N > 0) & (second_N > 0) & (rules.itself | (first_N != second_N))
        found_P, times_P = np.unique(first_N[counted_N] * size + second_N[counted_N], return_counts=True)
        keys_P, counts_P = _summed([keys_P, found_P], [counts_P, times_P / (distance if rules.fading else 1)])
    return keys_P, counts_P


def _summed(
    keys: Sequence[NDArray[np.int64]], values: Sequence[NDArray[Any]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    keys_P, places = np.unique(np.concatenate(keys), return_inverse=True)
    sums_P: NDArray[np.float64] = np.bincount(places, np.concatenate(values), len(keys_P)).astype(np.float64)
    return keys_P, sums_P
