"""The prior of a model, fitted on validation days.

U lists, one per user and day   Q queries of a user   D width
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from intentrec.cluster.judging import JudgedDay
from intentrec.cluster.mixing import fit_mix
from intentrec.cluster.priors import Prior, half_lives
from intentrec.cluster.recommenders import ModelRecommender, encoded, evidence_for
from intentrec.metrics import ranking_metrics
from intentrec.model.inference import Scorer
from intentrec.model.shape import Field

# An item of 100 events has a log popularity of 6.9, logits spread over some ten nats: 64 is popularity alone.
WEIGHTS = (64.0, 8.0, 4.0, 3.0, 2.0, 1.5, 1.0, 0.7, 0.3, 0.0)
SHRINKS = (64.0, 16.0, 4.0, 0.0)  # events
_HALF_LIFE_AT = ((64.0, 64.0), (2.0, 16.0), (1.0, 4.0))  # (weight, shrink) that the half-life is chosen with
_MAX_LISTS = 6000  # the standard error of NDCG is then below 0.005
_MAX_CLIMBED = 1500  # of these the climb with evidence sees a part: hundreds of mixes are judged, each in 0.05 s


def fit_prior(scorer: Scorer, fields: tuple[Field, ...], days: Sequence[JudgedDay], k: int) -> tuple[Prior, float]:
    """Choose half-life, weight and shrinkage, and the weights of evidence, by NDCG@k on validation days.

    Popularity needs no evidence, the network has to earn its share: of all weights and shrinkages whose mean lies
    within one standard error of the best one's, the one nearest to popularity is taken (first more shrinkage, then
    more weight). Days of their own, each with the popularity of the night before it, make the choice, as at night.
    Where the days have sources, ``fit_mix`` climbs on from there; its mix has to be better by a standard error too.

    Args:
        scorer: the model, trained on what lies before the validation days.
        fields: tonight's event features.
        days: the validation days; the sources of the first are tried.
        k: length of the list.

    Returns:
        The prior and its mean NDCG over lists; without users the network alone, and nan.

    Source: the one-standard-error rule, Breiman et al., Classification and Regression Trees (1984), section 3.4.3.
    """
    some = _some(days, _MAX_LISTS)
    queries = [encoded(scorer, fields, day.users) for day in some]
    lives = half_lives(tuple(some[0].counts))
    center = Prior(lives[-1], 0.0).around(torch.cat(queries))
    if not center.center:
        return center, float("nan")

    said = [evidence_for(day, day.sources) for day in some]

    def quality(prior: Prior) -> NDArray[np.float64]:
        recommender = ModelRecommender("", scorer, fields, prior)
        asked = zip(some, queries, said, strict=True)
        lists = ((day, recommender.best(day, queries_UQD, evidence, k)) for day, queries_UQD, evidence in asked)
        return np.concatenate(
            [ranking_metrics(items_UK, day.users.relevant, k)["ndcg"] for day, items_UK in lists if len(items_UK)]
        )

    mean = center.center
    best = {life: max(quality(Prior(life, *at, mean)).mean() for at in _HALF_LIFE_AT) for life in lives}
    life = max(best, key=lambda hours: best[hours])
    tried = [Prior(life, weight, shrink, mean) for shrink in SHRINKS for weight in WEIGHTS if weight or not shrink]
    qualities = [quality(prior) for prior in tried]
    place = nearest_to_popularity(qualities)
    chosen, values = tried[place], qualities[place]
    if some[0].sources:
        start = replace(chosen, evidence=tuple((name, 0.0) for name in sorted(some[0].sources)))
        mixed, _ = fit_mix(scorer, fields, _some(some, _MAX_CLIMBED), k, start)
        both = [values, quality(mixed)]
        place = nearest_to_popularity(both)
        chosen, values = (start, mixed)[place], both[place]
    return chosen, float(values.mean())


def _some(days: Sequence[JudgedDay], num_lists: int) -> list[JudgedDay]:
    """Return as many lists of every day as give so many in all."""
    return [replace(day, users=day.users.some(num_lists // len(days))) for day in days]


def recentered(prior: Prior, scorer: Scorer, fields: tuple[Field, ...], days: Sequence[JudgedDay]) -> Prior:
    """Return the prior for a model that was trained on, from its own queries for the same days.

    A mix that takes no mean query out stays as it is: its weights were found without.
    """
    if not prior.center:
        return prior
    queries = [encoded(scorer, fields, day.users.some(_MAX_LISTS // len(days))) for day in days]
    return prior.around(torch.cat(queries))


def nearest_to_popularity(qualities: Sequence[NDArray[np.float64]]) -> int:
    """Return the place of the first that is not worse than the best by more than a standard error of the difference.

    Args:
        qualities: of every mix, nearest to popularity first, the figure of each list.
    """
    best_U = max(qualities, key=lambda values_U: values_U.mean())

    def near(values_U: NDArray[np.float64]) -> bool:
        behind_U = best_U - values_U
        return bool(behind_U.mean() <= behind_U.std() / np.sqrt(len(behind_U)))

    return next(place for place, values_U in enumerate(qualities) if near(values_U))
