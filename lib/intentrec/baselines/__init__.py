"""Counting rivals and priors: what is popular in the last hours, what follows the last items."""

from intentrec.baselines.counting import popularity, transitions
from intentrec.baselines.scores import (
    Additive,
    PopularityBaseline,
    TransitionBaseline,
    TransitionTable,
    popularity_counts,
    popularity_scores,
)

__all__ = [
    "Additive",
    "PopularityBaseline",
    "TransitionBaseline",
    "TransitionTable",
    "popularity",
    "popularity_counts",
    "popularity_scores",
    "transitions",
]
