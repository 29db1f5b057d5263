"""Candidates of the top-K engine -> lists, as the policies of the config want them.

B users   M candidates of a user   K places   J new items   V items + 1   C categories kept per item
N categories + 1   D width
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intentrec.cluster.catalogue import Newcomers, Numbers
from intentrec.cluster.judging import Counts, Indices
from intentrec.config import PoliciesConfig
from intentrec.model.inference import Encoded, Histories, Scorer
from intentrec.model.ragged import Ragged
from intentrec.model.topk import top_k
from intentrec.policies import (
    Candidates,
    Strengths,
    category_mix,
    explored,
    greedy_places,
    novelty_propensity,
    with_new_items,
)

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranking:
    """What the policies look at, the same for all users of a night.

    Attributes:
        policies: of the config.
        categories_VC: int64 categories of every item, 0 for none.
        young_V: bool, whether an item counts as new and may be recommended.
        offset_V: float32 added to every user's scores: what popularity_offset takes.
        gap_s: seconds; a longer pause ends a session.
        night: names the night; seeds what is drawn at random.
    """

    policies: PoliciesConfig
    categories_VC: Indices
    young_V: NDArray[np.bool_]
    offset_V: NDArray[np.float32]
    gap_s: int
    night: str

    def pool(self, k: int) -> int:
        """Return how many candidates a list of ``k`` is chosen from."""
        chosen = self.policies.reorder or self.policies.explore_places
        return k * self.policies.pool if chosen else k

    def num_new(self, k: int) -> int:
        """Return the places of a list of ``k`` that are kept for new items."""
        return self.policies.new_places(k)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Lists as the policies made them; an empty place has item 0.

    Attributes:
        items_BK: int64.
        scores_BK: float64, of the items as they were scored; -inf in an empty place.
        propensity_BK: float64; nan where nothing was drawn.
    """

    items_BK: Indices
    scores_BK: Scores
    propensity_BK: Scores


@dataclass(frozen=True, slots=True)
class Asking:
    """The users whose lists are made.

    Attributes:
        past: their histories, as numbered tonight.
        said: what the model says of them.
        seeds_B: uint64, of ``user_seeds``.
    """

    past: Histories
    said: Encoded
    seeds_B: NDArray[np.uint64]


def rerank(
    pool: tuple[Indices, Scores], new: tuple[Indices, Scores], users: Asking, how: Reranking, k: int, pinned: int = 0
) -> Chosen:
    """Choose each user's items among the candidates: by their scores first, then new ones, then what is drawn.

    New and drawn items stand last, where a pinned item would push them off the list: so that many fewer are chosen.

    Args:
        pool: items_BM and scores_BM, best first.
        new: the best new items of each user, as ``NewItems.best`` finds them.
        users: in the same order.
        how: the night's policies.
        k: places.
        pinned: places that pinned items will take; as many are left empty at the end.
    """
    items_BM, scores_BM = pool
    policies, free = how.policies, k - pinned
    drawn = min(policies.explore_places, free)
    listed = items_BM[:, : free - drawn], scores_BM[:, : free - drawn]
    if policies.reorder:
        candidates = Candidates(scores_BM, how.categories_VC[items_BM])
        listed = _at(items_BM, scores_BM, greedy_places(candidates, free - drawn, _strengths(users, how)))
    listed = with_new_items(listed, new, how.young_V, min(how.num_new(k), free - drawn))
    left_BM = np.where((items_BM[:, :, None] == listed[0][:, None, :]).any(axis=2), 0, items_BM)
    places_BE, chances_BE = explored(left_BM, scores_BM, drawn, policies.explore_temperature, users.seeds_B)
    return _packed(listed, (*_at(items_BM, scores_BM, places_BE), chances_BE), k)


def _packed(listed: tuple[Indices, Scores], drawn: tuple[Indices, Scores, Scores], k: int) -> Chosen:
    """Return k places, what was drawn after what was listed, the empty ones at the end: fillers go there."""
    num_users, num_listed = listed[0].shape
    items_BK, scores_BK = np.zeros((num_users, k), np.int64), np.full((num_users, k), -np.inf)
    propensity_BK = np.full((num_users, k), np.nan)
    places = slice(num_listed, num_listed + drawn[0].shape[1])
    items_BK[:, :num_listed], scores_BK[:, :num_listed] = listed
    items_BK[:, places], scores_BK[:, places], propensity_BK[:, places] = drawn
    order_BK = np.argsort(items_BK == 0, axis=1, kind="stable")
    packed = (np.take_along_axis(each, order_BK, axis=1) for each in (items_BK, scores_BK, propensity_BK))
    return Chosen(*packed)


