"""The exact top-K engine: dot products of queries with all items, the best k of each.

B users   Q queries of a user   D width   V items   K kept   G groups of items   N entries of ragged rows, candidates
R rows of a chunk
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHUNK = 176  # queries at once: with 100,000 items the reused buffer has 70 MB; 128 took 6 % longer, 208 no less
GROUP = 16  # items whose maximum is looked at first
COARSE = 8  # groups whose maximum is looked at before: the best 100 of all 6,250 took 3 ms for 128 queries
ROWS = 8  # queries are multiplied in multiples of so many: products of other shapes differ in their last bits
NEVER = float("-inf")
BUDGET = 96 * 2**20  # bytes beside the vectors and the result, unless ROWS queries alone need more


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different lengths: item indices, with a value each where they add to scores.

    Attributes:
        starts_B: int64 [B + 1]; row b lies at starts_B[b] up to starts_B[b + 1].
        items_N: int64 item indices, each at most once in a row.
        values_N: float32, or None where the items are excluded.
    """

    starts_B: Tensor
    items_N: Tensor
    values_N: Tensor | None = None

    @classmethod
    def of(cls, items: Sequence[NDArray[Any]], values: Sequence[NDArray[Any]] | None = None) -> "Ragged":
        """Join one array of item indices per row and, where given, one of values."""
        lengths = np.array([len(row) for row in items], dtype=np.int64)
        starts_B = torch.from_numpy(np.concatenate([[0], lengths.cumsum()]).astype(np.int64))
        return cls(starts_B, _joined(items, np.int64), None if values is None else _joined(values, np.float32))

    def check(self, name: str, num_items: int) -> None:
        """Raise ValueError where an item has no row: it would be taken for an item of another query."""
        if len(self.items_N) and not (int(self.items_N.min()) >= 0 and int(self.items_N.max()) < num_items):
            raise ValueError(f"{name}: items 0 to {num_items - 1} wanted, got {int(self.items_N.max())}")

    def flat(self, rows: slice, stride: int) -> tuple[Tensor, Tensor | None]:
        """Return positions in a [R, stride] buffer of the entries of ``rows``, and their values."""
        starts_R = self.starts_B[rows.start : rows.stop + 1]
        entries = slice(int(starts_R[0]), int(starts_R[-1]))
        row_N = torch.repeat_interleave(torch.arange(len(starts_R) - 1), starts_R.diff())
        return row_N * stride + self.items_N[entries], None if self.values_N is None else self.values_N[entries]


@dataclass(frozen=True, slots=True)
class TopK:
    """The best items of every query, best first; equal scores by smaller index.

    Attributes:
        scores_BK: float32; -inf where a query has fewer than K items that are not excluded.
        items_BK: int64 item indices; 0 there.
    """

    scores_BK: Tensor
    items_BK: Tensor


