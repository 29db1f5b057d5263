"""What every event must predict, and how wrong the network is about it, term by term.

B rows   L events, left-padded   D width   Q queries of an event   K labels kept per event
N events with something to predict   T terms: item, then each head
"""

from dataclasses import dataclass, replace

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
_DAY_S = 86400


@dataclass(frozen=True, slots=True)
class Targets:
    """What is predicted after every event of a batch: an item, and the labels of the event that follows.

    Attributes:
        items_BL: int64, 0 where there is nothing to predict or the item is unknown.
        weights_BL: float32 of the items, 0 where there is nothing to predict.
        actions_BL: int64 value index of the item's action, 0 where there is none; None without an action feature.
        labels: head -> int64 [B, L, K], -1 where there is none.
        label_weights_BL: float32 of the labels.
    """

    items_BL: Tensor
    weights_BL: Tensor
    actions_BL: Tensor | None
    labels: dict[str, Tensor]
    label_weights_BL: Tensor

    def of_action(self, action: int) -> "Targets":
        """Return the targets whose items are of one action alone; 0: all."""
        if not action or self.actions_BL is None:
            return self
        return replace(self, items_BL=self.items_BL.masked_fill(self.actions_BL != action, 0))

    def weights(self, term: str) -> Tensor:
        """Return float32 [B, L]: what each event counts in the term."""
        return self.weights_BL if term == ITEM else self.label_weights_BL

    def chosen(self, term: str) -> Tensor:
        """Return bool [B, L]: where the term has something to predict."""
        there_BL = self.items_BL > 0 if term == ITEM else (self.labels[term] >= 0).any(dim=2)
        # A weight that is no number is chosen: its step is then skipped and counted, not the event passed over unseen.
        return there_BL & ~(self.weights(term) <= 0)


def terms_of(shape: NetworkShape) -> tuple[str, ...]:
    """Return the terms of the loss: the item, then each head."""
    return (ITEM, *shape.heads)


def targets_of(shape: NetworkShape, catalogue: Catalogue, batch: Batch, days: float | None = None) -> Targets:
    """Say what is predicted after every event; nothing is predicted from padding.

    Args:
        shape: of the network.
        catalogue: on the batch's device.
        batch: whole rows.
        days: the item is that of any one event of so many days after each, drawn with torch's generator, or of the next
            event where none is so near; None: always of the next event. Labels are always of the next event.

    Source: all-action prediction, PinnerFormer (arXiv 2205.04507), section 3.4, for lists that serve a day and more.
    """
    there_BL = F.pad((batch.times_BL[:, 1:] != 0) & (batch.times_BL[:, :-1] != 0), (0, 1))
    length = batch.items_BL.shape[1]
    next_BL = torch.arange(1, length + 1, device=there_BL.device).clamp(max=length - 1).expand_as(there_BL)
    at_BL = next_BL if days is None else _drawn(batch, days, next_BL)

    def moved(values_BL: Tensor, places_BL: Tensor) -> Tensor:
        return values_BL.gather(1, places_BL).masked_fill(~there_BL, 0)

    action = None if shape.field(ACTION) is None else batch.features_BCL[:, shape.columns_of(ACTION)][:, 0]
    return Targets(
        items_BL=moved(batch.items_BL, at_BL),
        weights_BL=moved(batch.weights_BL, at_BL),
        actions_BL=None if action is None else moved(action, at_BL),
        labels=intent_labels(shape, catalogue, batch.items_BL, batch.times_BL, batch.features_BCL),
        label_weights_BL=moved(batch.weights_BL, next_BL),
    )


def _drawn(batch: Batch, days: float, next_BL: Tensor) -> Tensor:
    """Return int64 places [B, L] of an event with a known item and a weight, of ``days`` after each; else the next."""
    ahead_BLL = batch.times_BL[:, None, :] - batch.times_BL[:, :, None]
    near_BLL = (ahead_BLL <= round(days * _DAY_S)) & ((batch.items_BL > 0) & (batch.weights_BL > 0))[:, None, :]
    heights_BLL = torch.rand(ahead_BLL.shape, device=ahead_BLL.device).masked_fill(~near_BLL.triu(1), -1.0)
    highest_BL, places_BL = heights_BLL.max(dim=2)
    return torch.where(highest_BL >= 0, places_BL, next_BL)


def term_weights(shape: NetworkShape, targets: Targets) -> Tensor:
    """Return float64 [T]: the sum of the weights that each term's loss will carry."""
    weights = [targets.weights(term)[targets.chosen(term)].double().sum() for term in terms_of(shape)]
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
        network: as it is; in training mode its dropout is drawn, and a condition on the action is told the next one.
            Else it answers as lists are made, which nobody knows the next action of.
        batch: on the network's device.
        targets: of the batch.
        vectors: of all items, or of those that the batch, its targets and the loss need; None: of all.
        loss: of the items; the default compares with every item.
    """
    vectors = network.items.whole() if vectors is None else vectors
    wanted_BL = targets.actions_BL if network.training else None
    said = network(batch.items_BL, batch.times_BL, batch.features_BCL, vectors, wanted_BL)
    return losses_of(said, targets, network.shape, vectors, loss), said


def losses_of(
    said: Predictions, targets: Targets, shape: NetworkShape, vectors: ItemVectors, loss: ItemLoss = full_loss
) -> Tensor:
    """Return float32 [T], each term's weighted sum over what a network said; arguments as in ``term_losses``."""
    losses = []
    for term in terms_of(shape):
        chosen_BL = targets.chosen(term)
        weights_N = targets.weights(term)[chosen_BL]
        if term == ITEM:
            losses.append(loss(said.queries_BLQD[chosen_BL], vectors, targets.items_BL[chosen_BL], weights_N))
        else:
            losses.append(label_loss(said.head_logits[term][chosen_BL], targets.labels[term][chosen_BL], weights_N))
    return torch.stack(losses)
