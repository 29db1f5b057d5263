"""How good the predicted intents of a head are.

N events   C labels of the head   B confidence bins
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 15  # of equal width, as in the source
_LEAST = 1e-12  # a true label of probability 0 costs 27.6 nats, not infinity


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """Figures of one head over the events that have a label; nan where none has.

    Attributes:
        accuracy: share of events whose most likely label is a true one; ties go to the first label.
        majority_share: the same for always naming the majority label.
        nll: mean over events of the mean over their true labels of -ln(probability), nats.
        ece: expected calibration error of the most likely label, 0 to 1.
        num_events: events with at least one true label.
    """

    accuracy: float
    majority_share: float
    nll: float
    ece: float
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

    Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017), section 2, equation 3, for ece.
    """
    if probabilities_NC.shape != truth_NC.shape:
        raise ValueError(f"probabilities are {probabilities_NC.shape}, true labels {truth_NC.shape}")
    labelled_N = truth_NC.any(axis=1)
    probabilities_NC, truth_NC = probabilities_NC[labelled_N].astype(np.float64), truth_NC[labelled_N]
    num_events = len(truth_NC)
    if num_events == 0:
        return LabelFigures(*(float("nan"),) * 4, num_events=0)
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
        num_events=num_events,
    )


def _calibration_error(confidence_N: NDArray[np.float64], right_N: NDArray[np.bool_]) -> float:
    """Return sum over bins of |sum of right - sum of confidence| / N; a bin is open below and closed above."""
    bins_N = np.clip(np.ceil(confidence_N * _BINS).astype(int) - 1, 0, _BINS - 1)
    right_B = np.bincount(bins_N, weights=right_N, minlength=_BINS)
    confidence_B = np.bincount(bins_N, weights=confidence_N, minlength=_BINS)
    return float(np.abs(right_B - confidence_B).sum() / len(right_N))
