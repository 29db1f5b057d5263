"""Judged users, and recommenders that answer for all of them through the one exact top-K engine.

U users   B users of a chunk   K places   V items + 1 (0 is padding)   D width   L events   P pairs of items
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from torch import Tensor

from intentrec.baselines import PopularityBaseline, TransitionBaseline, TransitionTable, popularity_counts
from intentrec.metrics import Relevant
from intentrec.model.inference import Histories, Scorer
from intentrec.model.shape import Field, NetworkShape
from intentrec.model.topk import Ragged, top_k

_CHUNK = 2048  # users scored at once: what is made for them stays below 64 MB
Indices = NDArray[np.int64]
Counts = Mapping[int, Indices]  # window in hours -> events of every item [V]


@dataclass(frozen=True, slots=True)
class JudgedUsers:
    """What the judged users did before a day, and in it.

    Attributes:
        histories: their latest events.
        seen: of every user the item indices that the list may not hold.
        relevant: of every user the items of their own choice.
    """

    histories: Histories
    seen: list[Indices]
    relevant: Relevant

    def __len__(self) -> int:
        """Return the number of users."""
        return len(self.seen)

    def first(self, num_users: int) -> "JudgedUsers":
        """Return some of the users: they come in user_id order, which no model knows."""
        cut = slice(0, num_users)
        past = self.histories
        end = int(self.relevant.offsets[: num_users + 1][-1])
        return JudgedUsers(
            Histories(past.items[cut], past.times[cut], past.features[cut]),
            self.seen[cut],
            Relevant(self.relevant.offsets[: num_users + 1], self.relevant.items[:end]),
        )


def collect_judged(judged: DataFrame) -> JudgedUsers:
    """Collect rows of ``Night.judged``: at most evaluation.max_users of them."""
    rows = judged.toArrow()

    def arrays(column: str) -> list[Indices]:
        return [np.asarray(values, dtype=np.int64) for values in rows[column].to_pylist()]

    histories = Histories(arrays("items"), arrays("times"), arrays("features"))
    return JudgedUsers(histories, arrays("seen"), Relevant.of([each.tolist() for each in arrays("relevant")]))


def collect_counts(counted: DataFrame, hours: tuple[int, ...], num_items: int) -> dict[int, Indices]:
    """Collect rows of ``baselines.popularity``; a window without an event has zeros."""
    rows = counted.toArrow()
    window, item, events = (rows[name].to_numpy() for name in ("hours", "item_index", "num_events"))
    return {length: popularity_counts(item[window == length], events[window == length], num_items) for length in hours}


def collect_transitions(counted: DataFrame, num_items: int) -> TransitionTable:
    """Collect rows of ``baselines.transitions``."""
    rows = counted.toArrow()
    item_P, successor_P, weight_P, total_P = (
        rows[name].to_numpy() for name in ("item_index", "successor_index", "weight", "total")
    )
    return TransitionTable.of(item_P, successor_P, weight_P, total_P, num_items)


class Recommender(Protocol):
    """Anything that can name K items for every judged user."""

    @property
    def name(self) -> str:
        """Return its name in METRICS: a model's id, or that of the baseline."""

    def recommend(self, users: JudgedUsers, k: int) -> Indices:
        """Return items_UK, best first, 0 where there is none."""


@dataclass(frozen=True, slots=True)
class CountingRecommender:
    """A baseline: a bias for all, and for transitions what followed the user's last items.

    Attributes:
        baseline: the counts.
        allowed: bool [V], whether an item may be recommended.
    """

    baseline: PopularityBaseline | TransitionBaseline
    allowed: NDArray[np.bool_]

    @property
    def name(self) -> str:
        """Return the baseline's name in METRICS."""
        return self.baseline.name

    def recommend(self, users: JudgedUsers, k: int) -> Indices:
        """Return items_UK, best first, 0 where there is none."""
        bias_V = masked(self.baseline.bias_V, self.allowed)
        no_vectors_V1 = torch.zeros(len(bias_V), 1)
        lists = []
        for chunk in _chunks(len(users)):
            seen = Ragged.of(users.seen[chunk])
            additive = None
            if isinstance(self.baseline, TransitionBaseline):
                additive = _evidence(self.baseline, users.histories.items[chunk])
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
        bias_V: float32 of the prior, of all items of tonight.
        allowed: bool [V], whether an item may be recommended.
        shrink_events: events of a user at which the network's logits count half.
    """

    name: str
    scorer: Scorer
    fields: tuple[Field, ...]
    bias_V: NDArray[np.float32]
    allowed: NDArray[np.bool_]
    shrink_events: float = 0.0

    def recommend(self, users: JudgedUsers, k: int) -> Indices:
        """Return items_UK, best first, 0 where there is none."""
        lists = [self.best(users, chunk, queries_BD, k) for chunk, queries_BD in self.encoded(users)]
        return _joined(lists, k)

    def encoded(self, users: JudgedUsers) -> Iterator[tuple[slice, Tensor]]:
        """Yield users and their queries_BD; the same queries serve many priors."""
        past = users.histories
        for chunk in _chunks(len(users)):
            own = Histories(past.items[chunk], past.times[chunk], past.features[chunk])
            yield chunk, self.scorer.encode(known_to(self.scorer.shape, self.fields, own)).queries_BD

    def best(self, users: JudgedUsers, chunk: slice, queries_BD: Tensor, k: int) -> Tensor:
        """Return the items_BK of the users of a chunk."""
        queries_BD = shrunk(queries_BD, users.histories.items[chunk], self.shrink_events)
        seen = users.seen[chunk]
        num_known = self.scorer.shape.num_items + 1
        bias_V = masked(self.bias_V[:num_known], self.allowed[:num_known])
        if self.scorer.bias_V is not None:
            bias_V = bias_V + self.scorer.bias_V
        excluded = Ragged.of([items[items < num_known] for items in seen])
        return top_k(queries_BD, self.scorer.items_VD, k, bias_V=bias_V, excluded=excluded).items_BK


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


def shrunk(queries_BD: Tensor, items: Sequence[Indices], shrink_events: float) -> Tensor:
    """Return the queries of users with n events times n / (n + shrink_events): short histories say little."""
    lengths_B1 = torch.tensor([[len(own)] for own in items], dtype=torch.float32).reshape(-1, 1)
    return queries_BD * (lengths_B1 / (lengths_B1 + shrink_events))


def masked(bias_V: NDArray[np.float32], allowed: NDArray[np.bool_]) -> Tensor:
    """Return the bias with -inf where an item may not be recommended."""
    return torch.from_numpy(np.where(allowed, bias_V, np.float32("-inf")).astype(np.float32))


def _evidence(baseline: TransitionBaseline, items: Sequence[Indices]) -> Ragged:
    last_BL = np.zeros((len(items), baseline.num_last), dtype=np.int64)
    for row, own in enumerate(items):
        known = own[own > 0][-baseline.num_last :]
        last_BL[row, baseline.num_last - len(known) :] = known
    found = baseline.additive(last_BL)
    starts_B = np.searchsorted(found.rows, np.arange(len(items) + 1))
    return Ragged(torch.from_numpy(starts_B), torch.from_numpy(found.columns), torch.from_numpy(found.values))


def _chunks(num_users: int) -> Iterator[slice]:
    for start in range(0, num_users, _CHUNK):
        yield slice(start, min(start + _CHUNK, num_users))


def _joined(lists: list[Tensor], k: int) -> Indices:
    return torch.cat(lists).numpy() if lists else np.zeros((0, k), dtype=np.int64)
