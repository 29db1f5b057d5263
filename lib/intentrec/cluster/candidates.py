"""Validation lists reduced to the items that any mix could list, so that a mix is judged in hundredths of a second.

U lists, one per user and day   Q queries of a user   M (list, item) pairs   V items + 1 (0 is padding)
D width   R relevant pairs   N relevant pairs times the pairs of their lists
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intentrec.baselines import Additive, log_popularity
from intentrec.cluster.judging import Indices, JudgedDay
from intentrec.cluster.priors import Prior
from intentrec.cluster.recommenders import masked, ragged
from intentrec.model.inference import Scorer
from intentrec.model.ragged import Ragged
from intentrec.model.topk import top_k

_KEPT = 200  # of each ingredient alone, at least
_AT_ONCE = 200_000  # pairs whose vectors are multiplied at once


@dataclass(frozen=True)
class Candidates:
    """The pairs of one day, by list, and what every ingredient says of them.

    Attributes:
        rows_M: int64 list of each pair, ascending.
        network_M: float32 dot products.
        center_M: float32 dot products of the mean query.
        own_M: float32 the items' own scores.
        popularity: half-life -> float32 [M] log popularity.
        evidence: source -> float32 [M] log shares.
        lengths_U: events of each user.
        relevant_R: places of the pairs that are relevant.
        num_relevant_U: int64 relevant items of each list, those that no list can hold included.
    """

    rows_M: Indices
    network_M: NDArray[np.float32]
    center_M: NDArray[np.float32]
    own_M: NDArray[np.float32]
    popularity: Mapping[float, NDArray[np.float32]]
    evidence: Mapping[str, NDArray[np.float32]]
    lengths_U: NDArray[np.float32]
    relevant_R: Indices
    num_relevant_U: Indices

    def ndcg(self, prior: Prior, k: int) -> NDArray[np.float64]:
        """Return NDCG@k of every list as the prior would mix it; ties count against what is relevant."""
        scores_M = self._scores(prior)
        rows_R, scores_R = self.rows_M[self.relevant_R], scores_M[self.relevant_R]
        owners_N, places_N = self._rivals
        above_R = np.bincount(owners_N[scores_M[places_N] >= scores_R[owners_N]], minlength=len(rows_R))
        gains_R = np.where(above_R <= k, 1 / np.log2(np.maximum(above_R, 1) + 1), 0.0)  # itself is among those above
        ideal_k = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
        dcg_U = np.bincount(rows_R, weights=gains_R, minlength=len(self.num_relevant_U)).astype(np.float64)
        dcg_U /= ideal_k[np.minimum(self.num_relevant_U, k) - 1]
        return dcg_U

    @cached_property
    def _rivals(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Pair each relevant place with all places of its list: hundreds of mixes are judged by the same pairs."""
        rows_R = self.rows_M[self.relevant_R]
        bounds = np.searchsorted(self.rows_M, np.arange(len(self.num_relevant_U) + 1))
        start_R, stop_R = bounds[rows_R], bounds[rows_R + 1]
        owners_N = np.repeat(np.arange(len(rows_R), dtype=np.int32), stop_R - start_R)
        begins_R = np.cumsum(stop_R - start_R) - stop_R
        return owners_N, (np.arange(len(owners_N)) - begins_R[owners_N]).astype(np.int32)

    def _scores(self, prior: Prior) -> NDArray[np.float32]:
        trust_U = self.lengths_U / (self.lengths_U + np.float32(prior.shrink_events))
        scores_M = self.network_M - self.center_M if prior.center else self.network_M
        scores_M = scores_M * trust_U[self.rows_M].astype(np.float32)
        if not prior.center:
            scores_M += self.own_M
        if prior.weight:
            scores_M += np.float32(prior.weight) * self.popularity[prior.half_life_hours]
        for name, weight in prior.evidence:
            if weight:
                scores_M += np.float32(weight) * self.evidence[name]
        return scores_M


