"""Recommenders that answer for all users of a judged day through the one exact top-K engine.

B users of a chunk   U users   Q queries of a user   K places   V items + 1 (0 is padding)   D width   L events
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intentrec.baselines import (
    Additive,
    EvidenceBaseline,
    PopularityBaseline,
    Source,
    decayed_name,
    log_shares,
    popularity_name,
)
from intentrec.cluster.judging import Counts, Indices, JudgedDay, JudgedUsers
from intentrec.cluster.priors import Prior
from intentrec.model.inference import Histories, Scorer
from intentrec.model.ragged import Ragged
from intentrec.model.shape import Field, NetworkShape
from intentrec.model.topk import top_k

_CHUNK = 2048  # users scored at once: what is made for them stays below 64 MB


class Recommender(Protocol):
    """Anything that can name K items for every judged user."""

    @property
    def name(self) -> str:
        """Return its name in METRICS: a model's id, or that of the baseline."""

    def recommend(self, day: JudgedDay, k: int) -> Indices:
        """Return items_UK of the day's users, best first, 0 where there is none."""


@dataclass(frozen=True, slots=True)
class CountingRecommender:
    """A baseline: a bias for all, and for some what a source finds by the user's items.

    Attributes:
        name: of the baseline in METRICS.
        baseline: makes it from the counts of the night before a day.
    """

    name: str
    baseline: Callable[[Counts], PopularityBaseline | EvidenceBaseline]

    @classmethod
    def popular(cls, hours: int) -> "CountingRecommender":
        """Recommend what is counted most in a window."""
        return cls(popularity_name(hours), lambda counts: PopularityBaseline.of(counts, hours))

    @classmethod
    def decayed(cls, half_life_hours: float) -> "CountingRecommender":
        """Recommend what is counted most where every event fades."""
        faded = PopularityBaseline.decayed
        return cls(decayed_name(half_life_hours), lambda counts: faded(counts, half_life_hours))

    @classmethod
    def by_evidence(cls, name: str, source: Source, hours: int) -> "CountingRecommender":
        """Recommend what a source finds by the user's items; the popularity of a window fills the list."""
        filler = PopularityBaseline.of
        return cls(name, lambda counts: EvidenceBaseline(name, source, filler(counts, hours).bias_V))

    def recommend(self, day: JudgedDay, k: int) -> Indices:
        """Return items_UK, best first, 0 where there is none."""
        baseline, users = self.baseline(day.counts), day.users
        bias_V = masked(baseline.bias_V, day.allowed)
        no_vectors_V1 = torch.zeros(len(bias_V), 1)
        lists = []
        for chunk in _chunks(len(users)):
            seen = Ragged.of(users.seen[chunk])
            additive = None
            if isinstance(baseline, EvidenceBaseline):
                histories = users.looked_up()[chunk]
                additive = ragged(baseline.additive(histories), slice(0, len(histories)))
            queries_B1 = torch.zeros(len(users.seen[chunk]), 1)
            lists.append(top_k(queries_B1, no_vectors_V1, k, bias_V=bias_V, excluded=seen, additive=additive).items_BK)
        return _joined(lists, k)


@dataclass(frozen=True, slots=True)
class ModelRecommender:
    """A model and its prior, as they score at night.

    Attributes:
        name: the model's id.
        scorer: the model; items that came after its vocabulary are unknown to it and not recommended.
        fields: tonight's event features.
        prior: of the model.
    """

    name: str
    scorer: Scorer
    fields: tuple[Field, ...]
    prior: Prior

    def recommend(self, day: JudgedDay, k: int) -> Indices:
        """Return items_UK, best first, 0 where there is none."""
        queries_UQD = encoded(self.scorer, self.fields, day.users)
        return self.best(day, queries_UQD, evidence_for(day, self.prior.sources), k)

    def best(self, day: JudgedDay, queries_UQD: Tensor, evidence: Mapping[str, Additive], k: int) -> Indices:
        """Return the items_UK for queries that the network gave; the same queries and evidence serve many priors."""
        num_known = self.scorer.shape.num_items + 1
        masked_V = masked(self.prior.bias(day.counts)[:num_known], day.allowed[:num_known])
        masked_V += self.prior.item_scores(self.scorer.bias_V, num_known)
        queries_UQD = self.prior.personal(queries_UQD, day.users.histories.items)
        added = self.prior.additive(evidence, num_known - 1)
        lists = []
        for chunk in _chunks(len(day.users)):
            excluded = Ragged.of([items[items < num_known] for items in day.users.seen[chunk]])
            additive = None if added is None else ragged(added, chunk)
            found = top_k(
                queries_UQD[chunk], self.scorer.items_VD, k, bias_V=masked_V, excluded=excluded, additive=additive
            )
            lists.append(found.items_BK)
        return _joined(lists, k)


