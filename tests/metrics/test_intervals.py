from math import inf, isnan

import numpy as np
import pytest

from intentrec.metrics import bootstrap_mean, bootstrap_means, intervals, paired_relative_difference


def test_equal_users_have_an_interval_of_no_width():
    assert bootstrap_mean(np.array([0.25, 0.25, 0.25]), seed=1) == (0.25, 0.25, 0.25)


def test_two_users_resample_to_both_extremes():
    # means 0, 1/2, 1 with probability 1/4, 1/2, 1/4: the 5 % and 95 % quantiles are 0 and 1
    assert bootstrap_mean(np.array([0.0, 1.0]), seed=1) == (0.5, 0.0, 1.0)


def test_the_interval_has_the_width_of_the_normal_approximation():
    values = np.tile([0.0, 1.0], 5000)  # standard error 0.5 / 100, 90 % is 1.645 of them
    value, low, high = bootstrap_mean(values, seed=3)
    assert value == 0.5
    assert (high - low) / 2 == pytest.approx(1.645 * 0.005, rel=0.1)


def test_the_seed_decides_the_interval():
    values = np.random.default_rng(1).random(50)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_no_users_have_no_mean():
    assert all(map(isnan, bootstrap_mean(np.array([]), seed=1)))
    assert all(map(isnan, paired_relative_difference(np.array([]), np.array([]), seed=1)))
    assert len(bootstrap_means(np.zeros((0, 3)), seed=1)) == 3


def test_columns_share_their_resampled_users():
    values = np.random.default_rng(1).random(50)
    both = bootstrap_means(np.stack([values, 2 * values], axis=1), seed=1)
    assert both[0] == bootstrap_mean(values, seed=1)
    assert both[1] == tuple(2 * end for end in both[0])


def test_the_size_of_the_chunks_changes_nothing(monkeypatch):
    values = np.random.default_rng(1).random((50, 3))
    whole = bootstrap_means(values, seed=1)
    monkeypatch.setattr(intervals, "_CHUNK_CELLS", 150)
    assert bootstrap_means(values, seed=1) == whole


def test_the_order_of_addition_changes_no_bit():
    values = np.random.default_rng(1).random(20_001)
    assert bootstrap_mean(values, seed=1, num=2).value == bootstrap_mean(values[::-1], seed=1, num=2).value


def test_the_resamples_are_as_many_as_wanted():
    assert bootstrap_mean(np.array([0.0, 1.0]), seed=1, num=1)[1:] in {(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)}


def test_a_challenger_a_tenth_better_on_every_user_is_certain():
    champion = np.array([0.5, 1.0, 0.25, 0.75])
    assert paired_relative_difference(1.5 * champion, champion, seed=1) == pytest.approx((0.5, 0.5, 0.5))


def test_pairing_resamples_the_same_users_for_both():
    champion = np.tile([0.0, 1.0], 50)
    challenger = champion + 0.5  # without pairing the interval would be far wider than that of 0.5 / mean of champion
    point, low, high = paired_relative_difference(challenger, champion, seed=1)
    assert point == 1.0
    mean_low, mean_high = bootstrap_mean(champion, seed=1)[1:]
    assert (low, high) == pytest.approx((0.5 / mean_high, 0.5 / mean_low))


@pytest.mark.parametrize(("challenger", "expected"), [(0.0, 0.0), (0.5, inf), (-0.5, -inf)])
def test_a_champion_of_zero_is_defined(challenger, expected):
    assert paired_relative_difference(np.full(3, challenger), np.zeros(3), seed=1) == (expected, expected, expected)


def test_unequal_users_are_refused():
    with pytest.raises(ValueError, match=r"paired users wanted, got \(2,\) and \(3,\)"):
        paired_relative_difference(np.zeros(2), np.zeros(3), seed=1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_figure_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="a figure of a user is not finite"):
        bootstrap_mean(np.array([0.5, value]), seed=1)
