"""Counting rivals and priors: what is popular in the last hours, what follows the last items."""

from intentrec.baselines.counting import popularity, transitions
from intentrec.baselines.factors import FactorRules, Factors
from intentrec.baselines.names import (
    TRANSITIONS,
    decayed_name,
    is_baseline,
    popularity_name,
    reach_of,
    transitions_name,
    window_of,
)
from intentrec.baselines.neighbours import NeighbourRules, SessionNeighbours
from intentrec.baselines.scores import (
    Additive,
    EvidenceBaseline,
    LastItems,
    PopularityBaseline,
    Source,
    TransitionTable,
    decayed_counts,
    log_popularity,
    log_shares,
    popularity_counts,
    weighted_sum,
)
from intentrec.baselines.sequences import PairRules, Sequences, pair_table

__all__ = [
    "TRANSITIONS",
    "Additive",
    "EvidenceBaseline",
    "FactorRules",
    "Factors",
    "LastItems",
    "NeighbourRules",
    "PairRules",
    "PopularityBaseline",
    "Sequences",
    "SessionNeighbours",
    "Source",
    "TransitionTable",
    "decayed_counts",
    "decayed_name",
    "is_baseline",
    "log_popularity",
    "log_shares",
    "pair_table",
    "popularity",
    "popularity_counts",
    "popularity_name",
    "reach_of",
    "transitions",
    "transitions_name",
    "weighted_sum",
    "window_of",
]
