from math import isnan, log

import numpy as np
import pytest

from intentrec.metrics import Calibration, calibrated, fit_calibration, label_figures

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]])
TRUTH = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=bool)


def test_a_label_is_right_if_it_is_among_the_true_ones():
    figures = label_figures(PROBABILITIES, TRUTH)
    assert figures.accuracy == 3 / 4  # all but the second
    assert figures.num_events == 4


def test_the_majority_is_the_most_frequent_true_label_or_the_given_one():
    assert label_figures(PROBABILITIES, TRUTH).majority_share == 2 / 4  # labels 0 and 1 twice each, the first wins
    assert label_figures(PROBABILITIES, TRUTH, majority=2).majority_share == 1 / 4


def test_the_surprise_is_the_mean_over_true_labels_then_events():
    expected = -(log(0.7) + log(0.3) + log(0.8) + (log(0.6) + log(0.3)) / 2) / 4
    assert label_figures(PROBABILITIES, TRUTH).nll == pytest.approx(expected)


def test_an_impossible_label_that_comes_true_costs_a_finite_surprise():
    assert label_figures(np.array([[1.0, 0.0]]), np.array([[False, True]])).nll == pytest.approx(-log(1e-12))


def test_calibration_compares_confidence_and_accuracy_bin_by_bin():
    # confidences 0.7 right, 0.5 wrong, 0.8 right, 0.6 right stand in four bins of width 1/15
    expected = (abs(1 - 0.7) + abs(0 - 0.5) + abs(1 - 0.8) + abs(1 - 0.6)) / 4
    assert label_figures(PROBABILITIES, TRUTH).ece == pytest.approx(expected)


def test_events_in_different_bins_do_not_balance_each_other():
    probabilities = np.array([[0.55, 0.45], [0.65, 0.35]])  # bins (8/15, 9/15] and (9/15, 10/15]
    truth = np.array([[False, True], [True, False]])
    assert label_figures(probabilities, truth).ece == pytest.approx((0.55 + 0.35) / 2)


def test_events_in_one_bin_balance_each_other():
    probabilities = np.array([[0.5, 0.5], [0.5, 0.5]])
    truth = np.array([[True, False], [False, True]])  # the first label is named: right once of twice, as confident
    assert label_figures(probabilities, truth).ece == 0


def test_events_without_a_label_are_left_out():
    more = label_figures(
        np.vstack([PROBABILITIES, [[0.9, 0.1, 0.0]]]), np.vstack([TRUTH, np.zeros((1, 3), dtype=bool)])
    )
    assert more == label_figures(PROBABILITIES, TRUTH)


def test_no_labelled_event_has_no_figures():
    figures = label_figures(PROBABILITIES[:0], TRUTH[:0])
    assert figures.num_events == 0
    assert all(map(isnan, (figures.accuracy, figures.majority_share, figures.nll, figures.ece)))


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"probabilities are \(4, 3\), true labels \(2, 3\)"):
        label_figures(PROBABILITIES, TRUTH[:2])


def test_the_brier_score_is_the_squared_distance_to_the_truth():
    first, second = 0.3**2 + 0.2**2 + 0.1**2, 0.5**2 + 0.7**2 + 0.2**2
    third, fourth = 0.1**2 + 0.1**2 + 0.2**2, (0.6 - 0.5) ** 2 + (0.3 - 0.5) ** 2 + 0.1**2  # two true ones share 1
    assert label_figures(PROBABILITIES, TRUTH).brier == pytest.approx((first + second + third + fourth) / 4)


def test_a_temperature_flattens_or_sharpens_and_keeps_the_order():
    assert calibrated(np.array([[0.8, 0.2]]), Calibration(2.0)) == pytest.approx(np.array([[2 / 3, 1 / 3]]))  # 2 to 1
    assert calibrated(np.array([[0.8, 0.2]]), Calibration(0.5)) == pytest.approx(np.array([[16 / 17, 1 / 17]]))
    assert calibrated(PROBABILITIES, Calibration()) == pytest.approx(PROBABILITIES)


def test_rates_of_labels_take_their_share():
    found = calibrated(np.array([[0.8, 0.2], [0.5, 0.5]]), Calibration(1.0, 0.25, (0.4, 0.6)))
    assert found == pytest.approx(np.array([[0.75 * 0.8 + 0.1, 0.75 * 0.2 + 0.15], [0.475, 0.525]]))


def events(*of_hundred):
    """Return chances and truths: of each (said, right) a hundred events for either label, ``right`` of them true."""
    said, truth = [], []
    for first, right in of_hundred:
        for chances, order in (((first, 1 - first), 1), ((1 - first, first), -1)):
            said += [chances] * 100
            truth += [[True, False][::order]] * right + [[False, True][::order]] * (100 - right)
    return np.array(said), np.array(truth)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoiled_a_head_is_found(temperature):
    said, truth = events((0.9, 90), (0.6, 60))  # calibrated as they are
    spoiled = calibrated(said, Calibration(1 / temperature))
    found = fit_calibration(spoiled, truth, np.array([5.0, 5.0]))
    assert found.temperature == pytest.approx(temperature, rel=0.01)
    assert found.base_share == pytest.approx(0, abs=0.01)
    assert label_figures(calibrated(spoiled, found), truth).ece < 0.001


def test_the_share_of_label_rates_that_is_missing_is_found():
    # a fifth of the base rates, 1 to 1: 0.8 * 0.95 + 0.1 is 0.86, and 0.8 * 0.6 + 0.1 is 0.58
    said, truth = events((0.95, 86), (0.6, 58))
    found = fit_calibration(said, truth, np.array([70.0, 70.0]))
    assert found.temperature == pytest.approx(1, rel=0.01)
    assert found.base_share == pytest.approx(0.2, abs=0.01)
    assert found.base_rates == (0.5, 0.5)
    assert label_figures(calibrated(said, found), truth).ece < 0.002


def test_a_head_that_is_right_takes_nothing_of_label_rates():
    said, truth = events((0.9, 90), (0.6, 60))
    assert fit_calibration(said, truth, np.array([0.0, 10.0])).base_share == 0


def test_without_labels_nothing_is_calibrated():
    assert fit_calibration(np.array([[0.5, 0.5]]), np.array([[False, False]]), np.zeros(2)) == Calibration()


def test_of_two_valleys_the_deeper_one_is_found():
    random = np.random.default_rng(11)
    logits = random.normal(size=(13, 4)) * 8
    said = np.exp(logits - logits.max(axis=1, keepdims=True))
    said /= said.sum(axis=1, keepdims=True)
    truth = np.eye(4, dtype=bool)[random.integers(4, size=13)]
    counts = np.array([1.0, 2.0, 30.0, 4.0])
    found = fit_calibration(said, truth, counts)
    grid = [
        Calibration(temperature, share, tuple((counts / counts.sum()).tolist()))
        for temperature in np.geomspace(0.05, 20, 60)
        for share in np.linspace(0, 1, 51)
    ]
    best = min(label_figures(calibrated(said, one), truth).nll for one in grid)
    assert label_figures(calibrated(said, found), truth).nll <= best + 0.001
