"""ALS: users and items as vectors whose products say who has had what; users are folded in by their items.

S users or sessions   V items + 1 (0 is an event without a known item)   D width   E (user, item) entries
B users of a batch   N entries of a batch   K items kept of each list
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from intentrec.baselines.scores import Additive, Indices
from intentrec.baselines.sequences import Sequences

_SOLVED_AT_ONCE = 512  # systems of D x D
_SCORED_AT_ONCE = 256  # users; with 43,000 items 44 MB


@dataclass(frozen=True, slots=True)
class FactorRules:
    """How vectors are fitted.

    Attributes:
        width: of the vectors.
        sweeps: over all users and items.
        confidence: an item that was had weighs 1 + confidence, any other 1.
        penalty: of the squares of the vectors.
        kept: items of each user that get a score, the best.
    """

    width: int = 64
    sweeps: int = 8
    confidence: float = 10.0
    penalty: float = 1.0
    kept: int = 200


@dataclass(frozen=True, slots=True)
class Factors:
    """Item vectors fitted to implicit feedback.

    Attributes:
        items_VD: float64.
        rules: how they were fitted.

    Source: Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets (ICDM 2008), section 4.
    """

    items_VD: NDArray[np.float64]
    rules: FactorRules

    @classmethod
    def of(cls, sequences: Sequences, num_items: int, rules: FactorRules, seed: int = 1) -> Self:
        """Fit to who had what; how often does not count."""
        size, known = num_items + 1, sequences.items > 0
        keys_E = np.unique(sequences.owners()[known] * size + sequences.items[known])
        users_E, items_E = np.divmod(keys_E, size)
        by_item_E = np.argsort(items_E, kind="stable")
        offsets_S = np.searchsorted(users_E, np.arange(len(sequences) + 1)).astype(np.int64)
        offsets_V = np.searchsorted(items_E[by_item_E], np.arange(size + 1)).astype(np.int64)
        items_VD = np.random.default_rng(seed).normal(scale=0.1, size=(size, rules.width))
        for _ in range(rules.sweeps):
            users_SD = _solved(items_VD, offsets_S, items_E, rules)
            items_VD = _solved(users_SD, offsets_V, users_E[by_item_E], rules)
        items_VD[0] = 0.0
        return cls(items_VD, rules)

    def evidence_of(self, histories: Sequence[Indices]) -> Additive:
        """Return the best items of each user by the product with his folded-in vector, all above 0."""
        rows, columns, values = [], [], []
        for start in range(0, len(histories), _SCORED_AT_ONCE):
            part = histories[start : start + _SCORED_AT_ONCE]
            own = [np.unique(items[(items > 0) & (items < len(self.items_VD))]) for items in part]
            offsets = np.cumsum([0, *map(len, own)], dtype=np.int64)
            users_BD = _solved(self.items_VD, offsets, np.concatenate([np.zeros(0, np.int64), *own]), self.rules)
            scores_BV = users_BD @ self.items_VD.T
            scores_BV[:, 0] = 0.0
            kept = min(self.rules.kept, scores_BV.shape[1])
            best_BK = np.sort(np.argpartition(-scores_BV, kept - 1, axis=1)[:, :kept], axis=1)
            best_scores_BK = np.take_along_axis(scores_BV, best_BK, axis=1)
            some_B, some_K = np.nonzero(best_scores_BK > 0)
            rows.append(some_B + start)
            columns.append(best_BK[some_B, some_K])
            values.append(best_scores_BK[some_B, some_K])
        nothing = np.zeros(0, np.int64)
        return Additive(
            np.concatenate([nothing, *rows]),
            np.concatenate([nothing, *columns]),
            np.concatenate([nothing, *values]).astype(np.float32),
        )


def _solved(
    others_VD: NDArray[np.float64], offsets: Indices, entries: Indices, rules: FactorRules
) -> NDArray[np.float64]:
    """Return for each row the vector that fits its entries best, the others held; 0 where it has none."""
    gram_DD = others_VD.T @ others_VD + rules.penalty * np.eye(rules.width)
    found = np.zeros((len(offsets) - 1, rules.width))
    for start, stop in _batches(len(found)):
        own = entries[offsets[start] : offsets[stop]]
        owners_N = np.repeat(np.arange(stop - start), np.diff(offsets[start : stop + 1]))
        systems_BDD = np.repeat(gram_DD[None], stop - start, axis=0)
        sums_BD = np.zeros((stop - start, rules.width))
        begins = np.flatnonzero(np.diff(owners_N, prepend=-1))
        for begin, end in zip(begins, np.append(begins[1:], len(owners_N)), strict=True):
            had_ND = others_VD[own[begin:end]]
            systems_BDD[owners_N[begin]] += rules.confidence * (had_ND.T @ had_ND)
            sums_BD[owners_N[begin]] = (1 + rules.confidence) * had_ND.sum(axis=0)
        found[start:stop] = np.linalg.solve(systems_BDD, sums_BD[:, :, None])[:, :, 0]
    return found


def _batches(num: int) -> Iterator[tuple[int, int]]:
    for start in range(0, num, _SOLVED_AT_ONCE):
        yield start, min(start + _SOLVED_AT_ONCE, num)
