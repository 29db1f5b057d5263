"""Intent heads on the events that the lists are judged by: right how often, and as sure as they should be.

B rows   L events of a row   C labels of a head   N events
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from intentrec.cluster.heads import head_chances
from intentrec.metrics import calibrated, fit_calibration, label_figures
from intentrec.model.batches import Batch, Shard
from intentrec.model.checkpoint import Artifact
from intentrec.model.inference import Scorer
from intentrec.model.intents import head_sizes
from intentrec.model.shape import ACTION, Catalogue, NetworkShape


def head_figures(
    chosen: tuple[Artifact, tuple[Shard, ...]], served: tuple[Artifact, tuple[Shard, ...]]
) -> dict[str, float]:
    """Return ``head:NAME:accuracy`` and so on of every head.

    Args:
        chosen: the model that calibrations are fitted for, and rows that it has not learnt from.
        served: the model that is judged, the same or one trained on from it, and rows whose targets are the test's.
    """
    found: dict[str, float] = {}
    counts = chosen[0].facts["label_counts"]
    # Its catalogue has the clusters that the model found.
    fitted, said = (head_chances(Scorer(artifact), artifact.catalogue, rows) for artifact, rows in (chosen, served))
    for head, (chances_NC, truth_NC) in said.items():
        if not len(truth_NC) or head not in fitted or not len(fitted[head][1]):
            continue
        majority = int(fitted[head][1].sum(axis=0).argmax())
        plain = label_figures(chances_NC, truth_NC, majority)
        own = fit_calibration(*fitted[head], np.array(counts[head]))
        calm = label_figures(calibrated(chances_NC, own), truth_NC, majority)
        values = {
            "accuracy": plain.accuracy, "majority": plain.majority_share, "events": plain.num_events,
            "temperature": own.temperature, "base_share": own.base_share, "ece": plain.ece, "ece_calibrated": calm.ece,
            "nll": plain.nll, "nll_calibrated": calm.nll, "brier": plain.brier, "brier_calibrated": calm.brier,
        }  # fmt: skip
        found |= {f"head:{head}:{name}": float(value) for name, value in values.items()}
    return found


def label_floors(
    shape: NetworkShape, catalogue: Catalogue, learn: Iterable[Batch], test: Iterable[Batch]
) -> dict[str, float]:
    """Return what labels are guessed by without a model: the last event's, the mode of five, what follows the last.

    Args:
        shape: of the network whose heads are judged; only heads of one true label and no counting have floors.
        catalogue: of the items.
        learn: rows whose targets are learnt from.
        test: rows whose targets are judged.
    """
    read: dict[str, Callable[[Batch], Tensor]] = {}
    if ACTION in shape.heads:
        column = shape.columns_of(ACTION)
        read[ACTION] = lambda batch: batch.features_BCL[:, column][:, 0]
    if "category" in shape.heads and catalogue.categories_VC.shape[1] == 1:
        read["category"] = lambda batch: catalogue.categories_VC[:, 0][batch.items_BL]
    found: dict[str, float] = {}
    learn, test = list(learn), list(test)
    for head, labels_of in read.items():
        follows = _following([(labels_of(batch), _judged(batch)) for batch in learn], head_sizes(shape)[head] + 1)
        right = _right(follows, [(labels_of(batch), _judged(batch)) for batch in test])
        found |= {f"floor:{head}:{name}": value for name, value in right.items()}
    return found


def _judged(batch: Batch) -> Tensor:
    """Return bool [B, L - 1]: where an event follows another and is a target."""
    return (batch.weights_BL[:, 1:] > 0) & (batch.times_BL[:, :-1] != 0)


def _following(rows: Iterable[tuple[Tensor, Tensor]], size: int) -> Tensor:
    """Count, for labels from 1 [B, L] and what is judged of them, how often which follows which, [size, size]."""
    follows = torch.zeros(size, size)
    for labels_BL, judged_BL in rows:
        pair = judged_BL & (labels_BL[:, 1:] > 0) & (labels_BL[:, :-1] > 0)
        places = labels_BL[:, :-1][pair] * size + labels_BL[:, 1:][pair]
        follows += torch.bincount(places, minlength=size * size).view(size, size)
    return follows


def _right(follows: Tensor, rows: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Return the share of labels that each way of guessing finds."""
    right, events = dict.fromkeys(("last", "mode_5", "markov"), 0), 0
    for labels_BL, judged_BL in rows:
        for row, place in (judged_BL & (labels_BL[:, 1:] > 0)).nonzero().tolist():
            truth, past = int(labels_BL[row, place + 1]), labels_BL[row, max(0, place - 4) : place + 1]
            votes = torch.bincount(past[past > 0], minlength=len(follows))
            guesses = {"last": past[-1], "mode_5": votes.argmax(), "markov": follows[past[-1]].argmax()}
            right = {name: right[name] + int(guess == truth) for name, guess in guesses.items()}
            events += 1
    return {name: count / max(events, 1) for name, count in right.items()}
