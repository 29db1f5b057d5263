"""Recommenders on the same users -> figures with intervals; intent heads on held-out rows.

U users   R rows, one per user and day   K places   V items + 1
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from intentrec.cluster.heads import some_rows
from intentrec.cluster.judging import JudgedDay
from intentrec.cluster.recommenders import Recommender
from intentrec.metrics import Figure, coverage, ranking_metrics, summarize
from intentrec.model.batches import Shard
from intentrec.model.checkpoint import Artifact
from intentrec.model.validation import Validation, majority_labels, validate


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


def judge(recommender: Recommender, days: Sequence[JudgedDay], sizes: tuple[int, ...], seed: int) -> Judgement:
    """Ask for every day's lists and compare them with what the users chose in it.

    A user's figure is the mean over the days in which he is judged, so that every user counts once.

    Args:
        recommender: has seen nothing of what is judged.
        days: all users count.
        sizes: lengths of the lists that are judged; the first decides.
        seed: of the bootstrap.
    """
    lists = [(day, recommender.recommend(day, max(sizes))) for day in days]
    users_R = np.unique(np.concatenate([day.users.users_U for day in days]), return_inverse=True)[1]
    num_users = int(users_R.max(initial=-1)) + 1
    shown_RK = np.concatenate([items_UK for _, items_UK in lists])
    allowed = np.flatnonzero(np.any([day.allowed for day in days], axis=0))
    figures: list[Figure] = []
    deciding_U = np.zeros(0)
    for size in sizes:
        of_days = [ranking_metrics(items_UK, day.users.relevant, size) for day, items_UK in lists if len(day.users)]
        of_users = {
            name: np.bincount(users_R, np.concatenate([day[name] for day in of_days])) / np.bincount(users_R)
            for name in (of_days[0] if of_days else ())
        }
        if size == sizes[0]:
            deciding_U = of_users.get("ndcg", deciding_U)
        figures += summarize(of_users, size, seed) if num_users else ()
        shown = coverage(shown_RK, allowed, size)
        figures.append(Figure("coverage", size, shown, shown, shown, num_users))
    return Judgement(recommender.name, tuple(figures), deciding_U)


def judge_heads(artifact: Artifact, shards: tuple[Shard, ...]) -> Validation:
    """Compare every intent head with its majority label on rows that the model has not seen, 20,000 of many."""
    labels = {head: torch.tensor(counts) for head, counts in artifact.facts["label_counts"].items()}
    return validate(artifact.network(), artifact.catalogue, some_rows(shards), majority_labels(labels))
