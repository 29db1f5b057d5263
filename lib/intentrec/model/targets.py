"""What every event must predict, and how wrong the network is about it, term by term.

B rows   L events, left-padded   D width   Q queries of an event   K labels kept per event
N events with something to predict   T terms: item, then each head
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from intentrec.model.batches import Batch
from intentrec.model.intents import intent_labels
from intentrec.model.item_losses import ItemLoss, full_loss
from intentrec.model.items import ItemVectors
from intentrec.model.losses import label_loss
from intentrec.model.network import IntentNetwork, Predictions
from intentrec.model.shape import ACTION, Catalogue, NetworkShape

ITEM = "item"


@dataclass(frozen=True, slots=True)
class Targets:
    """The event after each event of a batch.

    Attributes:
        items_BL: int64, 0 where there is no next event or its item is unknown.
        weights_BL: float32, 0 where there is nothing to predict.
        labels: head -> int64 [B, L, K], -1 where there is none.
        actions_BL: int64 value index of its action, 0 where there is none; None without an action feature.
    """

    items_BL: Tensor
    weights_BL: Tensor
    labels: dict[str, Tensor]
    actions_BL: Tensor | None = None

    def chosen(self, term: str) -> Tensor:
        """Return bool [B, L]: where the term has something to predict."""
        there_BL = self.items_BL > 0 if term == ITEM else (self.labels[term] >= 0).any(dim=2)
        return there_BL & (self.weights_BL > 0)


def terms_of(shape: NetworkShape) -> tuple[str, ...]:
    """Return the terms of the loss: the item, then each head."""
    return (ITEM, *shape.heads)


def targets_of(shape: NetworkShape, catalogue: Catalogue, batch: Batch) -> Targets:
    """Move every event to the position before it, where it is predicted; nothing is predicted from padding."""
    there_BL = F.pad((batch.times_BL[:, 1:] != 0) & (batch.times_BL[:, :-1] != 0), (0, 1))
    labels = intent_labels(shape, catalogue, batch.items_BL, batch.times_BL, batch.features_BCL)
    actions_BL = None
    if shape.field(ACTION) is not None:
        own_BL = batch.features_BCL[:, shape.columns_of(ACTION)][:, 0]
        actions_BL = F.pad(own_BL[:, 1:], (0, 1)).masked_fill(~there_BL, 0)
    return Targets(
        items_BL=F.pad(batch.items_BL[:, 1:], (0, 1)).masked_fill(~there_BL, 0),
        weights_BL=F.pad(batch.weights_BL[:, 1:], (0, 1)).masked_fill(~there_BL, 0.0),
        labels=labels,
        actions_BL=actions_BL,
    )


def term_weights(shape: NetworkShape, targets: Targets) -> Tensor:
    """Return float64 [T]: the sum of the weights that each term's loss will carry."""
    weights = [targets.weights_BL[targets.chosen(term)].double().sum() for term in terms_of(shape)]
    return torch.stack(weights)


def term_losses(
    network: IntentNetwork,
    batch: Batch,
    targets: Targets,
    vectors: ItemVectors | None = None,
    loss: ItemLoss = full_loss,
) -> tuple[Tensor, Predictions]:
    """Return float32 [T], each term's weighted sum over the batch, and what the network said.

    Args:
        network: as it is; in training mode its dropout is drawn.
        batch: on the network's device.
        targets: of the batch.
        vectors: of all items, or of those that the batch, its targets and the loss need; None: of all.
        loss: of the items; the default compares with every item.
    """
    vectors = network.items.whole() if vectors is None else vectors
    said = network(batch.items_BL, batch.times_BL, batch.features_BCL, vectors, targets.actions_BL)
    losses = []
    for term in terms_of(network.shape):
        chosen_BL = targets.chosen(term)
        weights_N = targets.weights_BL[chosen_BL]
        if term == ITEM:
            losses.append(loss(said.queries_BLQD[chosen_BL], vectors, targets.items_BL[chosen_BL], weights_N))
        else:
            losses.append(label_loss(said.head_logits[term][chosen_BL], targets.labels[term][chosen_BL], weights_N))
    return torch.stack(losses), said
