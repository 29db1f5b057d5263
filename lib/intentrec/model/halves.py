"""Top-K where the processor multiplies bfloat16: a shortlist in halves, scored again in float32, and a proof.

Rounded to bfloat16 a product takes a fifth of the time (measured with avx512_bf16). Four more places of every vector
carry the bias and what rounding can have done to the score at most, so that the product is no estimate but a limit.
The items with the greatest limits are scored in float32. Where k of them reach more than the limit of all others they
are the best; rows where they do not are not answered here.

B users   U users whose shortlists are held together   R rows of a chunk   D width   E width and MORE   V items
W items of a block   K kept   G groups of items   N items of a shortlist
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from intentrec.model.ragged import Ragged
from intentrec.model.selection import GROUP, NEVER, TopK, greatest, members, num_groups

WORTH = 2_000_000  # numbers in the item matrix: with 20,000 x 64 halves took as long, with 30,000 x 128 0.77 of it
CHUNK = 192  # rows at once
ROWS = 8  # rows are multiplied in multiples of so many: products of other shapes differ in their last bits
HELD = 2048  # users whose shortlists are held together, while block after block of items is rounded for them
AGAIN = 16  # rows scored again at once: their shortlists' vectors stay in the cache
ROUNDED = 2048  # vectors rounded at once: the differences of all would be another item matrix
LEAST = 8192  # items of a block, unless there are fewer
MORE = 4  # places beside the vector: the bias in two parts, the length of the vector, and of what rounding took
HALF = 2.0**-8  # a number and its bfloat16 differ by less than this share of it
SINGLE = 2.0**-22  # an addition in float32 adds less than a quarter of this share as error


@dataclass(frozen=True, slots=True)
class Blocks:
    """What is multiplied at once: so many rows, a multiple of ROWS, with so many items, a multiple of whole groups."""

    rows: int
    items: int


def worth_halves(items_VD: Tensor) -> bool:
    """Return whether there is a processor that multiplies bfloat16, and a matrix large enough to gain by it."""
    return items_VD.device.type == "cpu" and items_VD.numel() >= WORTH and multiplies_halves()


def multiplies_halves() -> bool:
    """Return whether this machine's processor multiplies bfloat16 faster than float32."""
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


