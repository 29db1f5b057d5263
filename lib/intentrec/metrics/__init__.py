"""How good lists and intents are: per-user ranking metrics, bootstrap intervals, label figures. numpy only."""

from intentrec.metrics.distributions import gini, jensen_shannon, top_share
from intentrec.metrics.intervals import Interval, bootstrap_mean, bootstrap_means, paired_relative_difference
from intentrec.metrics.labels import Calibration, LabelFigures, calibrated, fit_calibration, label_figures
from intentrec.metrics.lists import debiased_recall, intent_coverage, intra_list_diversity, novelty, serendipity
from intentrec.metrics.ranking import METRIC_NAMES, Figure, Relevant, coverage, ranking_metrics, summarize

__all__ = [
    "METRIC_NAMES",
    "Calibration",
    "Figure",
    "Interval",
    "LabelFigures",
    "Relevant",
    "bootstrap_mean",
    "bootstrap_means",
    "calibrated",
    "coverage",
    "debiased_recall",
    "fit_calibration",
    "gini",
    "intent_coverage",
    "intra_list_diversity",
    "jensen_shannon",
    "label_figures",
    "novelty",
    "paired_relative_difference",
    "ranking_metrics",
    "serendipity",
    "summarize",
    "top_share",
]