def reranking_of(
    policies: PoliciesConfig, numbers: Numbers, new: Newcomers, counts: Counts, at: tuple[datetime, timedelta]
) -> Reranking | None:
    """Gather what the policies look at; None where all of them are off.

    Args:
        policies: of the config.
        numbers: of the night.
        new: eligible items that nobody has met yet; their indices follow those of the vocabulary.
        counts: events of every item; the longest window counts for popularity_offset.
        at: the end of the night, aware, and the pause that ends a session.
    """
    if not policies.any_on:
        return None
    until, gap = at
    since_s = (until - timedelta(days=policies.new_item_days)).timestamp()
    young_V = numbers.eligible & (numbers.catalogue.published_V.numpy() >= since_s)
    events_V = counts[max(counts)]
    offset_V = np.zeros(len(young_V) + len(new), np.float32)
    offset_V[: len(events_V)] = -policies.popularity_offset * np.log1p(events_V)
    return Reranking(
        policies=policies,
        categories_VC=np.concatenate([numbers.catalogue.categories_VC.numpy(), new.categories_NC]),
        young_V=np.concatenate([young_V, np.ones(len(new), dtype=bool)]) & bool(policies.new_item_share),
        offset_V=offset_V,
        gap_s=int(gap.total_seconds()),
        night=until.isoformat(),
    )


class NewItems:
    """The night's new items, scored by the model: from their own vectors, or else from their features alone."""

    def __init__(self, scorer: Scorer, how: Reranking, bias_V: NDArray[np.float32]) -> None:
        """Collect the vectors of ``how.young_V``; ``bias_V`` is added to the scores, -inf leaves an item out."""
        self._young_J = np.flatnonzero(how.young_V)
        known_J = self._young_J < len(scorer.items_VD)
        categories_JC = torch.from_numpy(how.categories_VC[self._young_J]).to(scorer.device)
        vectors_JD = scorer.network.items.unknown(categories_JC).cpu()
        vectors_JD[known_J] = scorer.items_VD[self._young_J[known_J]]
        self._vectors_JD = torch.cat([torch.zeros_like(vectors_JD[:1]), vectors_JD]) if len(vectors_JD) else vectors_JD
        self._bias_J = torch.from_numpy(np.concatenate([np.zeros(1, np.float32), bias_V[self._young_J]]))

    def best(self, queries_BQD: Tensor, seen: Sequence[Indices], number: int) -> tuple[Indices, Scores]:
        """Return the best new items of each user that he has not seen, and their scores; 0 and -inf for none."""
        if not number or not len(self._young_J):
            nothing = (len(queries_BQD), 0)
            return np.zeros(nothing, np.int64), np.zeros(nothing)
        excluded = Ragged.of([1 + np.flatnonzero(np.isin(self._young_J, own)) for own in seen])
        found = top_k(queries_BQD, self._vectors_JD, number, bias_V=self._bias_J, excluded=excluded)
        items_J = np.concatenate([[0], self._young_J])
        return items_J[found.items_BK.numpy()], found.scores_BK.numpy().astype(np.float64)


def _strengths(users: Asking, how: Reranking) -> Strengths:
    policies, past = how.policies, users.past
    num_categories = int(how.categories_VC.max(initial=0))
    mix_BN = category_mix(past.items, how.categories_VC, num_categories)
    intents_BN = mix_BN
    if "category" in users.said.heads:
        chances_BN = users.said.heads["category"].numpy()[:, :num_categories]
        intents_BN = np.zeros_like(mix_BN)
        intents_BN[:, 1 : 1 + chances_BN.shape[1]] = chances_BN
    diversity_B = np.full(len(mix_BN), policies.diversity)
    if policies.diversity and policies.diversity_by_novelty:
        diversity_B *= 0.5 + novelty_propensity(past.items, past.times, how.categories_VC, how.gap_s)
    return Strengths(intents_BN, diversity_B, mix_BN, policies.calibration)


def _at(items_BM: Indices, scores_BM: Scores, places_BP: Indices) -> tuple[Indices, Scores]:
    there_BP, at_BP = places_BP >= 0, np.maximum(places_BP, 0)
    items_BP = np.where(there_BP, np.take_along_axis(items_BM, at_BP, axis=1), 0)
    return items_BP, np.where(there_BP, np.take_along_axis(scores_BM, at_BP, axis=1), -np.inf)
