"""What an item loss may be helped by, off by default: events that lead to the same item, and what follows what.

N events   Q queries of an event   D width   V items + 1   U items in play   P pairs   S successors kept of an item
R items that are asked what follows them
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from intentrec.model.batches import Batch
from intentrec.model.item_losses import ItemLoss
from intentrec.model.items import ItemVectors
from intentrec.model.ranks import Ranks

_CONTRAST_TEMPERATURE = 0.1  # of cosines; the paper divides plain dot products by 1, which suits one width only
_TEACHER_TEMPERATURE = 0.1
_SUCCESSORS = 50  # kept of every item
_ASKED = 256  # items of a step that are asked what follows them


@dataclass(frozen=True, slots=True)
class LossesTogether:
    """Several losses of the same queries, each times its own number."""

    losses: tuple[tuple[float, ItemLoss], ...]

    def __call__(self, queries_NQD: Tensor, vectors: ItemVectors, items_N: Tensor, weights_N: Tensor) -> Tensor:
        """Return float32, the sum."""
        given = (queries_NQD, vectors, items_N, weights_N)
        return torch.stack([share * loss(*given) for share, loss in self.losses]).sum()


def contrast_loss(
    queries_NQD: Tensor,
    vectors: ItemVectors,  # noqa: ARG001 as of every item loss
    items_N: Tensor,
    weights_N: Tensor,
) -> Tensor:
    """Draw two events that lead to the same item together, and apart from the other pairs of the batch.

    One pair an item, drawn with torch's generator, so that popular items do not rule; the mean over pairs times the
    weight of the events. Of several queries their mean is taken.

    Source: ICSRec (Qin et al., WSDM 2024, arXiv 2312.05472), section 4.2, coarse-grained intent contrast.
    """
    order_N = torch.randperm(len(items_N), device=items_N.device)
    items_sorted_N, places_N = items_N[order_N].sort(stable=True)
    same_N = F.pad(items_sorted_N[1:] == items_sorted_N[:-1], (1, 0))
    second_N = same_N & ~F.pad(same_N[:-1], (1, 0))
    seconds_P = second_N.nonzero()[:, 0]
    if len(seconds_P) < 2:  # one pair has nothing to stand apart from
        return weights_N.new_zeros(())
    events_2P = order_N[places_N[torch.cat([seconds_P - 1, seconds_P])]]
    directions = F.normalize(queries_NQD[events_2P].float().mean(dim=1), dim=1)
    with torch.autocast(directions.device.type, enabled=False):
        cosines = directions @ directions.T / _CONTRAST_TEMPERATURE
    itself = torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
    partners = torch.arange(len(cosines), device=cosines.device).roll(len(seconds_P))
    return F.cross_entropy(cosines.masked_fill(itself, float("-inf")), partners) * weights_N.sum()


@dataclass(frozen=True, slots=True)
class Transitions:
    """What follows every item in the training rows, the most frequent first.

    Attributes:
        items_VS: int64 successors; 0 where there are fewer.
        shares_VS: float32, softmax of counts over the greatest of them, 0 where there is none.
    """

    items_VS: Tensor
    shares_VS: Tensor

    def to(self, device: torch.device) -> "Transitions":
        """Return the table on a device."""
        return Transitions(self.items_VS.to(device), self.shares_VS.to(device))


def count_transitions(batches: Iterable[Batch], num_items: int, ranks: Ranks) -> Transitions:
    """Count which item follows which, in the rows of all ranks.

    Args:
        batches: this rank's training rows, on the CPU; the following event must have a weight.
        num_items: greatest item index.
        ranks: all of them make this call.
    """
    codes = [torch.zeros(0, dtype=torch.int64)]
    for batch in batches:
        there_BL = (batch.items_BL[:, :-1] > 0) & (batch.items_BL[:, 1:] > 0) & (batch.weights_BL[:, 1:] > 0)
        codes.append((batch.items_BL[:, :-1] * (num_items + 1) + batch.items_BL[:, 1:])[there_BL])
    codes_N, counts_N = torch.unique(ranks.concat(torch.cat(codes)), return_counts=True)
    order_N = torch.sort(counts_N, descending=True, stable=True).indices
    codes_N, counts_N = codes_N[order_N], counts_N[order_N]
    first_N, by_item_N = torch.sort(codes_N.div(num_items + 1, rounding_mode="floor"), stable=True)
    starts_V = torch.searchsorted(first_N, torch.arange(num_items + 1))
    ranks_N = torch.arange(len(first_N)) - starts_V[first_N]
    kept_N = ranks_N < _SUCCESSORS
    places = (first_N[kept_N], ranks_N[kept_N])
    items_VS = torch.zeros(num_items + 1, _SUCCESSORS, dtype=torch.int64)
    counts_VS = torch.zeros(num_items + 1, _SUCCESSORS)
    items_VS[places] = codes_N[by_item_N[kept_N]] % (num_items + 1)
    counts_VS[places] = counts_N[by_item_N[kept_N]].float()
    odds_VS = (counts_VS / counts_VS.amax(dim=1, keepdim=True).clamp(min=1) / _TEACHER_TEMPERATURE).exp()
    odds_VS = odds_VS.masked_fill(items_VS == 0, 0.0)
    return Transitions(items_VS, odds_VS / odds_VS.sum(dim=1, keepdim=True).clamp(min=1))


@dataclass(frozen=True, slots=True)
class TransitionLoss:
    """Let an item's own vector say what follows it, as the counts do: cross-entropy against their shares.

    Asked are the items of up to 256 events of a step, drawn with torch's generator; of what follows them only what is
    in play counts. The mean over them times the weight of the events.

    Source: MQSA-TED (Zhu et al., WSDM 2024), transition-aware embedding distillation.
    """

    transitions: Transitions

    def __call__(self, queries_NQD: Tensor, vectors: ItemVectors, items_N: Tensor, weights_N: Tensor) -> Tensor:
        """Return float32; of ``queries_NQD`` nothing is read."""
        asked_R = torch.unique(items_N[torch.randperm(len(items_N), device=items_N.device)[:_ASKED]])
        items_RS, shares_RS = self.transitions.items_VS[asked_R], self.transitions.shares_VS[asked_R]
        if vectors.items_U is not None:
            places_RS = torch.searchsorted(vectors.items_U, items_RS).clamp(max=len(vectors.items_U) - 1)
            items_RS = items_RS.masked_fill(vectors.items_U[places_RS] != items_RS, 0)
        shares_RS = shares_RS.masked_fill(items_RS == 0, 0.0)
        total_R1 = shares_RS.sum(dim=1, keepdim=True)
        some_R = total_R1[:, 0] > 0
        if not some_R.any():
            return weights_N.new_zeros(())
        all_UD = vectors.vectors_UD.float()
        with torch.autocast(all_UD.device.type, enabled=False):
            sharpness = queries_NQD.shape[-1] ** 0.5
            logits_RU = vectors.of(asked_R[some_R]).float() @ all_UD.T * sharpness / _TEACHER_TEMPERATURE
        log_p_RU = F.pad(logits_RU[:, 1:].log_softmax(dim=1), (1, 0))  # item 0 follows nothing
        told_RS = log_p_RU.gather(1, vectors.places(items_RS[some_R]))
        return -(told_RS * (shares_RS / total_R1)[some_R]).sum(dim=1).mean() * weights_N.sum()
