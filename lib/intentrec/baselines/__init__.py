"""Counting rivals and priors: what is popular in the last hours, what follows the last items."""

from intentrec.baselines.counting import popularity, transitions
from intentrec.baselines.names import TRANSITIONS, decayed_name, is_baseline, popularity_name, window_of
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
    "TRANSITIONS",
    "Additive",
    "PopularityBaseline",
    "TransitionBaseline",
    "TransitionTable",
    "decayed_counts",
    "decayed_name",
    "is_baseline",
    "log_popularity",
    "popularity",
    "popularity_counts",
    "popularity_name",
    "transitions",
    "window_of",
]
