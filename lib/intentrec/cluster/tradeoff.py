"""What the policies cost and what they buy: lists with and without them, for the same judged users.

U users   K places   N categories + 1 (0 is none)   V items + 1   C categories kept per item
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from intentrec.cluster.catalogue import Numbers, no_newcomers
from intentrec.cluster.judging import Indices, JudgedDay
from intentrec.cluster.recommenders import ModelRecommender, evidence_for, known_to, masked, ragged
from intentrec.cluster.reranking import Asking, NewItems, Reranking, rerank, reranking_of
from intentrec.config import PoliciesConfig
from intentrec.metrics import Figure, bootstrap_means, coverage, intent_coverage, intra_list_diversity, ranking_metrics
from intentrec.model.inference import Histories
from intentrec.model.ragged import Ragged
from intentrec.model.topk import top_k
from intentrec.policies import category_mix, user_seeds

_CHUNK = 2048  # users re-ranked at once


@dataclass(frozen=True, slots=True)
class PolicyRecommender:
    """A model whose candidates go through the policies, as they do at night.

    Attributes:
        model: makes the candidates.
        how: the policies.
    """

    model: ModelRecommender
    how: Reranking

    @property
    def name(self) -> str:
        """Return the model's name: what differs is the segment of its figures."""
        return self.model.name

    def recommend(self, day: JudgedDay, k: int) -> Indices:
        """Return items_UK, best first, 0 where there is none."""
        model, size = self.model, self.model.scorer.shape.num_items + 1
        prior_V = model.prior.bias(day.counts) + self.how.offset_V[: len(day.allowed)]
        prior_V[:size] += model.prior.item_scores(model.scorer.bias_V, size).numpy()
        bias_V = masked(prior_V[:size], day.allowed[:size])
        new = NewItems(model.scorer, self.how, np.where(day.allowed, prior_V, -np.inf).astype(np.float32))
        added = model.prior.additive(evidence_for(day, model.prior.sources), size - 1)
        lists = [np.zeros((0, k), dtype=np.int64)]
        for start in range(0, len(day.users), _CHUNK):
            own, users = slice(start, start + _CHUNK), day.users
            past = Histories(
                users.histories.items[own], users.histories.times[own], users.histories.features[own]
            )  # fmt: skip
            said = model.scorer.encode(known_to(model.scorer.shape, model.fields, past))
            queries_BQD = model.prior.personal(said.queries_BQD, past.items)
            seen = users.seen[own]
            excluded = Ragged.of([items[items < size] for items in seen])
            additive = None if added is None else ragged(added, slice(start, start + len(seen)))
            pool = top_k(
                queries_BQD, model.scorer.items_VD, self.how.pool(k), bias_V=bias_V, excluded=excluded,
                additive=additive,
            )  # fmt: skip
            seeds_B = user_seeds([str(user) for user in users.users_U[own].tolist()], self.how.night)
            found = rerank(
                (pool.items_BK.numpy(), pool.scores_BK.numpy().astype(np.float64)),
                new.best(queries_BQD, seen, self.how.num_new(k)), Asking(past, said, seeds_B), self.how, k,
            )  # fmt: skip
            lists.append(found.items_BK)
        return np.concatenate(lists)


def lists_with_policies(
    model: ModelRecommender,
    days: Sequence[tuple[JudgedDay, datetime]],
    policies: PoliciesConfig,
    numbers: Numbers,
    gap: timedelta,
    k: int,
) -> list[tuple[JudgedDay, Indices]]:
    """Make every day's lists as the night before it would have: what is new, and what is popular, is of its begin.

    Args:
        model: with its prior.
        days: each with the instant at which it begins, aware.
        policies: of the config, one of them on.
        numbers: of the night.
        gap: a longer pause ends a session.
        k: length of the lists.
    """
    nobody, made = no_newcomers(numbers.catalogue.categories_VC.shape[1]), []
    for day, begin in days:
        how = reranking_of(policies, numbers, nobody, day.counts, (begin, gap))
        assert how is not None, "a policy is on"
        made.append((day, PolicyRecommender(model, how).recommend(day, k)))
    return made


def traded(lists: Sequence[tuple[JudgedDay, Indices]], categories_VC: Indices, k: int, seed: int) -> list[Figure]:
    """Judge lists by NDCG, by how much of the user's own mix of categories they serve, by diversity and coverage.

    Every list counts once, so a user of several days counts as often.

    Args:
        lists: days and the items_UK shown.
        categories_VC: of every item.
        k: places that count.
        seed: of the bootstrap.

    Returns:
        ndcg, intent_coverage, intra_list_diversity and coverage; the two of categories only where items have any, none
        of them without users.
    """
    lists = [(day, items_UK) for day, items_UK in lists if len(day.users)]
    if not lists:
        return []
    num_categories = int(categories_VC.max(initial=0))
    features_VN = np.zeros((len(categories_VC), num_categories + 1), dtype=np.float32)
    np.put_along_axis(features_VN, categories_VC, 1.0, axis=1)
    features_VN[:, 0] = 0.0
    parts: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for day, items_UK in lists:
        parts["ndcg"].append(ranking_metrics(items_UK, day.users.relevant, k)["ndcg"])
        if num_categories:
            wanted_UN = category_mix(day.users.histories.items, categories_VC, num_categories)
            parts["intent_coverage"].append(intent_coverage(items_UK, wanted_UN, categories_VC, k))
            parts["intra_list_diversity"].append(intra_list_diversity(items_UK, features_VN, k))
    values_UM = np.stack([np.concatenate(part) for part in parts.values()], axis=1)
    means = zip(parts, bootstrap_means(values_UM, seed), strict=True)
    figures = [Figure(name, k, *interval, len(values_UM)) for name, interval in means]
    allowed = np.flatnonzero(np.any([day.allowed for day, _ in lists], axis=0))
    shown = coverage(np.concatenate([items_UK for _, items_UK in lists]), allowed, k)
    return [*figures, Figure("coverage", k, shown, shown, shown, len(values_UM))]
