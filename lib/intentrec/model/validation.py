"""How good a network is on held-out rows: the item loss, and every head against its majority label.

T terms   N events   M labels of a head   K labels kept per event (-1: none)
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from intentrec.errors import TrainingError
from intentrec.model.batches import Batch
from intentrec.model.intents import head_sizes
from intentrec.model.items import ItemVectors
from intentrec.model.job import EpochFigures, HeadFigures, Settings
from intentrec.model.losses import judged_at_once
from intentrec.model.network import IntentNetwork, Predictions
from intentrec.model.ranks import OneRank, Ranks
from intentrec.model.shape import Catalogue, NetworkShape
from intentrec.model.steps import mixed_precision
from intentrec.model.targets import ITEM, Targets, losses_of, targets_of, term_weights

PLACES = 10  # of a list that the next item is looked for in
LabelCounts = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Validation:
    """Figures over all ranks.

    Attributes:
        item_loss: mean over weights of -ln p(next item), nats; where lists are made for one action, of its items alone
            if there are any; None without targets.
        heads: figures of every head.
        ndcg: mean over weights of 1 / log2(1 + rank) of the next item among all, 0 beyond the tenth place; None where
            it was not asked for, or without targets.
    """

    item_loss: float | None
    heads: dict[str, HeadFigures]
    ndcg: float | None = None


def no_labels(network: IntentNetwork) -> LabelCounts:
    """Return float64 zeros for every label of every head."""
    return {head: torch.zeros(size, dtype=torch.float64) for head, size in head_sizes(network.shape).items()}


def count_labels(counts: LabelCounts, targets: Targets) -> None:
    """Add how often each label is true; every target counts 1, whatever its weight."""
    for head, counts_M in counts.items():
        labels_NK = targets.labels[head][targets.chosen(head)].cpu()
        counts_M += torch.bincount(labels_NK[labels_NK >= 0], minlength=len(counts_M)).double()


def count_targets(shape: NetworkShape, catalogue: Catalogue, batches: Iterable[Batch]) -> Tensor:
    """Return float64 [V], V items + 1: how often each item is to be predicted, every target counting 1."""
    counts_V = torch.zeros(shape.num_items + 1, dtype=torch.float64)
    for batch in batches:
        targets = targets_of(shape, catalogue, batch)
        counts_V += torch.bincount(targets.items_BL[targets.chosen(ITEM)], minlength=len(counts_V)).cpu().double()
    return counts_V


def validate(
    network: IntentNetwork,
    catalogue: Catalogue,
    batches: Iterable[Batch],
    majority: Mapping[str, int],
    ranks: Ranks | None = None,
    settings: Settings | None = None,
) -> Validation:
    """Judge a network without changing it.

    Args:
        network: left in the mode it was in.
        catalogue: on the network's device.
        batches: of this rank; ranks may have different numbers of them.
        majority: head -> the label most frequent in training.
        ranks: all of them make this call; None: this process alone.
        settings: ``precision`` is what the network computes in; ``stop_by`` may ask for the next item's rank among all,
            which costs its loss once more; None: as ``Settings`` has them.
    """
    ranks, settings = ranks or OneRank(), settings or Settings()
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    action = network.shape.target_action
    item_sums = torch.zeros(2 if action else 1, 3, dtype=torch.float64, device=device)  # of all, of the action
    head_sums = {head: torch.zeros(4, dtype=torch.float64, device=device) for head in network.shape.heads}
    with torch.inference_mode(), mixed_precision(device, settings.precision):
        vectors = network.items.whole()
        for cpu_batch in batches:
            batch = cpu_batch.to(device)
            targets = targets_of(network.shape, catalogue, batch)
            said = network(batch.items_BL, batch.times_BL, batch.features_BCL, vectors)
            for sums, some in zip(item_sums, (targets, targets.of_action(action)), strict=False):
                losses_T = losses_of(said, some, network.shape, vectors)
                gain = _gain(some, said, vectors) if settings.stop_by == "ndcg" else losses_T.new_zeros(())
                sums += torch.stack([losses_T[0].double(), term_weights(network.shape, some)[0], gain.double()])
            for head, sums in head_sums.items():
                chosen_BL = targets.chosen(head)
                labels_NK = targets.labels[head][chosen_BL]
                sums += _head_sums(said.head_logits[head][chosen_BL], labels_NK, majority[head])
    network.train(training)
    summed = ranks.sum(torch.cat([*item_sums, *head_sums.values()])).tolist()
    first = item_sums.numel()
    heads = {head: _figures(summed[first + 4 * at : first + 4 * at + 4]) for at, head in enumerate(head_sums)}
    loss, weight, gain = summed[first - 3 : first]
    if not weight:  # of the action that lists are made for
        loss, weight, gain = summed[:3]
    if not weight:
        return Validation(None, heads)
    return Validation(loss / weight, heads, gain / weight if settings.stop_by == "ndcg" else None)


def _gain(targets: Targets, said: Predictions, vectors: ItemVectors) -> Tensor:
    """Return float32 []: the weighted sum of ``next_item_gains``."""
    chosen_BL = targets.chosen(ITEM)
    gains_N = next_item_gains(said.queries_BLQD[chosen_BL], vectors, targets.items_BL[chosen_BL])
    return (gains_N * targets.weights(ITEM)[chosen_BL]).sum()


def next_item_gains(queries_NQD: Tensor, vectors: ItemVectors, items_N: Tensor) -> Tensor:
    """Return float32 [N]: 1 / log2(1 + rank) of an event's item among all items, 0 beyond the tenth place.

    Of several queries an item gets the greatest score; items of equal score share the rank of the last of them. Scores
    are float32 whatever the network computes in: bfloat16 has 8 bits, and many items would tie with the right one.

    Args:
        queries_NQD: of N events.
        vectors: of all items.
        items_N: int64, above 0.
    """
    gains = []
    block = judged_at_once(len(vectors.vectors_UD) * queries_NQD.shape[1])
    for start in range(0, len(items_N), block):
        queries_BQD, items_B = queries_NQD[start : start + block].float(), items_N[start : start + block]
        with torch.autocast(queries_BQD.device.type, enabled=False):
            scores_BI = (queries_BQD @ vectors.vectors_UD.float().T).amax(dim=1)[:, 1:]  # without padding
        if vectors.bias_U is not None:
            scores_BI = scores_BI + vectors.bias_U[1:]
        own_B1 = scores_BI.gather(1, items_B[:, None] - 1)
        rank_B = (scores_BI >= own_B1).sum(dim=1)
        gains.append(torch.where(rank_B <= PLACES, 1 / torch.log2(1.0 + rank_B), 0.0))
    return torch.cat(gains) if gains else queries_NQD.new_zeros(0)


def check_finite(figures: EpochFigures, network: nn.Module) -> None:
    """Refuse an epoch that must not be kept; all ranks have the same numbers.

    Raises:
        TrainingError: its validation loss or a weight is not finite.
    """
    if figures.validation_loss is not None and not math.isfinite(figures.validation_loss):
        raise TrainingError(
            f"epoch {figures.epoch}: the validation loss is not finite; look for extreme weights in the validation "
            "rows of examples"
        )
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise TrainingError(
            f"epoch {figures.epoch}: a weight is not finite, the checkpoint before is kept; lower "
            "training.learning_rate"
        )


def majority_labels(counts: LabelCounts) -> dict[str, int]:
    """Return the most frequent label of every head, the first of equals."""
    return {head: int(counts_M.argmax()) for head, counts_M in counts.items()}


def _head_sums(logits_NM: Tensor, labels_NK: Tensor, majority: int) -> Tensor:
    """Return float64 [4]: right, right by majority, nats, events."""
    log_p_NM = logits_NM.double().log_softmax(dim=1)
    true_NK = labels_NK >= 0
    best_N = log_p_NM.argmax(dim=1)
    nats_NK = -log_p_NM.gather(1, labels_NK.clamp(min=0)).masked_fill(~true_NK, 0.0)
    return torch.stack(
        [
            (labels_NK == best_N[:, None]).any(dim=1).double().sum(),
            (labels_NK == majority).any(dim=1).double().sum(),
            (nats_NK.sum(dim=1) / true_NK.sum(dim=1)).sum(),
            torch.tensor(float(len(labels_NK)), dtype=torch.float64, device=logits_NM.device),
        ]
    )


def _figures(sums: list[float]) -> HeadFigures:
    right, by_majority, nats, events = sums
    if not events:
        return HeadFigures(float("nan"), float("nan"), float("nan"), 0)
    return HeadFigures(right / events, by_majority / events, nats / events, int(events))
