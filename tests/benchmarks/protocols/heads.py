"""Intent heads on the events that the lists are judged by: right how often, and as sure as they should be.

B rows   L events of a row   C labels of a head   N events
"""

from collections.abc import Iterable

import torch

from intentrec.cluster.heads import head_chances
from intentrec.metrics import fit_temperature, label_figures, tempered
from intentrec.model.batches import Batch, Shard
from intentrec.model.inference import Scorer
from intentrec.model.shape import Catalogue


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
    fitted, said = head_chances(scorer, catalogue, check), head_chances(scorer, catalogue, test)
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
