"""histories -> candidates: every active user scored on Spark, an exact list each.

B users of an Arrow batch   Q queries of a user   D width   K places   V items + 1 (0 is padding)
H intent heads   N labels of a head
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema
from torch import Tensor

from intentrec.cluster.judging import Indices
from intentrec.cluster.priors import Prior
from intentrec.cluster.recommenders import known_to, masked
from intentrec.model.checkpoint import load_artifact
from intentrec.model.inference import Encoded, Histories, Scorer
from intentrec.model.shape import Field
from intentrec.model.topk import Ragged, TopK, top_k
from intentrec.tables import CANDIDATES

_LABELS_KEPT = 5  # per head in user_intents
_ROWS_PER_TASK = 10_000  # some seconds of work
_LEAST_TASKS = 8
_HISTORY = ("items", "times", "features", "seen")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringPlan:
    """What every task needs beside the model; broadcast once.

    Attributes:
        folder: of the model; None: no model, all lists are popularity.
        files: its (name, sha256, bytes); every worker compares them before it scores.
        fields: the event features in ``histories``.
        items: ids; place i holds the item of index i.
        prior: of the model; None without one.
        bias_V: float32, the prior's, added to the model's scores.
        allowed: bool [V], whether an item may be recommended.
        filler: item indices that fill short lists, best first; all may be recommended.
        filler_scores: float32 of the same, never rising.
        k: items of a list.
    """

    folder: str | None
    files: tuple[tuple[str, str, int], ...]
    fields: tuple[Field, ...]
    items: tuple[str, ...]
    prior: Prior | None
    bias_V: NDArray[np.float32]
    allowed: NDArray[np.bool_]
    filler: Indices
    filler_scores: NDArray[np.float32]
    k: int


def num_tasks(num_rows: int) -> int:
    """Return into how many tasks rows are split: by their number alone, not by the cores of this machine.

    The last bit of a score depends on which users share a batch, so the same users must always share one.
    """
    return max(_LEAST_TASKS, -(-num_rows // _ROWS_PER_TASK))


def score(histories: DataFrame, plan: Broadcast[ScoringPlan], num_users: int) -> DataFrame:
    """Score users task by task, one torch thread each: as many tasks run as Spark has cores.

    Equal users give equal candidates to the last bit, however ``histories`` is partitioned or ordered.

    Args:
        histories: HISTORIES rows.
        plan: broadcast from the driver.
        num_users: how many rows those are.

    Returns:
        CANDIDATES rows, in no particular order.

    Raises:
        InputError: a file of the model is missing or changed.
    """
    if plan.value.folder is not None:
        load_scorer(plan.value)  # here first: an error of a task would reach the user as a trace of Java
    schema = CANDIDATES.schema
    chosen = histories.select("user_id", *_HISTORY).repartition(num_tasks(num_users), "user_id")
    chosen = chosen.sortWithinPartitions("user_id")
    return chosen.mapInArrow(_task(plan, to_arrow_schema(schema)), schema)


def _task(
    plan: Broadcast[ScoringPlan], schema: pa.Schema
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        torch.set_num_threads(1)
        scoring = plan.value
        lists = _Lists(scoring, None if scoring.folder is None else load_scorer(scoring))
        for batch in batches:
            if batch.num_rows:
                yield pa.RecordBatch.from_pylist(lists.of(batch), schema=schema)

    return run


def load_scorer(plan: ScoringPlan) -> Scorer:
    """Load the plan's model once per Python worker, not once per task."""
    assert plan.folder is not None
    return _scorer(plan.folder, plan.files)


@lru_cache(maxsize=1)
def _scorer(folder: str, files: tuple[tuple[str, str, int], ...]) -> Scorer:
    return Scorer(load_artifact(Path(folder), files))


