import numpy as np
import pytest

from intentrec.starter.gaps import DEFAULT_MINUTES, find_gap, pauses_of

DAY = 86_400.0


def two_peaks(short_s, long_s, rng):
    return np.concatenate([
        short_s * np.exp(0.6 * rng.standard_normal(20_000)), long_s * np.exp(0.4 * rng.standard_normal(5_000))
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("short_s", "long_s", "low", "high"),
    [(40.0, DAY, 20, 120), (10.0, 8 * 3600.0, 5, 60), (300.0, 2 * DAY, 60, 240)],
)
def test_the_gap_lies_between_the_pauses_within_and_between_sessions(short_s, long_s, low, high):
    gap = find_gap(two_peaks(short_s, long_s, np.random.default_rng(1)), 7 * DAY)
    assert gap.valley
    assert low <= gap.minutes <= high
    assert gap.num_pauses > 24_900  # but those below a second


def test_without_a_second_peak_a_day_or_enough_pauses_it_is_the_usual_one():
    rng = np.random.default_rng(2)
    one = 60 * np.exp(rng.standard_normal(5_000))
    assert find_gap(two_peaks(40.0, DAY, rng)[:100], 7 * DAY).minutes == DEFAULT_MINUTES
    assert not find_gap(one, 7 * DAY).valley
    assert not find_gap(two_peaks(40.0, DAY, rng), 3600.0).valley
    flat = np.exp(rng.uniform(0, np.log(30 * DAY), 20_000))
    assert not find_gap(flat, 30 * DAY).valley
    assert find_gap(np.array([]), 0.0).minutes == DEFAULT_MINUTES


def test_pauses_are_those_of_one_user_in_order_of_time():
    users = np.array([1, 2, 1, 1])
    times_us = np.array([5e6, 7e6, 1e6, 2e6])
    assert pauses_of(users, times_us).tolist() == [1.0, 3.0]