def top_k(
    queries_BD: Tensor,
    items_VD: Tensor,
    k: int,
    *,
    bias_V: Tensor | None = None,
    excluded: Ragged | None = None,
    additive: Ragged | None = None,
) -> TopK:
    """Return the k best of ``queries_BD @ items_VD.T + bias_V + additive``, item 0 and ``excluded`` left out.

    Exact in float32: first the k groups of GROUP items with the greatest maxima are found, which hold the k best
    items, then those among their members; the groups are found in the same way. Group j holds items j, j + G, j + 2G,
    ... so that maxima are taken over contiguous memory. Other queries change no bit of a query's scores.

    Args:
        queries_BD: float32, on the device where the work is done; or [B, Q, D], where an item's dot product is the
            greatest of a user's Q queries.
        items_VD: float32 item vectors; row 0 is never returned.
        k: items per query, more than there are items allowed.
        bias_V: float32 added to every query's scores; -inf leaves an item out for all.
        excluded: items left out, per query.
        additive: scores added, per query.

    Raises:
        ValueError: an item of ``excluded`` or ``additive`` is no row of ``items_VD``.
    """
    for name, ragged in (("excluded", excluded), ("additive", additive)):
        if ragged is not None:
            ragged.check(name, len(items_VD))
    device, rows, num_items = queries_BD.device, len(queries_BD), len(items_VD)
    groups = num_groups(num_items)
    queries_BQD = queries_BD if queries_BD.dim() == 3 else queries_BD[:, None]
    at_once = chunk_rows(num_items, k, queries_BQD.shape[1])
    buffered = -(-min(at_once, rows) // ROWS) * ROWS
    buffer_RV = torch.full((buffered, groups * GROUP), NEVER, device=device)
    scores_BK = torch.full((rows, k), NEVER, device=device)
    items_BK = torch.zeros(rows, k, dtype=torch.int64, device=device)
    kept = min(k, num_items)
    for start in range(0, rows, at_once):
        chunk = slice(start, min(start + at_once, rows))
        padded_RQD = torch.nn.functional.pad(queries_BQD[chunk], (0, 0, 0, 0, 0, (start - chunk.stop) % ROWS))
        _score(buffer_RV[: len(padded_RQD), :num_items], padded_RQD, items_VD, bias_V)
        scores_RV = buffer_RV[: chunk.stop - start]
        _amend(scores_RV, chunk, excluded, additive)
        scores_BK[chunk, :kept], items_BK[chunk, :kept] = _best(scores_RV, kept)
    return TopK(scores_BK, items_BK)


def num_groups(num_items: int) -> int:
    """Return how many groups of GROUP hold all items, a multiple of COARSE; what is left of the last ones is empty."""
    return -(-num_items // (GROUP * COARSE)) * COARSE


def chunk_rows(num_items: int, k: int, num_queries: int = 1) -> int:
    """Return how many users are scored at once, so that all that is made for them stays within BUDGET.

    A user needs 4 bytes an item (twice that with several queries), a GROUP-th of it for the maxima, and 12 bytes for
    each member of his k best groups, counted twice as they are sorted.
    """
    groups = num_groups(num_items)
    scores = 4 * groups * GROUP * (1 if num_queries == 1 else 2)
    per_row = scores + 4 * groups + 2 * 12 * GROUP * min(k, groups)
    return max(ROWS, min(CHUNK, BUDGET // per_row // ROWS * ROWS))


def _score(scores_RV: Tensor, queries_RQD: Tensor, items_VD: Tensor, bias_V: Tensor | None) -> None:
    """Write the scores into a part of the reused buffer."""
    if queries_RQD.shape[1] == 1 and bias_V is not None:
        torch.addmm(bias_V, queries_RQD[:, 0], items_VD.T, out=scores_RV)
        return
    torch.mm(queries_RQD[:, 0], items_VD.T, out=scores_RV)
    for query in range(1, queries_RQD.shape[1]):
        torch.maximum(scores_RV, queries_RQD[:, query] @ items_VD.T, out=scores_RV)
    if bias_V is not None:
        scores_RV += bias_V


def _amend(scores_RV: Tensor, chunk: slice, excluded: Ragged | None, additive: Ragged | None) -> None:
    """Add and exclude, in place, what is given for the queries of a chunk."""
    flat, device = scores_RV.view(-1), scores_RV.device
    if additive is not None:
        positions_N, values_N = additive.flat(chunk, scores_RV.shape[1])
        assert values_N is not None
        flat.index_add_(0, positions_N.to(device), values_N.to(device))
    if excluded is not None:
        flat.index_fill_(0, excluded.flat(chunk, scores_RV.shape[1])[0].to(device), NEVER)
    scores_RV[:, 0] = NEVER


def _best(scores_RV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best scores and items of each row, equal scores by smaller index; -inf goes with item 0."""
    rows, width = scores_RV.shape
    groups = width // GROUP
    maxima_RG = scores_RV.view(rows, GROUP, groups).amax(dim=1)
    chosen_RK = _greatest(maxima_RG, min(k, groups))
    items_RN = _members(chosen_RK, GROUP, groups)
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


def _greatest(maxima_RG: Tensor, k: int) -> Tensor:
    """Return the k groups of each row with the greatest maxima, in no order: they lie in k of the coarse groups."""
    rows, groups = maxima_RG.shape
    wide = groups // COARSE
    coarse_RN = maxima_RG.view(rows, COARSE, wide).amax(dim=1).topk(min(k, wide), dim=1, sorted=False).indices
    groups_RN = _members(coarse_RN, COARSE, wide)
    return groups_RN.gather(1, maxima_RG.gather(1, groups_RN).topk(k, dim=1, sorted=False).indices)


def _members(groups_RN: Tensor, size: int, stride: int) -> Tensor:
    """Return the members of groups, [R, N * size]: group j holds j, j + stride, j + 2 * stride, ..."""
    return (groups_RN[:, :, None] + torch.arange(size, device=groups_RN.device) * stride).flatten(1)


def _settled(scores_V: Tensor, last: Tensor, k: int) -> Tensor:
    """Return the k items of one row: all above ``last``, then those equal to it from the smallest index."""
    above_N = (scores_V > last).nonzero()[:, 0]
    equal_N = (scores_V == last).nonzero()[:, 0]
    return torch.cat([above_N, equal_N[: k - len(above_N)]])


def _joined(rows: Sequence[NDArray[Any]], dtype: type) -> Tensor:
    return torch.from_numpy(np.concatenate([np.zeros(0, dtype), *rows]).astype(dtype))