class _Lists:
    """The lists of one worker's users."""

    def __init__(self, plan: ScoringPlan, scorer: Scorer | None) -> None:
        self._plan, self._scorer = plan, scorer
        if scorer is None:
            return
        num_known = scorer.shape.num_items + 1
        self._num_known = num_known
        assert plan.prior is not None
        self._prior = plan.prior
        self._network_V = masked(np.zeros(num_known, np.float32), plan.allowed[:num_known])
        self._network_V += plan.prior.item_scores(scorer.bias_V, num_known)
        self._mixed_V = self._network_V + torch.from_numpy(plan.bias_V[:num_known])
        self._categories_VC = scorer.network.items.categories_VK.numpy()

    def of(self, batch: pa.RecordBatch) -> list[dict[str, Any]]:
        """Return CANDIDATES rows of the batch's users."""
        users = batch.column("user_id").to_pylist()
        items, times, features, seen = (
            [np.asarray(values, dtype=np.int64) for values in batch.column(name).to_pylist()] for name in _HISTORY
        )
        if self._scorer is None:
            return [
                {"user_id": user, "items": self._filled([], own), "heads": [], "head_weights": [], "embedding": []}
                for user, own in zip(users, seen, strict=True)
            ]
        known = known_to(self._scorer.shape, self._plan.fields, Histories(items, times, features))
        said = self._scorer.encode(known)
        queries_BQD = self._prior.personal(said.queries_BQD, items)
        mixed, prior_BK = self._best(queries_BQD, seen)
        because_BK = self._scorer.nearest(mixed.items_BK, known.items)
        intents = self._intents(mixed.items_BK, said)
        rows = []
        for row, user in enumerate(users):
            chosen = zip(
                mixed.items_BK[row].tolist(), mixed.scores_BK[row].tolist(), prior_BK[row].tolist(),
                intents[row], because_BK[row].tolist(), strict=True,
            )  # fmt: skip
            entries = [
                self._entry(item, value, "prior" if by_prior else "model", intent, because)
                for item, value, by_prior, intent, because in chosen
                if item
            ]
            taken = np.concatenate([seen[row], mixed.items_BK[row].numpy()])
            rows.append({"user_id": user, "items": self._filled(entries, taken), **self._said_of(row, said)})
        return rows

    def _best(self, queries_BQD: Tensor, seen: list[Indices]) -> tuple[TopK, Tensor]:
        """Return the lists, and which places an item owes to the prior: the network alone would not have listed it."""
        assert self._scorer is not None
        excluded = Ragged.of([own[own < self._num_known] for own in seen])
        vectors_VD, k = self._scorer.items_VD, self._plan.k
        mixed = top_k(queries_BQD, vectors_VD, k, bias_V=self._mixed_V, excluded=excluded)
        if not self._plan.bias_V.any():
            return mixed, torch.zeros_like(mixed.items_BK, dtype=torch.bool)
        alone = top_k(queries_BQD, vectors_VD, k, bias_V=self._network_V, excluded=excluded)
        return mixed, ~(mixed.items_BK[:, :, None] == alone.items_BK[:, None, :]).any(dim=2)

    def _entry(self, item: int, value: float, source: str, intent: str | None, because: int) -> dict[str, Any]:
        names = self._plan.items
        return {
            "item_id": names[item],
            "score": value,
            "source": source,
            "intent": intent,
            "because_item_id": names[because] if because else None,
        }

    def _filled(self, entries: list[dict[str, Any]], taken: Indices) -> list[dict[str, Any]]:
        """Fill a short list with what is popular; scores go on falling from where the model's end."""
        short = self._plan.k - len(entries)
        if short <= 0:
            return entries
        nearest = slice(0, short + len(taken))  # no more than what is taken can be missing from these
        free = ~np.isin(self._plan.filler[nearest], taken)
        fillers = self._plan.filler[nearest][free][:short].tolist()
        values = self._plan.filler_scores[nearest][free][:short].tolist()
        highest = entries[-1]["score"] if entries else math.inf
        drop = min(0.0, highest - values[0]) if values else 0.0
        return entries + [
            self._entry(item, min(value + drop, highest), "fallback", None, 0)  # value + drop is rounded
            for item, value in zip(fillers, values, strict=True)
        ]

    def _intents(self, items_BK: Tensor, said: Encoded) -> list[list[str | None]]:
        """Name for every place the most likely of the item's own categories: the intent that the row serves."""
        nothing: list[list[str | None]] = [[None] * items_BK.shape[1] for _ in range(len(items_BK))]
        assert self._scorer is not None
        if "category" not in said.heads:
            return nothing
        names = self._scorer.labels["category"]
        own_BKC = self._categories_VC[items_BK.numpy()]
        chances_BN = np.concatenate([np.full((len(items_BK), 1), -1.0), said.heads["category"].numpy()], axis=1)
        own_chances_BKC = np.take_along_axis(chances_BN[:, None, :], own_BKC, axis=2)
        best_BK = np.take_along_axis(own_BKC, own_chances_BKC.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
        return [[f"category: {names[best - 1]}" if best else None for best in row] for row in best_BK.tolist()]

    def _said_of(self, row: int, said: Encoded) -> dict[str, Any]:
        assert self._scorer is not None
        heads = []
        for head, chances_BN in said.heads.items():
            kept = min(_LABELS_KEPT, chances_BN.shape[1])
            values, labels = chances_BN[row].topk(kept)
            names = self._scorer.labels[head]
            best = [
                {"label": names[label], "probability": value}
                for label, value in zip(labels.tolist(), values.tolist(), strict=True)
            ]
            heads.append({"head": head, "labels": best})
        weights = zip(said.heads, said.alpha_BH[row].tolist(), strict=True)
        return {
            "heads": heads,
            "head_weights": [{"head": head, "weight": weight} for head, weight in weights],
            "embedding": said.intents_BD[row].tolist() if said.heads else [],
        }
