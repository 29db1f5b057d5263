"""The k best of rows of scores: found among groups of items, and the groups among groups of groups.

V items   K kept   G groups of items   N candidates   R rows
"""

from dataclasses import dataclass

import torch
from torch import Tensor

GROUP = 16  # items whose maximum is looked at first
COARSE = 8  # groups whose maximum is looked at before: the best 100 of all 6,250 took 3 ms for 128 queries
NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class TopK:
    """The best items of every query, best first; equal scores by smaller index.

    Attributes:
        scores_BK: float32; -inf where a query has fewer than K items that are not excluded.
        items_BK: int64 item indices; 0 there.
    """

    scores_BK: Tensor
    items_BK: Tensor


def num_groups(num_items: int) -> int:
    """Return how many groups of GROUP hold all items, a multiple of COARSE; what is left of the last ones is empty."""
    return -(-num_items // (GROUP * COARSE)) * COARSE


def best(scores_RV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best scores and items of each row, equal scores by smaller index; -inf goes with item 0."""
    rows, width = scores_RV.shape
    groups = width // GROUP
    maxima_RG = scores_RV.view(rows, GROUP, groups).amax(dim=1)
    chosen_RK = greatest(maxima_RG, min(k, groups))
    items_RN = members(chosen_RK, GROUP, groups)
    candidates_RN = scores_RV.gather(1, items_RN)
    best_RK, where_RK = candidates_RN.topk(k, dim=1)
    found_RK = items_RN.gather(1, where_RK)
    last_R1 = best_RK[:, -1:]
    # Exactly k scores reach the k-th best, unless there are ties at the border: those rows are settled by index.
    reaching_R = (candidates_RN >= last_R1).sum(dim=1)
    groups_reaching_R = (maxima_RG >= last_R1).sum(dim=1)
    tied_R = ((reaching_R > k) | (groups_reaching_R > chosen_RK.shape[1])) & (last_R1[:, 0] > NEVER)
    for row in tied_R.nonzero()[:, 0].tolist():
        found_RK[row] = _settled(scores_RV[row], last_R1[row, 0], k)
    equal_R = (best_RK[:, 1:] == best_RK[:, :-1]).any(dim=1) | tied_R  # all others have one order only
    unsure = equal_R.nonzero()[:, 0]
    if len(unsure):
        again_NK = found_RK[unsure].sort(dim=1).values
        best_NK, order_NK = scores_RV[unsure].gather(1, again_NK).sort(dim=1, descending=True, stable=True)
        best_RK[unsure], found_RK[unsure] = best_NK, again_NK.gather(1, order_NK)
    return best_RK, found_RK.masked_fill_(best_RK == NEVER, 0)


def greatest(maxima_RG: Tensor, k: int) -> Tensor:
    """Return the k groups of each row with the greatest maxima, in no order: they lie in k of the coarse groups."""
    rows, groups = maxima_RG.shape
    wide = groups // COARSE
    coarse_RN = maxima_RG.view(rows, COARSE, wide).amax(dim=1).topk(min(k, wide), dim=1, sorted=False).indices
    groups_RN = members(coarse_RN, COARSE, wide)
    return groups_RN.gather(1, maxima_RG.gather(1, groups_RN).topk(k, dim=1, sorted=False).indices)


def members(groups_RN: Tensor, size: int, stride: int) -> Tensor:
    """Return the members of groups, [R, N * size]: group j holds j, j + stride, j + 2 * stride, ..."""
    return (groups_RN[:, :, None] + torch.arange(size, device=groups_RN.device) * stride).flatten(1)


def _settled(scores_V: Tensor, last: Tensor, k: int) -> Tensor:
    """Return the k items of one row: all above ``last``, then those equal to it from the smallest index."""
    above_N = (scores_V > last).nonzero()[:, 0]
    equal_N = (scores_V == last).nonzero()[:, 0]
    return torch.cat([above_N, equal_N[: k - len(above_N)]])