def evidence_for(day: JudgedDay, names: Iterable[str]) -> dict[str, Additive]:
    """Return what each named source of the day says of its users."""
    return {name: log_shares(day.sources[name].evidence_of(day.users.looked_up())) for name in sorted(names)}


def encoded(scorer: Scorer, fields: Sequence[Field], users: JudgedUsers) -> Tensor:
    """Return the network's queries_UQD of all users.

    Args:
        scorer: a model of tonight or of a night before it.
        fields: tonight's event features.
        users: with items and features as numbered tonight.
    """
    past, queries = users.histories, [torch.zeros(0, scorer.shape.num_queries, scorer.shape.width)]
    for chunk in _chunks(len(users)):
        own = Histories(past.items[chunk], past.times[chunk], past.features[chunk])
        queries.append(scorer.encode(known_to(scorer.shape, fields, own)).queries_BQD)
    return torch.cat(queries)


def known_to(shape: NetworkShape, fields: Sequence[Field], histories: Histories) -> Histories:
    """Translate tonight's histories for a model of tonight or of a night before it.

    What came after its vocabularies, which only ever grow at the end, is read as unknown (0), and so is an event
    feature that tonight no longer has; one that the model does not have is left out.

    Args:
        shape: of the model.
        fields: tonight's event features, in the order of their columns.
        histories: with items and features as numbered tonight.
    """
    given = [(field.name, place) for field in fields for place in range(field.columns)]
    column_of, num_columns = {name: column for column, name in enumerate(given)}, len(given)
    wanted = [(field, place) for field in shape.fields for place in range(field.columns)]
    from_C = np.array([column_of.get((field.name, place), num_columns) for field, place in wanted], dtype=np.int64)
    limits_C1 = np.array([[field.num_values] for field, _ in wanted], dtype=np.int64).reshape(-1, 1)

    def within(values: Indices, length: int) -> Indices:
        nothing = np.zeros(length, dtype=np.int64)
        values_CL = np.concatenate([values, nothing]).reshape(num_columns + 1, length)[from_C]
        return np.where(values_CL > limits_C1, 0, values_CL).ravel()

    items = [np.where(own > shape.num_items, 0, own) for own in histories.items]
    pairs = zip(histories.features, histories.items, strict=True)
    return Histories(items, histories.times, [within(values, len(own)) for values, own in pairs])


def masked(bias_V: NDArray[np.float32], allowed: NDArray[np.bool_]) -> Tensor:
    """Return the bias with -inf where an item may not be recommended."""
    return torch.from_numpy(np.where(allowed, bias_V, np.float32("-inf")).astype(np.float32))


def ragged(found: Additive, users: slice) -> Ragged:
    """Return the scores of some users as the exact top-K engine takes them."""
    starts_B = np.searchsorted(found.rows, np.arange(users.start, users.stop + 1))
    own = slice(int(starts_B[0]), int(starts_B[-1]))
    return Ragged(
        torch.from_numpy(starts_B - own.start),
        torch.from_numpy(found.columns[own]),
        torch.from_numpy(found.values[own]),
    )


def _chunks(num_users: int) -> Iterator[slice]:
    for start in range(0, num_users, _CHUNK):
        yield slice(start, min(start + _CHUNK, num_users))


def _joined(lists: list[Tensor], k: int) -> Indices:
    return torch.cat(lists).numpy() if lists else np.zeros((0, k), dtype=np.int64)
