"""Losses as sums, so that they can be divided by the weight of all ranks together.

N events   Q queries of an event   D width   E width, and a column more where there are biases   V items + 1
W items of a tile   T tiles   S drawn items   M labels of a head   K labels kept per event (-1: none)
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 256  # events whose logits exist at once; 256 x 100,000 items are 102 MB
_MOST_JUDGED = 2**26  # logits that exist at once where no gradient is formed: 256 MB, and as much beside them
_TILE = 4096  # items whose logits exist at once: 4 MB of a chunk stay in the cache; 1024 took 10 % longer, 8192 3 %
_BITS = 1 / math.log(2)  # of a natural logarithm's unit: exp2 takes a third of exp's time
_NOT_DRAWN = -1e9  # the logit of a drawn item that is the event's own


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Forms the gradients while the logits of a chunk exist; the N x V matrix never does.

    The logits are float32; where the network computes in bfloat16, the softmax is rounded to it for the two products
    that make the gradients.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_NE: Tensor, items_VE: Tensor, targets_N: Tensor, weights_N: Tensor, halves: bool
    ) -> Tensor:
        hidden_NE, items_VE = hidden_NE.detach().float(), items_VE.detach().float()
        hidden_grad_NE, items_grad_VE = torch.zeros_like(hidden_NE), torch.zeros_like(items_VE)
        known_VE, known_grad_VE = items_VE[1:], items_grad_VE[1:]  # item 0 is never a target and takes no probability
        total = hidden_NE.new_zeros((), dtype=torch.float64)
        tiles = _Tiles(known_VE, min(CHUNK, len(hidden_NE)), torch.bfloat16 if halves else torch.float32)
        for start in range(0, len(hidden_NE), CHUNK):
            rows = slice(start, start + CHUNK)
            hidden, targets, weights = hidden_NE[rows], targets_N[rows] - 1, weights_N[rows].float()
            own = known_VE[targets]
            total += ((tiles.fill(hidden) - (hidden * own).sum(dim=1)) * weights).double().sum()
            tiles.add_products(hidden, weights, hidden_grad_NE[rows], known_grad_VE)
            hidden_grad_NE[rows] -= weights[:, None] * own
            known_grad_VE.index_add_(0, targets, hidden * weights[:, None], alpha=-1)
        ctx.save_for_backward(hidden_grad_NE, items_grad_VE)
        return total.float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        hidden_grad_NE, items_grad_VE = ctx.saved_tensors
        return hidden_grad_NE * scale, items_grad_VE * scale, None, None, None


class _Tiles:
    """The unnormalised softmax of a chunk of events, in tiles of items that are made while they are in the cache.

    With 40,000 items the matrix of a chunk has 41 MB, and every pass over it costs as much as a product: a tile is
    written once, in the type of the products. Its odds are relative to its own greatest logit; what that lacks to the
    greatest of all, the denominator and the weight are applied to the narrow matrices.
    """

    def __init__(self, items_VE: Tensor, num_events: int, kind: torch.dtype) -> None:
        """Room for ``num_events``; ``kind``: type of what the gradients are made of."""
        width = _TILE if items_VE.device.type == "cpu" else len(items_VE)
        self.items, self.factors = torch.split(items_VE, width), torch.split(items_VE.to(kind), width)
        self.logits = items_VE.new_empty(num_events * min(width, len(items_VE)))
        self.odds = [factors.new_empty(num_events, len(factors)) for factors in self.factors]

    def fill(self, hidden_NE: Tensor) -> Tensor:
        """Make the tiles of these events; return float [N] logarithms of their denominators."""
        bits_NE = hidden_NE * _BITS
        tops, sums = [], []
        for items_WE, odds_NW in zip(self.items, self.odds, strict=True):
            size = len(hidden_NE), len(items_WE)
            logits_NW = torch.mm(bits_NE, items_WE.T, out=self.logits[: size[0] * size[1]].view(size))
            top_N = logits_NW.amax(dim=1)
            logits_NW.sub_(top_N[:, None]).exp2_()
            odds_NW[: size[0]].copy_(logits_NW)
            tops.append(top_N)
            sums.append(logits_NW.sum(dim=1))
        tops_NT = torch.stack(tops, dim=1)
        greatest_N1 = tops_NT.amax(dim=1, keepdim=True)
        factors_NT = (tops_NT - greatest_N1).exp2()
        sums_N1 = (torch.stack(sums, dim=1) * factors_NT).sum(dim=1, keepdim=True)
        self.shares_NT = factors_NT / sums_N1
        return (sums_N1.log2() + greatest_N1).squeeze(1) / _BITS

    def add_products(self, hidden_NE: Tensor, weights_N: Tensor, hidden_grad_NE: Tensor, items_grad_VE: Tensor) -> None:
        """Add the weighted softmax times the items to ``hidden_grad_NE``, times the queries to ``items_grad_VE``."""
        shares_NT, start = self.shares_NT * weights_N[:, None], 0
        for tile, factors_WE in enumerate(self.factors):
            odds_NW, share_N1 = self.odds[tile][: len(hidden_NE)], shares_NT[:, tile, None]
            hidden_grad_NE.addcmul_((odds_NW @ factors_WE).float(), share_N1)
            scaled_NE = (hidden_NE * share_N1).to(odds_NW.dtype)
            items_grad_VE[start : start + len(factors_WE)] += odds_NW.T @ scaled_NE
            start += len(factors_WE)


class _GreatestCrossEntropy(_ChunkedCrossEntropy):
    """The same where every event has several queries, and an item the greatest of their scores."""

    @staticmethod
    def forward(
        ctx: Any, hidden_NQE: Tensor, items_VE: Tensor, targets_N: Tensor, weights_N: Tensor, _halves: bool
    ) -> Tensor:
        hidden_NQE, items_VE = hidden_NQE.detach().float(), items_VE.detach().float()
        known_VE = items_VE[1:]
        hidden_grad_NQE, items_grad_VE = torch.empty_like(hidden_NQE), torch.zeros_like(items_VE)
        total = hidden_NQE.new_zeros((), dtype=torch.float64)
        for start in range(0, len(hidden_NQE), CHUNK):
            rows = slice(start, start + CHUNK)
            hidden, targets, weights = hidden_NQE[rows], targets_N[rows, None] - 1, weights_N[rows, None].float()
            logits, winner = _greatest(hidden * _BITS, known_VE)
            of_target, greatest = logits.gather(1, targets), logits.amax(dim=1, keepdim=True)
            odds = logits.sub_(greatest).exp2_()
            sums = odds.sum(dim=1, keepdim=True)
            total += ((sums.log2() + greatest - of_target) / _BITS * weights).double().sum()
            odds *= weights / sums  # the softmax times the weight; the target's own term joins it
            odds.scatter_add_(1, targets, -weights)
            for query in range(hidden.shape[1]):
                part = odds * (winner == query)
                torch.mm(part, known_VE, out=hidden_grad_NQE[rows, query])
                items_grad_VE[1:].addmm_(part.T, hidden[:, query])
        ctx.save_for_backward(hidden_grad_NQE, items_grad_VE)
        return total.float()


def _greatest(hidden_NQD: Tensor, items_VD: Tensor) -> tuple[Tensor, Tensor]:
    """Return the greatest scores [N, V], and int8 [N, V] which query gives them, the first of equals."""
    logits_NV = hidden_NQD[:, 0] @ items_VD.T
    winner_NV = torch.zeros(logits_NV.shape, dtype=torch.int8, device=logits_NV.device)
    for query in range(1, hidden_NQD.shape[1]):
        others_NV = hidden_NQD[:, query] @ items_VD.T
        winner_NV.masked_fill_(others_NV > logits_NV, query)
        torch.maximum(logits_NV, others_NV, out=logits_NV)
    return logits_NV, winner_NV


def cross_entropy(
    hidden_ND: Tensor, items_VD: Tensor, targets_N: Tensor, weights_N: Tensor, bias_V: Tensor | None = None
) -> Tensor:
    """Return the float32 sum over events of ``-w ln p(target)``, p the softmax over all items but item 0.

    Args:
        hidden_ND: float queries; or [N, Q, D], where an item's score is the greatest of an event's Q.
        items_VD: float item vectors; the same table may have been read to make ``hidden_ND``.
        targets_N: int64, 1 to V - 1.
        weights_N: float, not negative.
        bias_V: float scores of the items themselves, if there are any.
    """
    many = hidden_ND.dim() == 3
    apply: Callable[..., Tensor] = _GreatestCrossEntropy.apply if many else _ChunkedCrossEntropy.apply
    halves = torch.is_autocast_enabled(hidden_ND.device.type)
    with torch.autocast(hidden_ND.device.type, enabled=False):  # logits in float32, whatever the network computes in
        if bias_V is not None:
            hidden_ND = torch.cat([hidden_ND.float(), hidden_ND.new_ones(*hidden_ND.shape[:-1], 1).float()], dim=-1)
            items_VD = torch.cat([items_VD.float(), bias_V[:, None].float()], dim=1)
        if torch.is_grad_enabled():
            return apply(hidden_ND, items_VD, targets_N, weights_N, halves)
        return _judged(hidden_ND, items_VD, targets_N, weights_N)


def judged_at_once(num_logits: int) -> int:
    """Return the events that are judged at once, each having so many logits: sampled losses know millions of items."""
    return max(1, min(CHUNK, _MOST_JUDGED // num_logits))


def _judged(hidden_NE: Tensor, items_VE: Tensor, targets_N: Tensor, weights_N: Tensor) -> Tensor:
    hidden_NQE = hidden_NE if hidden_NE.dim() == 3 else hidden_NE[:, None]
    total = hidden_NE.new_zeros((), dtype=torch.float64)
    chunk = judged_at_once(len(items_VE) * hidden_NQE.shape[1])
    for start in range(0, len(hidden_NQE), chunk):
        rows = slice(start, start + chunk)
        logits = (hidden_NQE[rows].float() * _BITS @ items_VE[1:].float().T).amax(dim=1)
        of_target, greatest = logits.gather(1, targets_N[rows, None] - 1), logits.amax(dim=1, keepdim=True)
        sums = logits.sub_(greatest).exp2_().sum(dim=1, keepdim=True)
        total += ((sums.log2() + greatest - of_target).squeeze(1) / _BITS * weights_N[rows]).double().sum()
    return total.float()


class _SampledCrossEntropy(torch.autograd.Function):
    """The same over each event's own item and the drawn ones; the logits of a chunk stay in the processor's cache."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NE: Tensor,
        own_NE: Tensor,
        drawn_SE: Tensor,
        items: tuple[Tensor, Tensor],
        weights_N: Tensor,
    ) -> Tensor:
        hidden_NE, own_NE, drawn_SE = hidden_NE.detach().float(), own_NE.detach().float(), drawn_SE.detach().float()
        items_N, items_S = items
        hidden_grad_NE, own_grad_NE = torch.empty_like(hidden_NE), torch.empty_like(own_NE)
        drawn_grad_SE = torch.zeros_like(drawn_SE)
        buffer_NS = hidden_NE.new_empty(min(CHUNK, len(hidden_NE)), len(drawn_SE))
        total = hidden_NE.new_zeros((), dtype=torch.float64)
        for start in range(0, len(hidden_NE), CHUNK):
            rows = slice(start, start + CHUNK)
            hidden, own, weights = hidden_NE[rows], own_NE[rows], weights_N[rows, None].float()
            logits = torch.mm(hidden, drawn_SE.T, out=buffer_NS[: len(hidden)])
            logits.masked_fill_(items_N[rows, None] == items_S, _NOT_DRAWN)
            of_own = (hidden * own).sum(dim=1, keepdim=True)
            greatest = torch.maximum(logits.amax(dim=1, keepdim=True), of_own)
            odds, own_odds = logits.sub_(greatest).exp_(), (of_own - greatest).exp()
            sums = odds.sum(dim=1, keepdim=True) + own_odds
            total += ((sums.log() + greatest - of_own) * weights).double().sum()
            shares = weights / sums
            missing = own_odds * shares - weights
            torch.mm(odds, drawn_SE, out=hidden_grad_NE[rows]).mul_(shares).add_(missing * own)
            torch.mul(missing, hidden, out=own_grad_NE[rows])
            drawn_grad_SE.addmm_(odds.T, hidden * shares)
        ctx.save_for_backward(hidden_grad_NE, own_grad_NE, drawn_grad_SE)
        return total.float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        hidden_grad_NE, own_grad_NE, drawn_grad_SE = ctx.saved_tensors
        return hidden_grad_NE * scale, own_grad_NE * scale, drawn_grad_SE * scale, None, None


