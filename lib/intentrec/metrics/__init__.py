"""How good lists and intents are: per-user ranking metrics, bootstrap intervals, label figures. numpy only."""

from intentrec.metrics.intervals import Interval, bootstrap_mean, bootstrap_means, paired_relative_difference
from intentrec.metrics.labels import LabelFigures, label_figures
from intentrec.metrics.ranking import METRIC_NAMES, Figure, Relevant, coverage, ranking_metrics, summarize

__all__ = [
    "METRIC_NAMES",
    "Figure",
    "Interval",
    "LabelFigures",
    "Relevant",
    "bootstrap_mean",
    "bootstrap_means",
    "coverage",
    "label_figures",
    "paired_relative_difference",
    "ranking_metrics",
    "summarize",
]
