"""Recommenders on the same users -> figures with intervals; intent heads on held-out rows.

U users   K places   V items + 1
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from intentrec.cluster.judging import JudgedUsers, Recommender
from intentrec.metrics import Figure, coverage, ranking_metrics, summarize
from intentrec.model.batches import Batch, Reading, Shard, read_batches, seed_of
from intentrec.model.checkpoint import Artifact
from intentrec.model.validation import Validation, majority_labels, validate

_ROWS_PER_BATCH = 256


@dataclass(frozen=True, slots=True)
class Judgement:
    """How good one recommender is.

    Attributes:
        name: model_id, or the name of the baseline.
        figures: means over users with 90 % intervals, at every k.
        deciding_U: NDCG at the first k, of each user; what the gate compares.
    """

    name: str
    figures: tuple[Figure, ...]
    deciding_U: NDArray[np.float64]


def judge(
    recommender: Recommender, users: JudgedUsers, sizes: tuple[int, ...], allowed: NDArray[np.bool_], seed: int
) -> Judgement:
    """Ask for lists and compare them with what the users chose.

    Args:
        recommender: has seen nothing of what is judged.
        users: all of them count.
        sizes: lengths of the lists that are judged; the first decides.
        allowed: bool [V]; coverage is the share of these items that anybody is shown.
        seed: of the bootstrap.
    """
    items_UK = recommender.recommend(users, max(sizes))
    figures: list[Figure] = []
    deciding_U = np.zeros(0)
    for size in sizes:
        of_users = ranking_metrics(items_UK, users.relevant, size)
        if size == sizes[0]:
            deciding_U = of_users["ndcg"]
        figures += summarize(of_users, size, seed) if len(users) else ()
        shown = coverage(items_UK, np.flatnonzero(allowed), size)
        figures.append(Figure("coverage", size, shown, shown, shown, len(users)))
    return Judgement(recommender.name, tuple(figures), deciding_U)


def judge_heads(artifact: Artifact, shards: tuple[Shard, ...]) -> Validation:
    """Compare every intent head with its majority label on rows that the model has not seen."""
    labels = {head: torch.tensor(counts) for head, counts in artifact.facts["label_counts"].items()}
    return validate(artifact.network(), artifact.catalogue, _all_rows(shards), majority_labels(labels))


def _all_rows(shards: tuple[Shard, ...]) -> Iterator[Batch]:
    for shard in shards:
        yield from read_batches(shard, Reading(0, 1, _ROWS_PER_BATCH, seed_of("heads", shard.bucket)))
