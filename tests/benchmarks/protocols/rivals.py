"""Baselines: what evidence the days carry, and which lists are made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intentrec.baselines import (
    FactorRules,
    Factors,
    LastItems,
    NeighbourRules,
    PairRules,
    Sequences,
    SessionNeighbours,
    Source,
    pair_table,
)
from intentrec.cluster.judging import JudgedDay
from intentrec.cluster.recommenders import CountingRecommender
from intentrec.metrics import ranking_metrics

# The floors of the reference first: last item, window of five; then item-kNN with each decay that is tried.
PAIRS: Mapping[str, tuple[PairRules, int, float]] = {
    "markov": (PairRules(), 1, 0.7),
    "counts_5": (PairRules(reach=5, shares="occurrences"), 5, 0.7),
    "item_knn": (PairRules(reach=10, both_ways=True, shares="cosine"), 5, 0.7),
}
# Tuned on the validation lists: neighbours and how they count; the best of each grid is reported as NAME_tuned.
GRIDS: Mapping[str, Mapping[str, NeighbourRules]] = {
    "vsknn": {
        f"vsknn_{recent}_{nearest}_{fading:g}_{'idf' if idf else 'plain'}": NeighbourRules(
            recent=recent, nearest=nearest, fading=fading, idf=idf
        )
        for recent, nearest in ((500, 100), (1000, 100), (2500, 250), (5000, 500))
        for fading in (0.0, 0.1, 0.2)
        for idf in (True, False)
    }
}


def pair_sources(sessions: Sequences, num_items: int, names: Sequence[str], *, itself: bool) -> dict[str, Source]:
    """Count pairs for the named sources; ``itself``: where a list may repeat what the user has just had."""
    found: dict[str, Source] = {}
    for name in names:
        rules, num_last, decay = PAIRS[name]
        rules = PairRules(rules.reach, rules.fading, rules.both_ways, itself, rules.shares)
        found[name] = LastItems(pair_table(sessions, num_items, rules), num_last, decay)
    return found


def factors(sessions: Sequences, num_items: int) -> dict[str, Source]:
    """Fit ALS; its confidence is tuned."""
    tried = {"als": FactorRules(), "als_2": FactorRules(confidence=2.0), "als_40": FactorRules(confidence=40.0)}
    return {name: Factors.of(sessions, num_items, rules) for name, rules in tried.items()}


def neighbours(sessions: Sequences, num_items: int, rules: NeighbourRules, *, tuned: bool = True) -> dict[str, Source]:
    """Index sessions once for the page's rules and, where they are ``tuned``, for all rules that are tried."""
    index = SessionNeighbours.of(sessions, num_items, rules)
    places = (index.item_offsets, index.sessions_E, index.session_offsets, index.items_E)
    tried = {name: SessionNeighbours(*places, own) for name, own in GRIDS["vsknn"].items() if tuned}
    return {"vsknn": index, **tried}


@dataclass(frozen=True)
class Rival:
    """A baseline that takes its evidence from each day.

    Attributes:
        name: in the report.
        source: of the day's sources; None: popularity alone.
        hours: window of the popularity that fills the list.
    """

    name: str
    source: str | None
    hours: int

    def recommend(self, day: JudgedDay, k: int) -> NDArray[np.int64]:
        """Return items_UK, best first."""
        if self.source is None:
            return CountingRecommender.popular(self.hours).recommend(day, k)
        return CountingRecommender.by_evidence(self.name, day.sources[self.source], self.hours).recommend(day, k)


def rivals_for(trying: Sequence[JudgedDay], judged: Sequence[JudgedDay], k: int) -> list[Rival]:
    """Return every baseline; windows and rules that are open are chosen by NDCG@k on the validation lists.

    Args:
        trying: validation lists; where they are none, the first of each grid is taken.
        judged: the test lists.
        k: length of the lists.
    """
    trying = [day for day in trying if len(day.users)]
    hours = sorted(judged[0].counts)
    found = [Rival(f"popularity_{length}h" if len(hours) > 1 else "popularity", None, length) for length in hours]
    fill = max(hours)
    found += [Rival(name, name, fill) for name in (*PAIRS, "vsknn") if name in judged[0].sources]
    if len(hours) > 1:
        best = _best(trying, [Rival("popularity_tuned", None, length) for length in hours], k)
        found.append(best)
    grids = {**GRIDS, "als": ("als_2", "als_40")}
    for name, grid in grids.items():
        tried = [Rival(f"{name}_tuned", own, fill) for own in (name, *grid) if own in judged[0].sources]
        found += [_best(trying, tried, k)] if len(tried) > 1 else []
    return found


def _best(trying: Sequence[JudgedDay], tried: Sequence[Rival], k: int) -> Rival:
    def quality(rival: Rival) -> float:
        found = [ranking_metrics(rival.recommend(day, k), day.users.relevant, k)["ndcg"] for day in trying]
        return float(np.concatenate(found).mean())

    return max(tried, key=quality) if trying else tried[0]