def candidates_of(
    scorer: Scorer,
    day: JudgedDay,
    queries_UQD: Tensor,
    evidence: Mapping[str, Additive],
    asked: tuple[Prior, Sequence[float]],
    k: int,
) -> Candidates:
    """Collect what any mix of these ingredients could list.

    Args:
        scorer: the model.
        day: validation lists.
        queries_UQD: of the network.
        evidence: source -> ``log_shares`` of the day's users.
        asked: a prior with the model's center, and the half-lives that are tried.
        k: most places that lists are judged by.
    """
    prior, lives = asked
    size = scorer.shape.num_items + 1
    center_D = torch.tensor(prior.center)
    popularity = {life: log_popularity(day.counts, life)[:size] for life in lives}
    evidence = {name: found.up_to(size - 1) for name, found in evidence.items()}
    lists = _lists(scorer, day, (queries_UQD, queries_UQD - center_D), popularity, evidence, max(_KEPT, 2 * k))
    keys_M = np.unique(np.concatenate([_keys(items_UK, size) for items_UK in lists]))
    rows_M, items_M = np.divmod(keys_M, size)
    relevant = day.users.relevant
    owners_R = np.repeat(np.arange(len(relevant)), np.diff(relevant.offsets))
    known_R = (relevant.items > 0) & (relevant.items < size)
    wanted = np.unique(owners_R[known_R] * size + relevant.items[known_R])
    own_V = np.zeros(size, np.float32) if scorer.bias_V is None else scorer.bias_V.numpy()
    return Candidates(
        rows_M=rows_M,
        network_M=_products(queries_UQD, scorer.items_VD, rows_M, items_M),
        center_M=(scorer.items_VD @ center_D).numpy()[items_M],
        own_M=own_V[items_M],
        popularity={life: values_V[items_M] for life, values_V in popularity.items()},
        evidence={name: _looked_up(found, keys_M, size) for name, found in evidence.items()},
        lengths_U=np.array([len(own) for own in day.users.histories.items], dtype=np.float32),
        relevant_R=np.flatnonzero(np.isin(keys_M, wanted)),
        num_relevant_U=np.diff(relevant.offsets),
    )


def _lists(
    scorer: Scorer,
    day: JudgedDay,
    queries: tuple[Tensor, ...],
    popularity: Mapping[float, NDArray[np.float32]],
    evidence: Mapping[str, Additive],
    kept: int,
) -> list[NDArray[np.int64]]:
    """Return the best items of each ingredient alone, of popularity, which is the same for all, half as many."""
    size, num_users = scorer.shape.num_items + 1, len(day.users)
    allowed = day.allowed[:size]
    excluded = Ragged.of([items[items < size] for items in day.users.seen])
    nothing_V = masked(np.zeros(size, np.float32), allowed)
    own_V = nothing_V if scorer.bias_V is None else nothing_V + scorer.bias_V
    none_U1, none_V1 = torch.zeros(num_users, 1), torch.zeros(size, 1)
    found = [top_k(own, scorer.items_VD, kept, bias_V=own_V, excluded=excluded).items_BK for own in queries]
    for values_V in popularity.values():
        bias_V = masked(values_V, allowed)
        found.append(top_k(none_U1, none_V1, kept // 2, bias_V=bias_V, excluded=excluded).items_BK)
    for said in evidence.values():
        added = ragged(said, slice(0, num_users))
        found.append(top_k(none_U1, none_V1, kept, bias_V=nothing_V, excluded=excluded, additive=added).items_BK)
    return [items_BK.numpy() for items_BK in found]


def _keys(items_UK: NDArray[np.int64], size: int) -> Indices:
    keys_UK = np.arange(len(items_UK))[:, None] * size + items_UK
    return keys_UK[items_UK > 0]


def _products(queries_UQD: Tensor, items_VD: Tensor, rows_M: Indices, items_M: Indices) -> NDArray[np.float32]:
    products_M = np.empty(len(rows_M), dtype=np.float32)
    for start in range(0, len(rows_M), _AT_ONCE):
        own = slice(start, start + _AT_ONCE)
        rows, items = torch.from_numpy(rows_M[own]), torch.from_numpy(items_M[own])
        products_M[own] = (queries_UQD[rows] * items_VD[items][:, None]).sum(dim=2).amax(dim=1).numpy()
    return products_M


def _looked_up(found: Additive, keys_M: Indices, size: int) -> NDArray[np.float32]:
    keys_R = found.rows * size + found.columns
    values_M = np.zeros(len(keys_M), dtype=np.float32)
    if len(keys_R):
        places_M = np.minimum(np.searchsorted(keys_R, keys_M), len(keys_R) - 1)
        there_M = keys_R[places_M] == keys_M
        values_M[there_M] = found.values[places_M[there_M]]
    return values_M
