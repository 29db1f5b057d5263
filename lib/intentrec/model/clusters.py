"""Items that are met together, as labels for an intent head: for logs that say nothing of an item but its id.

B rows   L events, left-padded   V items + 1 (0 is padding and unknown)   E width of a context   K clusters
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from intentrec.model.batches import Batch, seed_of
from intentrec.model.ranks import Ranks

_CONTEXT_WIDTH = 128
_REACH = 5  # events to either side
_ROUNDS, _STARTS = 20, 4  # of k-means, which ends in the nearest optimum: the best of some is taken


def item_contexts(batches: Iterable[Batch], num_items: int, ranks: Ranks, seed: int) -> tuple[Tensor, Tensor]:
    """Return float32 [V, E] of length 1: what stands around each item, less what stands around any; and [V] events.

    Every item has a random vector; the context of an item is the mean of its neighbours' vectors, nearer ones counting
    more. What is expected of any item, the mean over all, is taken out, or popular neighbours would make all alike.

    Args:
        batches: this rank's training rows, on the CPU.
        num_items: greatest item index.
        ranks: all of them make this call.
        seed: of the training.

    Source: random indexing, Sahlgren (2005), An Introduction to Random Indexing.
    """
    random = torch.Generator().manual_seed(seed_of(seed, "contexts"))
    own_VE = torch.randn(num_items + 1, _CONTEXT_WIDTH, generator=random)
    sums_VE = torch.zeros(num_items + 1, _CONTEXT_WIDTH)
    weights_V = torch.zeros(num_items + 1, dtype=torch.float64)
    counts_V = torch.zeros(num_items + 1, dtype=torch.float64)
    for batch in batches:
        counted_BL = (batch.items_BL > 0) & (batch.weights_BL > 0)
        counts_V += torch.bincount(batch.items_BL[counted_BL], minlength=num_items + 1).double()
        for step in range(1, min(_REACH, batch.items_BL.shape[1] - 1) + 1):
            both_BL = counted_BL[:, :-step] & counted_BL[:, step:]
            earlier_N, later_N = batch.items_BL[:, :-step][both_BL], batch.items_BL[:, step:][both_BL]
            for items_N, others_N in ((earlier_N, later_N), (later_N, earlier_N)):
                sums_VE.index_add_(0, items_N, own_VE[others_N], alpha=1 / step)
                weights_V += torch.bincount(items_N, minlength=num_items + 1).double() / step
    sums_VE, weights_V, counts_V = ranks.sum(sums_VE), ranks.sum(weights_V), ranks.sum(counts_V)
    weights_V1 = weights_V.float().clamp(min=torch.finfo(torch.float32).tiny)[:, None]
    expected_E = sums_VE.sum(dim=0) / weights_V.sum().clamp(min=1).float()
    return F.normalize(sums_VE / weights_V1 - expected_E, dim=1) * (weights_V1 > 1e-9), counts_V


def cluster_items(
    contexts_VE: Tensor, counts_V: Tensor, num_clusters: int, seed: int, known_V: Tensor | None = None
) -> Tensor:
    """Return int64 [V] clusters, 1 to K; 0 for an item that is not met with any other.

    Spherical k-means in which an item counts with the square root of its events. Items that have a cluster already keep
    it: what an intent means must not change from night to night; the others join the nearest.

    Args:
        contexts_VE: of ``item_contexts``.
        counts_V: of the same.
        num_clusters: K.
        seed: of the training.
        known_V: int64 clusters of items 0, 1, ... of an older model, at most V.
    """
    met_V = contexts_VE.abs().sum(dim=1) > 0
    met_V[0] = False
    clusters_V = torch.zeros(len(contexts_VE), dtype=torch.int64)
    weights_V1 = (counts_V.clamp(min=1).sqrt().float() * met_V)[:, None]
    if known_V is not None and bool((known_V > 0).any()):
        clusters_V[: len(known_V)] = known_V
        new_V = met_V & (clusters_V == 0)
        centers_KE = _centers(contexts_VE, weights_V1, clusters_V, num_clusters)
        clusters_V[new_V] = (contexts_VE[new_V] @ centers_KE.T).argmax(dim=1) + 1
        return clusters_V
    candidates_N = met_V.nonzero()[:, 0]
    if not len(candidates_N):
        return clusters_V
    random = torch.Generator().manual_seed(seed_of(seed, "clusters"))
    met = (contexts_VE[candidates_N], weights_V1[candidates_N])
    tried = [_k_means(*met, num_clusters, random) for _ in range(_STARTS)]
    clusters_V[candidates_N] = max(tried, key=lambda found: found[0])[1]
    return clusters_V


def _k_means(
    contexts_NE: Tensor, weights_N1: Tensor, num_clusters: int, random: torch.Generator
) -> tuple[float, Tensor]:
    """Return how near items are to their centers, and int64 [N] clusters from 1."""
    centers_KE = _first_centers(contexts_NE, weights_N1[:, 0], num_clusters, random)
    for _ in range(_ROUNDS):
        nearness_N, clusters_N = (contexts_NE @ centers_KE.T).max(dim=1)
        moved_KE = _centers(contexts_NE, weights_N1, clusters_N + 1, num_clusters)
        centers_KE = torch.where(moved_KE.abs().sum(dim=1, keepdim=True) > 0, moved_KE, centers_KE)
    return float((nearness_N * weights_N1[:, 0]).sum()), clusters_N + 1


def _first_centers(contexts_NE: Tensor, weights_N: Tensor, num_clusters: int, random: torch.Generator) -> Tensor:
    """Choose items far from each other: k-means++ (Arthur and Vassilvitskii, SODA 2007)."""
    far_N = weights_N.clone()
    chosen: list[int] = []
    for _ in range(num_clusters):
        height = torch.rand(1, generator=random) * far_N.sum()
        place = int(torch.searchsorted(far_N.cumsum(0), height).clamp(max=len(far_N) - 1))
        chosen.append(place)
        apart_N = (1 - contexts_NE @ contexts_NE[place]).clamp(min=0)
        far_N = torch.minimum(far_N, weights_N * apart_N)
    return contexts_NE[chosen]


def _centers(contexts_VE: Tensor, weights_V1: Tensor, clusters_V: Tensor, num_clusters: int) -> Tensor:
    """Return float32 [K, E] of length 1, 0 for a cluster without items."""
    sums = torch.zeros(num_clusters + 1, contexts_VE.shape[1])
    sums.index_add_(0, clusters_V, contexts_VE * weights_V1)
    return F.normalize(sums[1:], dim=1)
