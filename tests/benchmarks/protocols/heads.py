"""Intent heads on the events that the lists are judged by: right how often, and as sure as they should be.

N events   C labels of a head   B rows   L events of a row
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from intentrec.metrics import fit_temperature, label_figures, tempered
from intentrec.model.batches import Batch, Reading, Shard, read_batches
from intentrec.model.inference import Scorer
from intentrec.model.shape import Catalogue
from intentrec.model.targets import targets_of

_ROWS = 64
_MOST = 50_000  # events of a head: the standard error of an accuracy is then 0.2 % at most
Said = dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]


def head_figures(
    scorer: Scorer, catalogue: Catalogue, check: tuple[Shard, ...], test: tuple[Shard, ...]
) -> dict[str, float]:
    """Return ``head:NAME:accuracy`` and so on of every head; temperatures are fitted on ``check``.

    Args:
        scorer: the model.
        catalogue: of its items.
        check: rows whose targets are the validation's.
        test: rows whose targets are the test's.
    """
    if not scorer.shape.heads or not test:
        return {}
    found: dict[str, float] = {}
    fitted, said = _said(scorer, catalogue, check), _said(scorer, catalogue, test)
    for head, (chances_NC, truth_NC) in said.items():
        if not len(truth_NC) or not len(fitted[head][1]):
            continue
        majority = int(fitted[head][1].sum(axis=0).argmax())
        plain = label_figures(chances_NC, truth_NC, majority)
        temperature = fit_temperature(*fitted[head])
        calm = label_figures(tempered(chances_NC, temperature), truth_NC, majority)
        values = {
            "accuracy": plain.accuracy, "majority": plain.majority_share, "events": plain.num_events,
            "temperature": temperature, "ece": plain.ece, "ece_calibrated": calm.ece, "nll": plain.nll,
            "nll_calibrated": calm.nll, "brier": plain.brier, "brier_calibrated": calm.brier,
        }  # fmt: skip
        found |= {f"head:{head}:{name}": float(value) for name, value in values.items()}
    return found


def label_floors(catalogue: Catalogue, learn: Iterable[Batch], test: Iterable[Batch]) -> dict[str, float]:
    """Return what a main category is guessed by without a model: the last item's, the mode of five, what follows it.

    Args:
        catalogue: of the items.
        learn: rows whose targets are learnt from.
        test: rows whose targets are judged.
    """
    own_V = catalogue.categories_VC[:, 0] if catalogue.categories_VC.shape[1] else None
    if own_V is None:
        return {}
    size = int(own_V.max()) + 1
    follows = torch.zeros(size, size)
    for batch in learn:
        labels_BL = own_V[batch.items_BL]
        pair = (batch.weights_BL[:, 1:] > 0) & (labels_BL[:, 1:] > 0) & (labels_BL[:, :-1] > 0)
        places = labels_BL[:, :-1][pair] * size + labels_BL[:, 1:][pair]
        follows += torch.bincount(places, minlength=size * size).view(size, size)
    right, events = torch.zeros(3), 0
    for batch in test:
        labels_BL = own_V[batch.items_BL]
        for row, place in ((batch.weights_BL[:, 1:] > 0) & (labels_BL[:, 1:] > 0)).nonzero().tolist():
            truth, past = int(labels_BL[row, place + 1]), labels_BL[row, max(0, place - 4) : place + 1]
            votes = torch.bincount(past[past > 0], minlength=size)
            guesses = (int(past[-1]), int(votes.argmax()), int(follows[past[-1]].argmax()))
            right += torch.tensor([float(guess == truth) for guess in guesses])
            events += 1
    names = ("last", "mode_5", "markov")
    return {f"floor:category:{name}": value / max(events, 1) for name, value in zip(names, right.tolist(), strict=True)}


def rows_of(shards: tuple[Shard, ...]) -> Iterable[Batch]:
    """Yield all rows of some shards."""
    for shard in shards:
        yield from read_batches(shard, Reading(0, 1, _ROWS, 1))


def _said(scorer: Scorer, catalogue: Catalogue, shards: tuple[Shard, ...]) -> Said:
    chances: dict[str, list[NDArray[np.float64]]] = {head: [] for head in scorer.shape.heads}
    truths: dict[str, list[NDArray[np.bool_]]] = {head: [] for head in scorer.shape.heads}
    events = 0
    with torch.inference_mode():
        for batch in rows_of(shards):
            targets = targets_of(scorer.shape, catalogue, batch)
            said = scorer.network(batch.items_BL, batch.times_BL, batch.features_BCL)
            for head, logits_BLC in said.head_logits.items():
                chosen_BL = targets.chosen(head)
                chances_NC = logits_BLC[chosen_BL].double().softmax(dim=1).numpy()
                labels_NK = targets.labels[head][chosen_BL].numpy()
                truth_NC = np.zeros(chances_NC.shape, dtype=bool)
                rows_R, columns_R = (labels_NK >= 0).nonzero()
                truth_NC[rows_R, labels_NK[rows_R, columns_R]] = True
                chances[head].append(chances_NC)
                truths[head].append(truth_NC)
            events += int((targets.weights_BL > 0).sum())
            if events >= _MOST:
                break
    return {head: (np.concatenate(chances[head]), np.concatenate(truths[head])) for head in chances if chances[head]}
