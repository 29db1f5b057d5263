"""How wrong queries are about the next item: against every item, or against some that are drawn.

N events   Q queries of an event   D width   E width and a column of biases   I items   S negatives of a step
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from intentrec.model.items import ItemVectors
from intentrec.model.losses import cross_entropy, sampled_cross_entropy
from intentrec.model.negatives import Negatives

_OVERLAP = 0.1  # of the squared cosine between two interests, beside a loss of some nats: enough that none starves
_NOT_DRAWN = -1e9  # the logit of a negative that is the event's own item


class ItemLoss(Protocol):
    """A loss of queries, summed over events."""

    def __call__(self, queries_NQD: Tensor, vectors: ItemVectors, items_N: Tensor, weights_N: Tensor) -> Tensor:
        """Return float32, the sum of every event's loss times its weight; ``items_N`` are int64, above 0."""


def full_loss(queries_NQD: Tensor, vectors: ItemVectors, items_N: Tensor, weights_N: Tensor) -> Tensor:
    """Compare with every item: the sum over events of ``-w ln p(item)``; ``vectors`` must be of all items.

    Where gradients are asked for, an event with several queries is judged by the one nearest to its item; otherwise
    by the greatest score of each item, as lists are made.
    """
    if not torch.is_grad_enabled():
        return cross_entropy(queries_NQD, vectors.vectors_UD, items_N, weights_N, vectors.bias_U)
    queries_ND, overlap = _nearest(queries_NQD, vectors.of(items_N), weights_N)
    return cross_entropy(queries_ND, vectors.vectors_UD, items_N, weights_N, vectors.bias_U) + overlap


@dataclass(frozen=True, slots=True)
class SampledLoss:
    """Softmax over the event's own item and drawn ones, each of these less the log of how often it is drawn.

    Its expected gradient points along that of ``full_loss``. The own item is there for certain, so it is not corrected;
    where it is drawn as well it does not count twice.

    Source: corrected sampled softmax, arXiv 2507.09331; Bengio and Senecal (IEEE TNN 2008), section 3.
    """

    negatives: Negatives

    def __call__(self, queries_NQD: Tensor, vectors: ItemVectors, items_N: Tensor, weights_N: Tensor) -> Tensor:
        """Return float32, the weighted sum."""
        items_S = self.negatives.items_S
        queries_ND, overlap = _nearest(queries_NQD, vectors.of(items_N), weights_N)
        hidden_NE = F.pad(queries_ND.float(), (0, 1), value=1.0)
        drawn_SE = _with_column(vectors, items_S, -self.negatives.log_counts_S)
        own_NE = _with_column(vectors, items_N, torch.zeros_like(weights_N))
        return sampled_cross_entropy(hidden_NE, own_NE, drawn_SE, (items_N, items_S), weights_N) + overlap


@dataclass(frozen=True, slots=True)
class BinaryLoss:
    """Generalised binary cross-entropy: the own item against each drawn one, less sure of itself the fewer are drawn.

    Attributes:
        negatives: of the step.
        num_items: I.
        calibration: t; 0: plain binary cross-entropy, 1: probabilities as of all items.

    Source: gSASRec (Petrov and Macdonald, RecSys 2023, arXiv 2308.07192), section 4.
    """

    negatives: Negatives
    num_items: int
    calibration: float

    def __call__(self, queries_NQD: Tensor, vectors: ItemVectors, items_N: Tensor, weights_N: Tensor) -> Tensor:
        """Return float32, the weighted sum."""
        items_S = self.negatives.items_S
        queries_ND, overlap = _nearest(queries_NQD, vectors.of(items_N), weights_N)
        hidden_NE = F.pad(queries_ND.float(), (0, 1), value=1.0)
        own_NE = _with_column(vectors, items_N, torch.zeros_like(weights_N))
        drawn_SE = _with_column(vectors, items_S, torch.zeros_like(self.negatives.log_counts_S))
        own_N = (hidden_NE * own_NE).sum(dim=1)
        with torch.autocast(hidden_NE.device.type, enabled=False):
            drawn_NS = (hidden_NE @ drawn_SE.T).masked_fill(items_N[:, None] == items_S, _NOT_DRAWN)
        num_drawn = len(items_S)
        share = min(1.0, num_drawn / max(1, self.num_items - 1))
        beta = 1 - self.calibration * (1 - share)
        nats_N = F.softplus(-own_N) * beta + F.softplus(drawn_NS).sum(dim=1)
        return (nats_N * weights_N).sum() / (num_drawn + 1) + overlap


def _with_column(vectors: ItemVectors, items_N: Tensor, column_N: Tensor) -> Tensor:
    """Return float32 [N, E]: the items' vectors, and in one more column their biases and ``column_N``."""
    if vectors.bias_U is not None:
        column_N = column_N + vectors.bias_U[vectors.places(items_N)]
    return torch.cat([vectors.of(items_N).float(), column_N[:, None].float()], dim=1)


def _nearest(queries_NQD: Tensor, own_ND: Tensor, weights_N: Tensor) -> tuple[Tensor, Tensor]:
    """Return the query [N, D] nearest to each event's item, and what overlapping interests cost.

    Source: the hard choice, ComiRec (arXiv 2005.09347), section 3.3; the cost of overlap is ours, against interests
    that win no item and are never trained again.
    """
    if queries_NQD.shape[1] == 1:
        return queries_NQD[:, 0], weights_N.new_zeros(())
    with torch.no_grad():
        best_N = (queries_NQD.float() @ own_ND.float()[:, :, None]).squeeze(2).argmax(dim=1)
    chosen_ND = queries_NQD[torch.arange(len(best_N), device=best_N.device), best_N]
    directions_NQD = F.normalize(queries_NQD.float(), dim=2)
    pairs = queries_NQD.shape[1] * (queries_NQD.shape[1] - 1)
    others_NQQ = (directions_NQD @ directions_NQD.transpose(1, 2)).tril(-1)
    overlap_N = 2 * others_NQQ.square().sum(dim=(1, 2)) / pairs
    return chosen_ND, _OVERLAP * (overlap_N * weights_N).sum()