def blocks_in(budget: int, items_VD: Tensor, k: int) -> Blocks | None:
    """Return what can be multiplied at once within ``budget`` bytes, None where that is too little.

    A row takes 14 bytes for every member of the groups that its shortlist lies in, and some 100 for an item of it; half
    of the budget is for that. Of the rest a block's item takes 2 (D + MORE) bytes, and 2 and 6 / GROUP a row.
    """
    (size, width), short = items_VD.shape, shortlist_size(k)
    per_row = (14 * GROUP + 100) * short
    rows = min(CHUNK, budget // 2 // per_row // ROWS * ROWS)
    held = rows * per_row + 12 * HELD * short + 8 * width * (AGAIN * short + ROUNDED)
    per_item = 2 * (width + MORE) + 2.5 * rows
    whole = num_groups(1) * GROUP
    most = int((budget - held) / per_item) // whole * whole
    if rows < ROWS or most < min(LEAST, num_groups(size) * GROUP):
        return None
    blocks = -(-size // most)
    return Blocks(rows, num_groups(-(-size // blocks)) * GROUP)


def shortlist_size(k: int) -> int:
    """Return how many items are scored again.

    The best 100 of 100,000 random items of width 128 were proven in 81 % of rows with 124, in all with 140; the best
    10 in 99.3 % with 18.
    """
    return k + k // 2 + 16


@dataclass(frozen=True, slots=True)
class Asked:
    """What the best are asked of; see topk.top_k.

    Attributes:
        queries_BD: float32.
        items_VD: float32.
        bias_V: float32; -inf for item 0.
        excluded: items left out, per query.
        additive: scores added, per query.
    """

    queries_BD: Tensor
    items_VD: Tensor
    bias_V: Tensor
    excluded: Ragged | None
    additive: Ragged | None


def best_by_halves(asked: Asked, k: int, blocks: Blocks) -> tuple[TopK, Tensor]:
    """Return the ``k`` best of every row, no more than there are items, and sure_B: where they are proven to be."""
    rows = len(asked.queries_BD)
    found = TopK(torch.full((rows, k), NEVER), torch.zeros(rows, k, dtype=torch.int64))
    sure_B = torch.zeros(rows, dtype=torch.bool)
    for held in _slices(0, rows, HELD):
        items_UN, limits_UN, sums_U = _shortlists(asked, held, shortlist_size(k), blocks)
        for chunk in _slices(held.start, held.stop, blocks.rows):
            own = slice(chunk.start - held.start, chunk.stop - held.start)
            added = None if asked.additive is None else _Added.of(asked.additive, chunk, len(asked.items_VD))
            scores_RN = _scored_again(asked, chunk, items_UN[own])
            if added is not None:
                scores_RN += added.at(items_UN[own])
            scores_RN[limits_UN[own] == NEVER] = NEVER
            found.scores_BK[chunk], found.items_BK[chunk] = _ordered(items_UN[own], scores_RN, k)
            reach_R = _reached(limits_UN[own].amin(dim=1), sums_U[own], added)
            sure_B[chunk] = (found.scores_BK[chunk, -1] > reach_R) | (reach_R == NEVER)
    return found, sure_B


def _shortlists(asked: Asked, held: slice, size: int, blocks: Blocks) -> tuple[Tensor, Tensor, Tensor]:
    """Return items_UN with the greatest limits, these as float32, and what float32 sums can be off by, [U].

    Block after block of items is rounded, multiplied with all users, and its best join the best of those before.
    """
    width, users = asked.queries_BD.shape[1], held.stop - held.start
    queries_UE = torch.zeros(-(-users // ROWS) * ROWS, width + MORE, dtype=torch.bfloat16)
    queries_UE[:, width : width + 2] = 1.0
    lengths_U = _round(asked.queries_BD[held], queries_UE, (3, 2))  # theirs count what items lost
    halves_WE = torch.zeros(blocks.items, width + MORE, dtype=torch.bfloat16)
    buffer_RW = torch.empty(min(blocks.rows, len(queries_UE)), blocks.items, dtype=torch.bfloat16)
    items_UN = torch.zeros(users, size, dtype=torch.int64)
    limits_UN = torch.full((users, size), NEVER)
    longest = 0.0
    for block in _slices(0, len(asked.items_VD), blocks.items):
        longest = max(longest, _rounded_block(asked, block, halves_WE))
        for own in _slices(0, users, blocks.rows):
            queries_RE = queries_UE[own.start : own.start + -(-(own.stop - own.start) // ROWS) * ROWS]
            torch.mm(queries_RE, halves_WE.T, out=buffer_RW[: len(queries_RE)])
            scores_RW = buffer_RW[: own.stop - own.start]
            _amend(scores_RW, slice(held.start + own.start, held.start + own.stop), block, asked)
            items_RM, limits_RM = _shortlist(scores_RW, size)
            if block.start == 0:
                items_UN[own, : items_RM.shape[1]], limits_UN[own, : items_RM.shape[1]] = items_RM, limits_RM
            else:
                _join(items_UN[own], limits_UN[own], items_RM + block.start, limits_RM)
    finite_V = asked.bias_V.isfinite()
    highest = float(asked.bias_V[finite_V].abs().max()) if bool(finite_V.any()) else 0.0
    sums_U = (width + MORE) * SINGLE * (lengths_U * longest + highest) + HALF**2 * highest
    return items_UN, limits_UN, sums_U


def _join(items_RN: Tensor, limits_RN: Tensor, more_items_RM: Tensor, more_limits_RM: Tensor) -> None:
    """Keep the greatest of both, in place."""
    both_items, both_limits = torch.cat([items_RN, more_items_RM], dim=1), torch.cat([limits_RN, more_limits_RM], dim=1)
    kept_RN, where_RN = both_limits.topk(limits_RN.shape[1], dim=1, sorted=False)
    limits_RN.copy_(kept_RN)
    items_RN.copy_(both_items.gather(1, where_RN))


def _rounded_block(asked: Asked, block: slice, halves_WE: Tensor) -> float:
    """Write the items of a block, nobody's rows behind them, and return the length of the longest."""
    width, taken = asked.items_VD.shape[1], block.stop - block.start
    longest = 0.0
    for part in _slices(0, taken, ROUNDED):
        vectors_WD = asked.items_VD[block.start + part.start : block.start + part.stop]
        longest = max(longest, float(_round(vectors_WD, halves_WE[part], (2, 3)).max()))
    bias_W = asked.bias_V[block]
    halves_WE[taken:] = 0.0
    halves_WE[taken:, width] = NEVER
    halves_WE[:taken, width] = bias_W
    halves_WE[:taken, width + 1] = torch.where(bias_W.isfinite(), bias_W - halves_WE[:taken, width], 0.0)
    return longest


@dataclass(frozen=True, slots=True)
class _Added:
    """What was added to a chunk.

    Attributes:
        stride: items of a row.
        positions_N: sorted, in a [R, stride] matrix.
        values_N: of them.
        highest_R: the greatest size of one in a row.
    """

    stride: int
    positions_N: Tensor
    values_N: Tensor
    highest_R: Tensor

    @classmethod
    def of(cls, additive: Ragged, chunk: slice, stride: int) -> "_Added | None":
        positions_N, values_N = additive.flat(chunk, stride)
        if not len(positions_N):
            return None
        assert values_N is not None
        highest_R = torch.zeros(chunk.stop - chunk.start)
        highest_R.scatter_reduce_(0, positions_N // stride, values_N.abs(), "amax")
        positions_N, order_N = positions_N.sort()
        return cls(stride, positions_N, values_N[order_N], highest_R)

    def at(self, items_RN: Tensor) -> Tensor:
        """Return the values_RN of items, 0 where nothing was added."""
        wanted_RN = items_RN + torch.arange(len(items_RN))[:, None] * self.stride
        place_RN = torch.searchsorted(self.positions_N, wanted_RN).clamp_(max=len(self.positions_N) - 1)
        return torch.where(self.positions_N[place_RN] == wanted_RN, self.values_N[place_RN], 0.0)


def _amend(scores_RW: Tensor, chunk: slice, block: slice, asked: Asked) -> None:
    """Add and exclude, in place, what is given for the items of a block."""
    flat = scores_RW.view(-1)
    if asked.additive is not None:
        positions_N, values_N = asked.additive.flat(chunk, scores_RW.shape[1], block)
        assert values_N is not None
        flat[positions_N] = (flat[positions_N].float() + values_N).bfloat16()
    if asked.excluded is not None:
        flat.index_fill_(0, asked.excluded.flat(chunk, scores_RW.shape[1], block)[0], NEVER)


def _shortlist(scores_RV: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the items_RN with the greatest rounded scores, in no order, and these as float32."""
    rows, width = scores_RV.shape
    groups = width // GROUP
    maxima_RG = scores_RV.view(rows, GROUP, groups).amax(dim=1).float()
    items_RN = members(greatest(maxima_RG, min(size, groups)), GROUP, groups)
    limits_RN = scores_RV.gather(1, items_RN).float()
    limits_RN, where_RN = limits_RN.topk(min(size, items_RN.shape[1]), dim=1, sorted=False)
    return items_RN.gather(1, where_RN), limits_RN


def _scored_again(asked: Asked, chunk: slice, items_RN: Tensor) -> Tensor:
    """Return float32 scores, every item's by itself: other items and other rows change no bit of them."""
    items_RN = items_RN.clamp(max=len(asked.items_VD) - 1)  # an empty row at the end is nobody's
    scores_RN = asked.bias_V[items_RN]
    for part in _slices(0, len(items_RN), AGAIN):
        vectors_RND = asked.items_VD.index_select(0, items_RN[part].flatten()).view(*items_RN[part].shape, -1)
        scores_RN[part] += vectors_RND.mul_(asked.queries_BD[chunk][part, None]).sum(dim=2)
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
    width, halves_UE = vectors_UD.shape[1], halves_UE[: len(vectors_UD)]
    halves_UE[:, :width] = vectors_UD
    lengths_U: Tensor = vectors_UD.norm(dim=1)
    halves_UE[:, width + places[0]] = lengths_U * (1 + 2 * HALF)
    halves_UE[:, width + places[1]] = (vectors_UD - halves_UE[:, :width]).norm(dim=1) * (1 + 2 * HALF)
    return lengths_U


def _slices(start: int, stop: int, size: int) -> Iterator[slice]:
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))
