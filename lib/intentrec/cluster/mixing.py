"""A prior that weighs evidence too, fitted on validation lists one weight at a time.

U lists, one per user and day
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from intentrec.cluster.candidates import candidates_of
from intentrec.cluster.judging import JudgedDay
from intentrec.cluster.priors import Prior, half_lives
from intentrec.cluster.recommenders import encoded, evidence_for
from intentrec.model.inference import Scorer
from intentrec.model.shape import Field

EVIDENCE_WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
POPULARITY_WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0, 64.0)
SHRINKS = (0.0, 1.0, 4.0, 16.0, 64.0)  # events
_ROUNDS = 3  # over all weights; the second rarely changes one by more than a step


def fit_mix(
    scorer: Scorer, fields: tuple[Field, ...], days: Sequence[JudgedDay], k: int, start: Prior | None = None
) -> tuple[Prior, float]:
    """Choose the weights of popularity, of every source of the days, and of the network by NDCG@k.

    One weight after the other takes the best value of its grid, the others held, until a round changes none. Where no
    start is given, the climb begins at the network alone and at popularity alone, and the better end is taken.

    Args:
        scorer: the model, trained on what lies before the validation days.
        fields: event features of the days' histories.
        days: of validation; the sources of the first are tried.
        k: length of the list.
        start: of an earlier model on the same kind of data; its neighbourhood alone is searched.

    Returns:
        The prior and its mean NDCG over lists; without users the network alone, and nan.
    """
    queries = [encoded(scorer, fields, day.users) for day in days]
    names, lives = sorted(days[0].sources), half_lives(tuple(days[0].counts))
    nothing = tuple((name, 0.0) for name in names)
    alone = Prior(lives[-1], 0.0, evidence=nothing)
    around = alone.around(torch.cat(queries))
    center = around.center
    if not center:
        return alone, float("nan")
    some = [
        candidates_of(scorer, day, queries_UQD, evidence_for(day, names), (around, lives), k)
        for day, queries_UQD in zip(days, queries, strict=True)
        if len(day.users)
    ]

    def quality(prior: Prior) -> float:
        return float(np.concatenate([day.ndcg(prior, k) for day in some]).mean())

    starts = [alone, replace(alone, weight=64.0, shrink_events=64.0, center=center)]
    if start is not None:
        starts = [replace(start, center=center if start.center else ())]
    ends = [_climbed(quality, begin, center, lives) for begin in starts]
    return max(ends, key=lambda end: end[1])


def _climbed(
    quality: Callable[[Prior], float], prior: Prior, center: tuple[float, ...], lives: tuple[float, ...]
) -> tuple[Prior, float]:
    best, value = prior, quality(prior)
    for _ in range(_ROUNDS):
        before = best
        for place in range(4 + len(prior.evidence)):
            for tried in _neighbours(best, place, center, lives):
                found = quality(tried)
                if found > value:
                    best, value = tried, found
        if best == before:
            break
    return best, value


def _neighbours(prior: Prior, place: int, center: tuple[float, ...], lives: tuple[float, ...]) -> Iterator[Prior]:
    """Yield the priors that differ in one weight, those of the sources after the prior's own."""
    if place == 0:
        yield from (replace(prior, weight=weight) for weight in POPULARITY_WEIGHTS if weight != prior.weight)
    elif place == 1:
        yield replace(prior, center=() if prior.center else center)
    elif place == 2:
        yield from (replace(prior, shrink_events=shrink) for shrink in SHRINKS if shrink != prior.shrink_events)
    elif place == 3:
        lives = lives if prior.weight else ()
        yield from (replace(prior, half_life_hours=life) for life in lives if life != prior.half_life_hours)
    else:
        name, own = prior.evidence[place - 4]
        for weight in EVIDENCE_WEIGHTS:
            if weight != own:
                evidence = tuple((other, weight if other == name else kept) for other, kept in prior.evidence)
                yield replace(prior, evidence=evidence)
