"""What the intent heads say of events whose labels are known, and how sure they should have been.

N events   C labels of a head   K labels kept per event (-1: none)   B rows   L events of a row
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intentrec.metrics import Calibration, fit_calibration
from intentrec.model.batches import Batch, Reading, Shard, read_batches
from intentrec.model.checkpoint import Artifact
from intentrec.model.inference import Scorer
from intentrec.model.shape import Catalogue
from intentrec.model.targets import targets_of

_EVENTS = 16_384  # of a batch: every pair of two events of a row takes some 30 bytes
_MOST_ROWS = 20_000  # a target each at least: the standard error of an accuracy is then 0.4 % at most
_MOST_CHANCES = 20_000_000  # of a head: 160 MB, and 20,000 targets of 1,000 labels
Said = dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]


def rows_of(shards: tuple[Shard, ...]) -> Iterable[Batch]:
    """Yield all rows of some shards, always in the same order."""
    for shard in shards:
        yield from read_batches(shard, Reading(0, 1, max(1, _EVENTS // shard.bucket), 1))


def some_rows(shards: tuple[Shard, ...], most: int = _MOST_ROWS) -> Iterator[Batch]:
    """Yield about ``most`` rows, the same share of every shard, or all of fewer; always the same, in the same order."""
    share = min(1.0, most / max(1, sum(shard.rows for shard in shards)))
    for shard in shards:
        left = math.ceil(share * shard.rows)
        rows = max(1, min(_EVENTS // shard.bucket, left))
        for batch in read_batches(shard, Reading(0, 1, rows, 1)):
            yield batch
            left -= len(batch.row_ids_B)
            if left <= 0:
                break


def head_chances(scorer: Scorer, catalogue: Catalogue, shards: tuple[Shard, ...]) -> Said:
    """Return for every head its chances_NC, as the network says them, and truth_NC of the targets in some rows.

    Args:
        scorer: has not learnt from the rows.
        catalogue: of its items.
        shards: of the rows; of many a part is read, and of many targets an even part is taken.
    """
    num_rows = max(1, min(_MOST_ROWS, sum(shard.rows for shard in shards)))
    chances: dict[str, list[NDArray[np.float64]]] = {head: [] for head in scorer.shape.heads}
    truths: dict[str, list[NDArray[np.bool_]]] = {head: [] for head in scorer.shape.heads}
    with torch.inference_mode():
        for batch in some_rows(shards):
            targets = targets_of(scorer.shape, catalogue, batch)
            there = batch.to(scorer.device)
            said = scorer.network(there.items_BL, there.times_BL, there.features_BCL)
            for head, logits_BLC in said.head_logits.items():
                most = math.ceil(_MOST_CHANCES / logits_BLC.shape[-1] * len(batch.row_ids_B) / num_rows)
                chosen_BL = _thinned(targets.chosen(head), most)
                chances_NC = logits_BLC.cpu()[chosen_BL].double().softmax(dim=1).numpy()
                labels_NK = targets.labels[head][chosen_BL].numpy()
                truth_NC = np.zeros(chances_NC.shape, dtype=bool)
                rows_R, columns_R = (labels_NK >= 0).nonzero()
                truth_NC[rows_R, labels_NK[rows_R, columns_R]] = True
                chances[head].append(chances_NC)
                truths[head].append(truth_NC)
    return {head: (np.concatenate(chances[head]), np.concatenate(truths[head])) for head in chances if chances[head]}


def _thinned(chosen_BL: Tensor, most: int) -> Tensor:
    """Return bool [B, L], at most so many of what is chosen, evenly spread."""
    places_N = chosen_BL.flatten().nonzero()[:, 0]
    if len(places_N) <= most:
        return chosen_BL
    kept_M = places_N[torch.arange(most) * len(places_N) // most]
    return torch.zeros_like(chosen_BL.flatten()).index_fill_(0, kept_M, True).view_as(chosen_BL)


def fit_calibrations(artifact: Artifact, shards: tuple[Shard, ...]) -> dict[str, Calibration]:
    """Return what makes every head as sure as it should be on rows that the model has not learnt from.

    Args:
        artifact: the model.
        shards: of the rows; every target counts 1, whatever its weight.
    """
    said = head_chances(Scorer(artifact), artifact.catalogue, shards)
    counts = artifact.facts["label_counts"]
    return {head: fit_calibration(*of_head, np.array(counts[head])) for head, of_head in said.items()}
