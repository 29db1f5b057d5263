"""Top-K where the processor multiplies bfloat16: a shortlist in halves, scored again in float32, and a proof.

Rounded to bfloat16 a product takes a fifth of the time (measured with avx512_bf16). Four more places of every vector
carry the bias and what rounding can have done to the score at most, so that the product is no estimate but a limit.
The items with the greatest limits are scored in float32. Where k of them reach more than the limit of all others they
are the best; rows where they do not are not answered here.

B users   D width   E width and MORE   V items   K kept   G groups of items   N items of a shortlist   R rows of a chunk
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from intentrec.model.ragged import Ragged
from intentrec.model.selection import GROUP, NEVER, TopK, greatest, members, num_groups

WORTH = (
    2_000_000  # numbers in the item matrix from which halves gain: 20,000 x 64 took 1.06 times as long, 50,000 x 64 0.8
)
CHUNK = 192  # rows at once
ROWS = 8  # multiples of so many rows are multiplied, so that no row depends on another
BLOCK = 16  # rows scored again at once: their shortlists' vectors stay in the cache
MORE = 4  # places beside the vector: the bias in two parts, the length of the vector, and of what rounding took
HALF = 2.0**-8  # a number and its bfloat16 differ by less than this share of it
SINGLE = 2.0**-22  # an addition in float32 adds less than a quarter of this share as error


@dataclass(frozen=True, slots=True)
class Halves:
    """Items in bfloat16.

    Attributes:
        items_VD: float32, as given.
        bias_V: float32; -inf for item 0.
        halves_VE: bfloat16 vectors and MORE; empty rows up to a multiple of the groups.
        longest: the greatest length of an item vector.
        highest: the greatest size of a bias.
    """

    items_VD: Tensor
    bias_V: Tensor
    halves_VE: Tensor
    longest: float
    highest: float

    @classmethod
    def of(cls, items_VD: Tensor, bias_V: Tensor | None) -> "Halves":
        """Round the items."""
        size, width = items_VD.shape
        bias_V = torch.zeros(size) if bias_V is None else bias_V.clone()
        bias_V[0] = NEVER
        halves_VE = torch.zeros(num_groups(size) * GROUP, width + MORE, dtype=torch.bfloat16)
        halves_VE[size:, width] = NEVER
        longest = 0.0
        for start in range(0, size, 8192):  # the differences of all at once would be another item matrix
            part = slice(start, min(start + 8192, size))
            longest = max(longest, float(_round(items_VD[part], halves_VE[part], (2, 3)).max()))
        halves_VE[:size, width] = bias_V
        finite_V = bias_V.isfinite()
        halves_VE[:size, width + 1] = torch.where(finite_V, bias_V - halves_VE[:size, width], 0.0)
        highest = float(bias_V[finite_V].abs().max()) if bool(finite_V.any()) else 0.0
        return cls(items_VD, bias_V, halves_VE, longest, highest)


def worth_halves(items_VD: Tensor) -> bool:
    """Return whether there is a processor that multiplies bfloat16, and a matrix large enough to gain by it."""
    if items_VD.device.type != "cpu" or items_VD.numel() < WORTH:
        return False
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


def rows_in(budget: int, items_VD: Tensor, k: int) -> int:
    """Return how many rows can be scored at once within ``budget`` bytes, 0 where that is too little.

    All items take 2 (D + MORE) bytes each; a row takes 2 bytes an item and 6 a group, 22 for each member of the groups
    that its shortlist lies in, and BLOCK rows the vectors of their shortlists twice.
    """
    size, width = items_VD.shape
    groups, short = num_groups(size), min(shortlist_size(k), num_groups(size) * GROUP)
    held = 2 * groups * GROUP * (width + MORE) + 2 * BLOCK * short * width * 4
    per_row = 2 * groups * GROUP + 6 * groups + 22 * GROUP * min(short, groups) + 40 * short
    return max(0, min(CHUNK, (budget - held) // per_row // ROWS * ROWS))


def shortlist_size(k: int) -> int:
    """Return how many items are scored again: with 130 for 100 of 100,000 random ones a quarter of rows was proven."""
    return k + 3 * k // 4 + 16


def best_by_halves(
    queries_BD: Tensor, halves: Halves, k: int, at_once: int, extra: tuple[Ragged | None, Ragged | None]
) -> tuple[TopK, Tensor]:
    """Return the k best of every row, and sure_B: where they are proven to be.

    Args:
        queries_BD: float32.
        halves: of the items.
        k: items per query, no more than there are items.
        at_once: rows, a multiple of ROWS.
        extra: what is excluded, and what is added.
    """
    excluded, additive = extra
    rows, width = queries_BD.shape
    found = TopK(torch.full((rows, k), NEVER), torch.zeros(rows, k, dtype=torch.int64))
    sure_B = torch.zeros(rows, dtype=torch.bool)
    buffered = min(at_once, -(-rows // ROWS) * ROWS)
    buffer_RV = torch.empty(buffered, len(halves.halves_VE), dtype=torch.bfloat16)
    queries_RE = torch.zeros(buffered, width + MORE, dtype=torch.bfloat16)
    for start in range(0, rows, at_once):
        chunk = slice(start, min(start + at_once, rows))
        taken = chunk.stop - start
        queries_RE[:, width : width + 2] = 1.0
        lengths_R = _round(queries_BD[chunk], queries_RE[:taken], (3, 2))  # theirs count what items lost
        torch.mm(queries_RE, halves.halves_VE.T, out=buffer_RV)
        scores_RV = buffer_RV[:taken]
        added = _amend(scores_RV, chunk, excluded, additive)
        items_RN, limits_RN = _shortlist(scores_RV, shortlist_size(k))
        scores_RN = _scored_again(queries_BD[chunk], halves, items_RN)
        if added is not None:
            scores_RN += added.at(items_RN, scores_RV.shape[1])
        scores_RN[limits_RN == NEVER] = NEVER
        found.scores_BK[chunk], found.items_BK[chunk] = _ordered(items_RN, scores_RN, k)
        sums_R = (width + MORE) * SINGLE * (lengths_R * halves.longest + halves.highest) + HALF**2 * halves.highest
        reach_R = _reached(limits_RN.amin(dim=1), sums_R, added)
        sure_B[chunk] = (found.scores_BK[chunk, -1] > reach_R) | (reach_R == NEVER)
    return found, sure_B


@dataclass(frozen=True, slots=True)
class _Added:
    """What was added to a chunk: sorted positions in it and their values, the greatest size of one in a row."""

    positions_N: Tensor
    values_N: Tensor
    highest_R: Tensor

    def at(self, items_RN: Tensor, stride: int) -> Tensor:
        """Return the values_RN of items, 0 where nothing was added."""
        wanted_RN = items_RN + torch.arange(len(items_RN))[:, None] * stride
        place_RN = torch.searchsorted(self.positions_N, wanted_RN).clamp_(max=len(self.positions_N) - 1)
        return torch.where(self.positions_N[place_RN] == wanted_RN, self.values_N[place_RN], 0.0)


def _amend(scores_RV: Tensor, chunk: slice, excluded: Ragged | None, additive: Ragged | None) -> _Added | None:
    """Add and exclude, in place; return what was added."""
    flat, added = scores_RV.view(-1), None
    if additive is not None:
        positions_N, values_N = additive.flat(chunk, scores_RV.shape[1])
        assert values_N is not None
        if len(positions_N):
            flat[positions_N] = (flat[positions_N].float() + values_N).bfloat16()
            highest_R = torch.zeros(len(scores_RV))
            highest_R.scatter_reduce_(0, positions_N // scores_RV.shape[1], values_N.abs(), "amax")
            positions_N, order_N = positions_N.sort()
            added = _Added(positions_N, values_N[order_N], highest_R)
    if excluded is not None:
        flat.index_fill_(0, excluded.flat(chunk, scores_RV.shape[1])[0], NEVER)
    return added


def _shortlist(scores_RV: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the items_RN with the greatest rounded scores, in no order, and these as float32."""
    rows, width = scores_RV.shape
    groups = width // GROUP
    maxima_RG = scores_RV.view(rows, GROUP, groups).amax(dim=1).float()
    items_RN = members(greatest(maxima_RG, min(size, groups)), GROUP, groups)
    limits_RN = scores_RV.gather(1, items_RN).float()
    limits_RN, where_RN = limits_RN.topk(min(size, items_RN.shape[1]), dim=1, sorted=False)
    return items_RN.gather(1, where_RN), limits_RN


