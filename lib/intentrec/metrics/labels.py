"""How good the predicted intents of a head are.

N events   C labels of the head   B confidence bins
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 15  # of equal width, as in the source
_STEP = 0.001  # of ln T and of the share of the base rates
_SCANNED = 13  # temperatures, each 1.65 times the one before
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


@dataclass(frozen=True, slots=True)
class Calibration:
    """How sure a head is made: ``(1 - base_share) * p^(1/temperature) + base_share * base_rates``.

    A temperature moves all chances alike; the base rates take from those near 1 and leave those near a base rate.

    Attributes:
        temperature: above 1 where a head is too sure.
        base_share: 0 to 1.
        base_rates: how frequent each label was in training, of a sum of 1; empty where ``base_share`` is 0.
    """

    temperature: float = 1.0
    base_share: float = 0.0
    base_rates: tuple[float, ...] = ()


def calibrated(probabilities_NC: NDArray[np.floating[Any]], calibration: Calibration) -> NDArray[np.float64]:
    """Return what a head's probabilities become, each row with a sum of 1."""
    said_NC = _tempered(probabilities_NC, math.log(calibration.temperature))
    if not calibration.base_share:
        return said_NC
    return (1 - calibration.base_share) * said_NC + calibration.base_share * np.array(calibration.base_rates)


def fit_calibration(
    probabilities_NC: NDArray[np.floating[Any]], truth_NC: NDArray[np.bool_], counts_C: NDArray[np.floating[Any]]
) -> Calibration:
    """Return the calibration of the least ``nll`` on held-out events; none where no event has a label.

    The surprise is convex in the share of the base rates, and without them in 1/T; with them it may have several
    valleys. Of 13 temperatures between 0.05 and 20, the share searched for each, the best is refined to 0.1 % by the
    golden section between its neighbours.

    Args:
        probabilities_NC: predicted, each row sums to 1.
        truth_NC: the true labels.
        counts_C: how often each label was true in training.

    Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017), section 4.2; the mixture after Zhang et
    al., Mix-n-Match (ICML 2020), section 4.1, with base rates for its uniform share.
    """
    if not truth_NC.any():
        return Calibration()
    rows_R, labels_R = truth_NC.nonzero()
    weights_R = 1 / truth_NC.sum(axis=1)[rows_R]
    base_rates_C = counts_C / max(counts_C.sum(), 1)
    logits_NC = np.log(np.maximum(probabilities_NC, _LEAST))
    logits_NC -= logits_NC.max(axis=1, keepdims=True)

    def searched(log_temperature: float) -> tuple[float, float]:
        """Return the least surprise at a temperature, and the share that has it."""
        cold = math.exp(-log_temperature)
        said_R = np.exp(cold * logits_NC[rows_R, labels_R]) / np.exp(cold * logits_NC).sum(axis=1)[rows_R]

        def surprise(share: float) -> float:
            mixed_R = (1 - share) * said_R + share * base_rates_C[labels_R]
            return float(-(weights_R * np.log(np.maximum(mixed_R, _LEAST))).sum())

        share = _lowest(surprise, 0.0, 1.0)
        share = 0.0 if surprise(0.0) <= surprise(share) else share
        return surprise(share), share

    scanned = np.linspace(math.log(0.05), math.log(20.0), _SCANNED).tolist()
    best = int(np.argmin([searched(point)[0] for point in scanned]))
    around = scanned[max(0, best - 1)], scanned[min(_SCANNED - 1, best + 1)]
    log_temperature = _lowest(lambda point: searched(point)[0], *around)
    share = searched(log_temperature)[1]
    return Calibration(math.exp(log_temperature), share, tuple(base_rates_C.tolist()) if share else ())


def _tempered(probabilities_NC: NDArray[np.floating[Any]], log_temperature: float) -> NDArray[np.float64]:
    """Return p^(1/T), each row brought back to a sum of 1."""
    logits_NC = np.log(np.maximum(probabilities_NC, _LEAST)) / math.exp(log_temperature)
    odds_NC: NDArray[np.float64] = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    odds_NC /= odds_NC.sum(axis=1, keepdims=True)
    return odds_NC


def _lowest(cost: Callable[[float], float], low: float, high: float) -> float:
    """Return where a cost with one valley is least, by the golden section."""
    part = (math.sqrt(5) - 1) / 2
    while high - low > _STEP:
        left, right = high - part * (high - low), low + part * (high - low)
        if cost(left) <= cost(right):
            high = right
        else:
            low = left
    return (low + high) / 2


def _calibration_error(confidence_N: NDArray[np.float64], right_N: NDArray[np.bool_]) -> float:
    """Return sum over bins of |sum of right - sum of confidence| / N; a bin is open below and closed above."""
    bins_N = np.clip(np.ceil(confidence_N * _BINS).astype(int) - 1, 0, _BINS - 1)
    right_B = np.bincount(bins_N, weights=right_N, minlength=_BINS)
    confidence_B = np.bincount(bins_N, weights=confidence_N, minlength=_BINS)
    return float(np.abs(right_B - confidence_B).sum() / len(right_N))