def sampled_cross_entropy(
    hidden_NE: Tensor, own_NE: Tensor, drawn_SE: Tensor, items: tuple[Tensor, Tensor], weights_N: Tensor
) -> Tensor:
    """Return the float32 sum over events of ``-w ln p(own)``, p the softmax over the own item and the drawn ones.

    Args:
        hidden_NE: float queries, and whatever column biases and corrections are multiplied with.
        own_NE: float vectors of the events' own items.
        drawn_SE: float vectors of the drawn items.
        items: int64 [N] own items and [S] drawn ones; where they are equal the drawn one does not count.
        weights_N: float, not negative.
    """
    apply: Callable[..., Tensor] = _SampledCrossEntropy.apply
    with torch.autocast(hidden_NE.device.type, enabled=False):
        return apply(hidden_NE, own_NE, drawn_SE, items, weights_N)


def label_loss(logits_NM: Tensor, labels_NK: Tensor, weights_N: Tensor) -> Tensor:
    """Return the float32 sum over events of ``-w`` times the sum of ``ln p`` over the true labels; no negative labels.

    Args:
        logits_NM: float.
        labels_NK: int64 true labels, -1 where an event has fewer than K.
        weights_N: float, not negative.

    Source: IntentRec (arXiv 2408.05353), section 3.4, multi-label tasks.
    """
    log_p_NM = logits_NM.float().log_softmax(dim=1)
    true_NK = log_p_NM.gather(1, labels_NK.clamp(min=0)).masked_fill(labels_NK < 0, 0.0)
    return -(true_NK.sum(dim=1) * weights_N).sum()
