"""V-SkNN: what the past sessions that are most like a user's own went on with.

B users   S sessions   V items + 1 (0 is an event without a known item)   N entries of ragged rows
E (session, item) entries   M (user, session) pairs   R (user, item) pairs with a score
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from intentrec.baselines.scores import Additive, Indices
from intentrec.baselines.sequences import Sequences

_ENTRIES = 2_000_000  # (user, session) pairs held at once: some 100 MB
_LEAST_FADED = 0.1


@dataclass(frozen=True, slots=True)
class NeighbourRules:
    """How neighbours are chosen and what they count.

    Attributes:
        recent: past sessions with a common item that are looked at, the latest ones.
        nearest: of these, the most similar ones count.
        last: events of a user that are looked up; None: all.
        fading: a neighbour counts so much less for every event since the last item it shares, 0.1 at least.
        by_length: a neighbour's similarity is divided by the root of the number of its items.
        idf: an item counts ln(sessions / sessions that hold it) times.
    """

    recent: int = 1000
    nearest: int = 100
    last: int | None = None
    fading: float = 0.1
    by_length: bool = False
    idf: bool = True


@dataclass(frozen=True, slots=True)
class SessionNeighbours:
    """Past sessions, found by their items.

    Similarity is the sum over common items of (place in the user's own events) / (number of them); an item of a
    neighbour scores what the neighbour counts. Of equally similar neighbours the later one is taken.

    Attributes:
        item_offsets: int64, V + 1: sessions with item i are ``sessions_E[item_offsets[i]:item_offsets[i + 1]]``.
        sessions_E: ascending within an item.
        session_offsets: int64, S + 1: items of session s are ``items_E[session_offsets[s]:session_offsets[s + 1]]``.
        items_E: each once within a session.
        rules: how they are chosen.

    Source: Ludewig and Jannach, Evaluation of Session-based Recommendation Algorithms (UMUAI 2018), section 3.2.
    """

    item_offsets: NDArray[np.int64]
    sessions_E: NDArray[np.int64]
    session_offsets: NDArray[np.int64]
    items_E: NDArray[np.int64]
    rules: NeighbourRules

    @classmethod
    def of(cls, sessions: Sequences, num_items: int, rules: NeighbourRules) -> Self:
        """Index past sessions, which come in the order of time."""
        size, known = num_items + 1, sessions.items > 0
        keys_E = np.unique(sessions.owners()[known] * size + sessions.items[known])
        sessions_E, items_E = keys_E // size, keys_E % size
        by_item_E = np.argsort(items_E, kind="stable")
        item_offsets = np.searchsorted(items_E[by_item_E], np.arange(size + 1)).astype(np.int64)
        session_offsets = np.searchsorted(sessions_E, np.arange(len(sessions) + 1)).astype(np.int64)
        return cls(item_offsets, sessions_E[by_item_E], session_offsets, items_E, rules)

    def evidence_of(self, histories: Sequence[Indices]) -> Additive:
        """Return the scores of the neighbours' items.

        Args:
            histories: item indices of each user, oldest first; 0 is an event without a known item.
        """
        parts = []
        for chunk in self._chunks(histories):
            found = self._of_chunk(histories[chunk])
            parts.append(found._replace(rows=found.rows + chunk.start))
        if not parts:
            return Additive(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        return Additive(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _chunks(self, histories: Sequence[Indices]) -> Iterator[slice]:
        """Cut the users so that few enough pairs are held at once."""
        most = min(self.rules.recent, max(1, len(self.session_offsets) - 1))
        entries_B = np.array([min(len(own), self.rules.last or len(own)) * most for own in histories])
        chunk_B = np.cumsum(entries_B) // _ENTRIES
        bounds = [*np.flatnonzero(np.diff(chunk_B, prepend=-1)).tolist(), len(histories)]
        for start, stop in pairwise(bounds):
            yield slice(start, stop)

    def _of_chunk(self, histories: Sequence[Indices]) -> Additive:
        rows_N, items_N, weights_N, back_N = self._looked_up(histories)
        starts_N, ends_N = self.item_offsets[items_N], self.item_offsets[items_N + 1]
        starts_N = np.maximum(starts_N, ends_N - self.rules.recent)  # nothing further back can be among the latest
        places, of_N = _gathered(starts_N, ends_N)
        keys = rows_N[of_N] * len(self.session_offsets) + self.sessions_E[places]
        keys_M, inverse = np.unique(keys, return_inverse=True)
        similar_M = np.bincount(inverse, weights_N[of_N], len(keys_M)).astype(np.float64)
        back_M = np.full(len(keys_M), np.iinfo(np.int64).max)
        np.minimum.at(back_M, inverse, back_N[of_N])
        rows_M, sessions_M = np.divmod(keys_M, len(self.session_offsets))
        return self._scored(*self._nearest(rows_M, sessions_M, similar_M, back_M))

    def _looked_up(
        self, histories: Sequence[Indices]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Return user, item, weight and steps back of every item of every user, a repeated one at its last place."""
        if self.rules.last is not None:
            histories = [own[-self.rules.last :] for own in histories]
        lengths_B = np.array([len(own) for own in histories], dtype=np.int64)
        rows_N = np.repeat(np.arange(len(histories)), lengths_B)
        items_N = np.concatenate([np.zeros(0, np.int64), *histories]).astype(np.int64)
        places_N = np.arange(len(items_N)) - np.repeat(np.cumsum(lengths_B) - lengths_B, lengths_B)
        size = len(self.item_offsets)
        backwards = slice(None, None, -1)
        _, chosen = np.unique((rows_N * size + items_N)[backwards], return_index=True)
        chosen = len(items_N) - 1 - chosen
        chosen = chosen[(items_N[chosen] > 0) & (items_N[chosen] < size - 1)]
        length_N = lengths_B[rows_N[chosen]]
        weights_N = (places_N[chosen] + 1) / length_N
        return rows_N[chosen], items_N[chosen], weights_N, length_N - 1 - places_N[chosen]

    def _nearest(
        self, rows_M: Indices, sessions_M: Indices, similar_M: NDArray[np.float64], back_M: Indices
    ) -> tuple[Indices, Indices, NDArray[np.float64]]:
        """Return user, session and what it counts of the neighbours."""
        recent = _places_from_end(rows_M) < self.rules.recent  # sessions ascend within a user
        rows_M, sessions_M, back_M = (part[recent] for part in (rows_M, sessions_M, back_M))
        similar_M = similar_M[recent]
        if self.rules.by_length:
            similar_M = similar_M / np.sqrt(np.diff(self.session_offsets)[sessions_M])
        order = np.lexsort((sessions_M, similar_M, rows_M))
        near = order[_places_from_end(rows_M[order]) < self.rules.nearest]
        faded_M = np.maximum(_LEAST_FADED, 1 - self.rules.fading * back_M[near])
        return rows_M[near], sessions_M[near], similar_M[near] * faded_M

    def _scored(self, rows_M: Indices, sessions_M: Indices, counts_M: NDArray[np.float64]) -> Additive:
        places, of_M = _gathered(self.session_offsets[sessions_M], self.session_offsets[sessions_M + 1])
        items, values, size = self.items_E[places], counts_M[of_M], len(self.item_offsets)
        if self.rules.idf:
            num_holding_V = np.maximum(np.diff(self.item_offsets), 1)
            values = values * np.log((len(self.session_offsets) - 1) / num_holding_V)[items]
        keys_R, inverse = np.unique(rows_M[of_M] * size + items, return_inverse=True)
        sums_R = np.bincount(inverse, weights=values, minlength=len(keys_R))
        return Additive(keys_R // size, keys_R % size, sums_R.astype(np.float32))


def _gathered(starts: Indices, ends: Indices) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all places from each start up to its end, and to which of them each belongs."""
    lengths = ends - starts
    owners = np.repeat(np.arange(len(starts)), lengths)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return starts[owners] + within, owners


def _places_from_end(rows_M: Indices) -> NDArray[np.int64]:
    """Return how many entries of the same row follow each; equal rows stand together."""
    lasts = np.flatnonzero(np.diff(rows_M, append=-1))
    return np.repeat(lasts, np.diff(lasts, prepend=-1)) - np.arange(len(rows_M))
