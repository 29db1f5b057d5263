import math

import numpy as np
import pytest

from intentrec.metrics import gini, jensen_shannon, top_share


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([5, 5, 5, 5], 0.0),
        ([0, 0, 0, 8], 1 - 1 / 4),
        ([8, 0, 0, 0], 1 - 1 / 4),
        # mean absolute difference over twice the mean: |1 - 3| twice of four pairs is 1, over 2 * 2
        ([1, 3], 1 / 4),
        ([7], 0.0),
    ],
)
def test_gini_is_half_the_relative_mean_difference(counts, expected):
    assert gini(np.array(counts)) == pytest.approx(expected)


def test_of_nothing_there_is_no_gini_and_no_top_share():
    assert math.isnan(gini(np.zeros(3, np.int64)))
    assert math.isnan(top_share(np.zeros(0, np.int64), 0.5))


@pytest.mark.parametrize(("share", "expected"), [(0.01, 6 / 10), (0.25, 6 / 10), (0.26, 9 / 10), (1.0, 1.0)])
def test_the_top_share_is_that_of_the_greatest_rounded_up(share, expected):
    assert top_share(np.array([1, 6, 0, 3]), share) == pytest.approx(expected)


def test_the_divergence_of_labels():
    assert jensen_shannon({"a": 2, "b": 2}, {"b": 5, "a": 5}) == 0
    assert jensen_shannon({"a": 1}, {"b": 3}) == pytest.approx(1)
    # shares (1, 0) and (1/2, 1/2), middle (3/4, 1/4): (log2(4/3) + 1/2 log2(2/3) + 1/2 log2(2)) / 2
    expected = (math.log2(4 / 3) + 0.5 * math.log2(2 / 3) + 0.5) / 2
    assert jensen_shannon({"a": 4}, {"a": 1, "b": 1}) == pytest.approx(expected)
    assert jensen_shannon({"a": 1, "b": 1}, {"a": 4}) == pytest.approx(expected)
    assert math.isnan(jensen_shannon({}, {"a": 1}))
