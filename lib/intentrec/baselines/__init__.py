"""Counting rivals and priors: what is popular in the last hours, what follows the last items."""

from intentrec.baselines.counting import popularity, transitions
from intentrec.baselines.scores import (
    Additive,
    PopularityBaseline,
    TransitionBaseline,
    TransitionTable,
    decayed_counts,
    log_popularity,
    popularity_counts,
)

__all__ = [
    "Additive",
    "PopularityBaseline",
    "TransitionBaseline",
    "TransitionTable",
    "decayed_counts",
    "log_popularity",
    "popularity",
    "popularity_counts",
    "transitions",
]
