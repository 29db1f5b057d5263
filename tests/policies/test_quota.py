import numpy as np
import pytest

from intentrec.policies import with_new_items

YOUNG_V = np.isin(np.arange(12), [3, 8, 9, 10])
ITEMS, SCORES = np.array([[1, 3, 2, 4]]), np.array([[9.0, 8, 7, 6]])
NEW, NEW_SCORES = np.array([[3, 9, 8]]), np.array([[8.0, 5, 4]])


@pytest.mark.parametrize(
    ("least", "items", "scores"),
    [
        (0, [1, 3, 2, 4], [9, 8, 7, 6]),  # off
        (1, [1, 3, 2, 4], [9, 8, 7, 6]),  # there is one already
        (2, [1, 3, 2, 9], [9, 8, 7, 5]),  # the last other one goes
        (3, [1, 3, 9, 8], [9, 8, 5, 4]),
        (4, [1, 3, 9, 8], [9, 8, 5, 4]),  # no more candidates: as many as there are
    ],
)
def test_the_best_new_items_take_the_last_places_until_there_are_enough(least, items, scores):
    found = with_new_items((ITEMS, SCORES), (NEW, NEW_SCORES), YOUNG_V, least)
    assert [part.tolist() for part in found] == [[items], [scores]]


def test_at_the_limit_all_places_are_for_new_items():
    new = np.array([[8, 9, 10, 3]]), np.array([[4.0, 3, 2, 1]])
    found, _ = with_new_items((ITEMS, SCORES), new, YOUNG_V, 4)
    assert found.tolist() == [[3, 8, 9, 10]]


def test_empty_places_stay_empty_and_users_do_not_mix():
    items = np.array([[1, 2, 0], [0, 0, 0], [8, 9, 10]])
    scores = np.where(items > 0, 1.0, -np.inf)
    new = np.array([[8, 9], [8, 0], [3, 0]]), np.array([[0.5, 0.4], [0.5, -np.inf], [0.5, -np.inf]])
    found, _ = with_new_items((items, scores), new, YOUNG_V, 1)
    assert found.tolist() == [[1, 8, 0], [0, 0, 0], [8, 9, 10]]


def test_nothing_comes_in_where_nobody_is_new():
    nobody = np.zeros((1, 0), np.int64), np.zeros((1, 0))
    assert with_new_items((ITEMS, SCORES), nobody, YOUNG_V, 2)[0].tolist() == ITEMS.tolist()