def _scored_again(queries_RD: Tensor, halves: Halves, items_RN: Tensor) -> Tensor:
    """Return float32 scores, every item's by itself: other items and other rows change no bit of them."""
    items_RN = items_RN.clamp(max=len(halves.items_VD) - 1)  # an empty row at the end is nobody's
    scores_RN = halves.bias_V[items_RN]
    for start in range(0, len(items_RN), BLOCK):
        part = slice(start, start + BLOCK)
        vectors_RND = halves.items_VD.index_select(0, items_RN[part].flatten()).view(*items_RN[part].shape, -1)
        scores_RN[part] += vectors_RND.mul_(queries_RD[part, None]).sum(dim=2)
    return scores_RN


def _ordered(items_RN: Tensor, scores_RN: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best, equal scores by smaller index; -inf goes with item 0."""
    items_RN, order_RN = items_RN.sort(dim=1)
    scores_RN, best_RN = scores_RN.gather(1, order_RN).sort(dim=1, descending=True, stable=True)
    scores_RK = scores_RN[:, :k]
    return scores_RK, items_RN.gather(1, best_RN[:, :k]).masked_fill_(scores_RK == NEVER, 0)


def _reached(last_R: Tensor, sums_R: Tensor, added: _Added | None) -> Tensor:
    """Return what the float32 score of an item can be at most whose rounded limit is no more than ``last_R``.

    Rounding keeps the order, so the limit before it was below the number next to ``last_R``; where something was added
    the sum was rounded as well. ``sums_R`` is what additions in float32 lose in both ways of scoring.
    """
    slack_R = HALF * last_R.abs()
    if added is not None:
        slack_R = 3 * slack_R + (2 * HALF + 4 * SINGLE) * added.highest_R
    return torch.where(last_R == NEVER, last_R, last_R + slack_R + sums_R)


def _round(vectors_UD: Tensor, halves_UE: Tensor, places: tuple[int, int]) -> Tensor:
    """Write rounded vectors, their lengths, and the lengths of what was lost, both rounded up; return the lengths_U.

    By Cauchy and Schwarz (q, v) - (q', v') is at most |q - q'| |v| + |q'| |v - v'|.
    """
    width = vectors_UD.shape[1]
    halves_UE[:, :width] = vectors_UD
    lengths_U: Tensor = vectors_UD.norm(dim=1)
    halves_UE[:, width + places[0]] = lengths_U * (1 + 2 * HALF)
    halves_UE[:, width + places[1]] = (vectors_UD - halves_UE[:, :width]).norm(dim=1) * (1 + 2 * HALF)
    return lengths_U
