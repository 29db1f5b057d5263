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

    Of several queries an item gets the greatest score, in training as where lists are made; where gradients are asked
    for, interests that overlap cost as well.
    """
    hidden = queries_NQD[:, 0] if queries_NQD.shape[1] == 1 else queries_NQD
    total = cross_entropy(hidden, vectors.vectors_UD, items_N, weights_N, vectors.bias_U)
    return total + _overlap(queries_NQD, weights_N) if torch.is_grad_enabled() else total


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
        items_S, log_counts_S = self.negatives.items_S, self.negatives.log_counts_S
        if queries_NQD.shape[1] > 1:
            own_N, drawn_NS = _scores(queries_NQD, vectors, items_N, items_S)
            drawn_N = (drawn_NS - log_counts_S).logsumexp(dim=1)
            return (F.softplus(drawn_N - own_N) * weights_N).sum() + _overlap(queries_NQD, weights_N)
        hidden_NE = F.pad(queries_NQD[:, 0].float(), (0, 1), value=1.0)
        drawn_SE = _with_column(vectors, items_S, -log_counts_S)
        own_NE = _with_column(vectors, items_N, torch.zeros_like(weights_N))
        return sampled_cross_entropy(hidden_NE, own_NE, drawn_SE, (items_N, items_S), weights_N)


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
        own_N, drawn_NS = _scores(queries_NQD, vectors, items_N, self.negatives.items_S)
        num_drawn = len(self.negatives.items_S)
        share = min(1.0, num_drawn / max(1, self.num_items - 1))
        beta = 1 - self.calibration * (1 - share)
        nats_N = F.softplus(-own_N) * beta + F.softplus(drawn_NS).sum(dim=1)
        return (nats_N * weights_N).sum() / (num_drawn + 1) + _overlap(queries_NQD, weights_N)


def _scores(queries_NQD: Tensor, vectors: ItemVectors, items_N: Tensor, items_S: Tensor) -> tuple[Tensor, Tensor]:
    """Return float32 [N] scores of the events' items, and [N, S] of the drawn ones; the greatest of Q."""
    hidden_NQE = F.pad(queries_NQD.float(), (0, 1), value=1.0)
    own_NE = _with_column(vectors, items_N, torch.zeros(len(items_N), device=items_N.device))
    drawn_SE = _with_column(vectors, items_S, torch.zeros(len(items_S), device=items_S.device))
    with torch.autocast(hidden_NQE.device.type, enabled=False):
        drawn_NS = (hidden_NQE @ drawn_SE.T).amax(dim=1)
    own_N = (hidden_NQE * own_NE[:, None]).sum(dim=2).amax(dim=1)
    return own_N, drawn_NS.masked_fill(items_N[:, None] == items_S, _NOT_DRAWN)


def _with_column(vectors: ItemVectors, items_N: Tensor, column_N: Tensor) -> Tensor:
    """Return float32 [N, E]: the items' vectors, and in one more column their biases and ``column_N``."""
    if vectors.bias_U is not None:
        column_N = column_N + vectors.bias_U[vectors.places(items_N)]
    return torch.cat([vectors.of(items_N).float(), column_N[:, None].float()], dim=1)


def _overlap(queries_NQD: Tensor, weights_N: Tensor) -> Tensor:
    """Return what interests cost that look the same way: without it some never win an item and are never trained."""
    num_queries = queries_NQD.shape[1]
    if num_queries == 1:
        return weights_N.new_zeros(())
    directions_NQD = F.normalize(queries_NQD.float(), dim=2)
    others_NQQ = (directions_NQD @ directions_NQD.transpose(1, 2)).tril(-1)
    mean_N = 2 * others_NQQ.square().sum(dim=(1, 2)) / (num_queries * (num_queries - 1))
    return _OVERLAP * (mean_N * weights_N).sum()
