import numpy as np
import pytest

from intentrec.policies import category_mix, novelty_propensity
from intentrec.policies.taste import NEUTRAL, shares_of

CATEGORIES_VC = np.array([[0, 0], [1, 0], [1, 2], [2, 0], [0, 0], [3, 0]])
HOUR = 3600


def test_an_item_counts_equally_for_each_of_its_categories_and_without_one_for_none():
    shares = shares_of(np.array([[1, 2], [3, 0], [0, 0]]))
    assert shares.tolist() == [[0.5, 0.5], [1, 0], [1, 0]]


def test_the_mix_is_the_users_share_of_events_per_category():
    items = [np.array([1, 2, 0, 4]), np.array([0]), np.array([], dtype=np.int64)]
    mix_BN = category_mix(items, CATEGORIES_VC, 3)
    # Item 1 is category 1, item 2 half 1 and half 2, item 4 has none; the unknown item does not count.
    assert mix_BN == pytest.approx(np.array([[1 / 3, 1.5 / 3, 0.5 / 3, 0], [0, 0, 0, 0], [0, 0, 0, 0]]))


@pytest.mark.parametrize(
    ("items", "hours", "wanted"),
    [
        ([1, 1, 3, 1], [0, 1, 9, 10], (2 / 4 + 1 / 2) / 2),  # 1 and 3 are new; in the last session 3 of 3 and 1
        ([1, 1, 1], [0, 9, 9], (1 / 3 + 0) / 2),  # never anything new again
        ([1, 3, 5], [0, 0, 0], 1.0),  # always something new
        ([1, 4, 0, 3], [0, 9, 9, 9], (2 / 2 + 1) / 2),  # no category, or an unknown item: it does not count
        ([4, 0], [0, 0], NEUTRAL),
        ([1, 3], [0, 2], (2 / 2 + 1 / 1) / 2),  # a pause of exactly the gap is no end; more is
    ],
)
def test_propensity_is_the_share_of_first_categories_in_history_and_last_session(items, hours, wanted):
    other = np.array([5, 5])  # its events must not mix with those of the neighbours
    users = [other, np.array(items), other]
    times = [np.zeros(2, np.int64), np.array(hours) * HOUR, np.zeros(2, np.int64)]
    found_B = novelty_propensity(users, times, CATEGORIES_VC, HOUR)
    assert found_B == pytest.approx([0.5, wanted, 0.5])


def test_without_users_there_is_nothing_to_measure():
    assert novelty_propensity([], [], CATEGORIES_VC, HOUR).tolist() == []
    assert category_mix([], CATEGORIES_VC, 3).shape == (0, 4)
