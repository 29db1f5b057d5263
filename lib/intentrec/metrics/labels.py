"""How good the predicted intents of a head are.

N events   C labels of the head   B confidence bins
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 15  # of equal width, as in the source
_STEP = 0.001  # of ln T
_LEAST = 1e-12  # a true label of probability 0 costs 27.6 nats, not infinity


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """Figures of one head over the events that have a label; nan where none has.

    Attributes:
        accuracy: share of events whose most likely label is a true one; ties go to the first label.
        majority_share: the same for always naming the majority label.
        nll: mean over events of the mean over their true labels of -ln(probability), nats.
        ece: expected calibration error of the most likely label, 0 to 1.
        brier: mean over events of the sum over labels of (probability - truth)^2, where true labels share 1.
        num_events: events with at least one true label.
    """

    accuracy: float
    majority_share: float
    nll: float
    ece: float
    brier: float
    num_events: int


def label_figures(
    probabilities_NC: NDArray[np.floating[Any]], truth_NC: NDArray[np.bool_], majority: int | None = None
) -> LabelFigures:
    """Judge one head.

    Args:
        probabilities_NC: predicted, each row sums to 1.
        truth_NC: the true labels; several for a multi-label head, none leaves the event out.
        majority: the label that is most frequent in training; None: the most frequent of ``truth_NC``.

    Raises:
        ValueError: the shapes differ.

    Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017), section 2, equation 3, for ece; Brier,
    Verification of forecasts expressed in terms of probability (Monthly Weather Review 1950), for brier.
    """
    if probabilities_NC.shape != truth_NC.shape:
        raise ValueError(f"probabilities are {probabilities_NC.shape}, true labels {truth_NC.shape}")
    labelled_N = truth_NC.any(axis=1)
    probabilities_NC, truth_NC = probabilities_NC[labelled_N].astype(np.float64), truth_NC[labelled_N]
    num_events = len(truth_NC)
    if num_events == 0:
        return LabelFigures(*(float("nan"),) * 5, num_events=0)
    majority = int(truth_NC.sum(axis=0).argmax()) if majority is None else majority
    best_N = probabilities_NC.argmax(axis=1)
    right_N = truth_NC[np.arange(num_events), best_N]
    surprise_NC = -np.log(np.maximum(probabilities_NC, _LEAST))
    nll_N = (surprise_NC * truth_NC).sum(axis=1) / truth_NC.sum(axis=1)
    return LabelFigures(
        accuracy=float(right_N.mean()),
        majority_share=float(truth_NC[:, majority].mean()),
        nll=float(nll_N.mean()),
        ece=_calibration_error(probabilities_NC.max(axis=1), right_N),
        brier=float(((probabilities_NC - truth_NC / truth_NC.sum(axis=1, keepdims=True)) ** 2).sum(axis=1).mean()),
        num_events=num_events,
    )


def tempered(probabilities_NC: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float64]:
    """Return p^(1/T), each row brought back to a sum of 1; the order of labels stays."""
    logits_NC = np.log(np.maximum(probabilities_NC, _LEAST)) / temperature
    odds_NC: NDArray[np.float64] = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    odds_NC /= odds_NC.sum(axis=1, keepdims=True)
    return odds_NC


def fit_temperature(probabilities_NC: NDArray[np.floating[Any]], truth_NC: NDArray[np.bool_]) -> float:
    """Return the temperature of the least ``nll`` on held-out events: above 1 where a head is too sure.

    The surprise is convex in 1/T, so a search by the golden section between 0.05 and 20 finds it to 0.1 %.

    Args:
        probabilities_NC: predicted, each row sums to 1.
        truth_NC: the true labels.

    Returns:
        The temperature; 1 where no event has a label.

    Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017), section 4.2.
    """
    if not truth_NC.any():
        return 1.0
    low, high, share = math.log(0.05), math.log(20.0), (math.sqrt(5) - 1) / 2
    while high - low > _STEP:
        left, right = high - share * (high - low), low + share * (high - low)
        if _nll(probabilities_NC, truth_NC, left) <= _nll(probabilities_NC, truth_NC, right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def _nll(probabilities_NC: NDArray[np.floating[Any]], truth_NC: NDArray[np.bool_], log_temperature: float) -> float:
    return label_figures(tempered(probabilities_NC, math.exp(log_temperature)), truth_NC).nll


def _calibration_error(confidence_N: NDArray[np.float64], right_N: NDArray[np.bool_]) -> float:
    """Return sum over bins of |sum of right - sum of confidence| / N; a bin is open below and closed above."""
    bins_N = np.clip(np.ceil(confidence_N * _BINS).astype(int) - 1, 0, _BINS - 1)
    right_B = np.bincount(bins_N, weights=right_N, minlength=_BINS)
    confidence_B = np.bincount(bins_N, weights=confidence_N, minlength=_BINS)
    return float(np.abs(right_B - confidence_B).sum() / len(right_N))
