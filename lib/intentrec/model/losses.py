"""Losses as sums, so that they can be divided by the weight of all ranks together.

N events   Q queries of an event   D width   E width with one more column   V items + 1   S drawn items
M labels of a head   K labels kept per event (-1: none)
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 256  # events whose logits exist at once; 256 x 100,000 items are 102 MB
_MOST_JUDGED = 2**26  # logits that exist at once where no gradient is formed: 256 MB, and as much beside them
_NOT_DRAWN = -1e9  # the logit of a drawn item that is the event's own


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Forms the gradients while the logits of a chunk exist; the N x V matrix never does.

    The logits are float32; where the network computes in bfloat16, the softmax is rounded to it for the two products
    that make the gradients, which take two thirds of the time.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, items_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor, weights_N: Tensor
    ) -> Tensor:
        halves = torch.is_autocast_enabled(hidden_ND.device.type)
        with torch.autocast(hidden_ND.device.type, enabled=False):
            gradients, total = _gradients(hidden_ND, items_VD, bias_V, (targets_N, weights_N), halves)
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        hidden_grad_ND, items_grad_VD, bias_grad_V = ctx.saved_tensors
        bias_grad_V = None if bias_grad_V is None else bias_grad_V * scale
        return hidden_grad_ND * scale, items_grad_VD * scale, bias_grad_V, None, None


def _gradients(
    hidden_ND: Tensor, items_VD: Tensor, bias_V: Tensor | None, wanted: tuple[Tensor, Tensor], halves: bool
) -> tuple[tuple[Tensor, Tensor, Tensor | None], Tensor]:
    """Return the gradients of hidden_ND, items_VD and bias_V, and the loss; ``wanted`` are targets_N and weights_N."""
    targets_N, weights_N = wanted
    hidden_ND, items_VD = hidden_ND.detach().float(), items_VD.detach().float()
    known_VD = items_VD[1:]  # item 0 is never a target and takes no probability
    factors_VD = known_VD.bfloat16() if halves else known_VD
    hidden_grad_ND, items_grad_VD = torch.empty_like(hidden_ND), torch.zeros_like(items_VD)
    bias_grad_V = None if bias_V is None else torch.zeros_like(bias_V, dtype=torch.float32)
    buffer_NV = hidden_ND.new_empty(min(CHUNK, len(hidden_ND)), len(known_VD))
    total = hidden_ND.new_zeros((), dtype=torch.float64)
    for start in range(0, len(hidden_ND), CHUNK):
        rows = slice(start, start + CHUNK)
        hidden, targets, weights = hidden_ND[rows], targets_N[rows, None] - 1, weights_N[rows].float()
        logits = torch.mm(hidden, known_VD.T, out=buffer_NV[: len(hidden)])
        if bias_V is not None:
            logits += bias_V[1:]
        # Three passes over the chunk, and no more: greatest, exponent, sum. The softmax itself is never formed: its
        # denominators and the weights are applied to the narrow matrices, the target's own term is added apart.
        of_target = logits.gather(1, targets)
        greatest = logits.amax(dim=1, keepdim=True)
        odds = logits.sub_(greatest).exp_()
        sums = odds.sum(dim=1, keepdim=True)
        total += ((sums.log() + greatest - of_target).squeeze(1) * weights).double().sum()
        shares = weights[:, None] / sums
        if halves:
            rounded = odds.bfloat16()
            torch.mul(rounded @ factors_VD, shares, out=hidden_grad_ND[rows])
            items_grad_VD[1:] += rounded.T @ (hidden * shares).bfloat16()
        else:
            torch.mm(odds, factors_VD, out=hidden_grad_ND[rows]).mul_(shares)
            items_grad_VD[1:].addmm_(odds.T, hidden * shares)
        hidden_grad_ND[rows] -= weights[:, None] * known_VD[targets[:, 0]]
        items_grad_VD[1:].index_add_(0, targets[:, 0], hidden * weights[:, None], alpha=-1)
        if bias_grad_V is not None:
            bias_grad_V[1:] += (odds.T @ shares)[:, 0]
            bias_grad_V[1:].index_add_(0, targets[:, 0], weights, alpha=-1)
    return (hidden_grad_ND, items_grad_VD, bias_grad_V), total.float()


class _GreatestCrossEntropy(_ChunkedCrossEntropy):
    """The same where every event has several queries, and an item the greatest of their scores."""

    @staticmethod
    def forward(
        ctx: Any, hidden_NQD: Tensor, items_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor, weights_N: Tensor
    ) -> Tensor:
        hidden_NQD, items_VD = hidden_NQD.detach().float(), items_VD.detach().float()
        known_VD = items_VD[1:]
        hidden_grad_NQD, items_grad_VD = torch.empty_like(hidden_NQD), torch.zeros_like(items_VD)
        bias_grad_V = None if bias_V is None else torch.zeros_like(bias_V, dtype=torch.float32)
        total = hidden_NQD.new_zeros((), dtype=torch.float64)
        for start in range(0, len(hidden_NQD), CHUNK):
            rows = slice(start, start + CHUNK)
            hidden, targets, weights = hidden_NQD[rows], targets_N[rows, None] - 1, weights_N[rows, None].float()
            logits, winner = _greatest(hidden, known_VD)
            if bias_V is not None:
                logits += bias_V[1:]
            of_target, greatest = logits.gather(1, targets), logits.amax(dim=1, keepdim=True)
            odds = logits.sub_(greatest).exp_()
            sums = odds.sum(dim=1, keepdim=True)
            total += ((sums.log() + greatest - of_target) * weights).double().sum()
            odds *= weights / sums  # the softmax times the weight; the target's own term joins it
            odds.scatter_add_(1, targets, -weights)
            for query in range(hidden.shape[1]):
                part = odds * (winner == query)
                torch.mm(part, known_VD, out=hidden_grad_NQD[rows, query])
                items_grad_VD[1:].addmm_(part.T, hidden[:, query])
            if bias_grad_V is not None:
                bias_grad_V[1:] += odds.sum(dim=0)
        ctx.save_for_backward(hidden_grad_NQD, items_grad_VD, bias_grad_V)
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
    if torch.is_grad_enabled() and not many:
        return apply(hidden_ND, items_VD, bias_V, targets_N, weights_N)
    with torch.autocast(hidden_ND.device.type, enabled=False):  # logits in float32, whatever the network computes in
        if torch.is_grad_enabled():
            return apply(hidden_ND, items_VD, bias_V, targets_N, weights_N)
        return _judged(hidden_ND, items_VD, bias_V, targets_N, weights_N)


def judged_at_once(num_logits: int) -> int:
    """Return the events that are judged at once, each having so many logits: sampled losses know millions of items."""
    return max(1, min(CHUNK, _MOST_JUDGED // num_logits))


def _judged(hidden_ND: Tensor, items_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor, weights_N: Tensor) -> Tensor:
    hidden_NQD = hidden_ND if hidden_ND.dim() == 3 else hidden_ND[:, None]
    total = hidden_ND.new_zeros((), dtype=torch.float64)
    chunk = judged_at_once(len(items_VD) * hidden_NQD.shape[1])
    for start in range(0, len(hidden_NQD), chunk):
        rows = slice(start, start + chunk)
        logits = (hidden_NQD[rows].float() @ items_VD[1:].float().T).amax(dim=1)
        if bias_V is not None:
            logits += bias_V[1:]
        chosen = logits.gather(1, targets_N[rows, None] - 1).squeeze(1)
        total += ((logits.logsumexp(dim=1) - chosen) * weights_N[rows]).double().sum()
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
