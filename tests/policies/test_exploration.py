import numpy as np
import pytest

from intentrec.policies import explored, user_seeds

ITEMS, SCORES = np.array([[5, 7, 9, 2]]), np.array([[2.0, 1.0, 0.0, 0.0]])


def draws(num_users, places, temperature=1.0):
    seeds_B = user_seeds([f"u{user}" for user in range(num_users)], "2024-05-02")
    shape = (num_users, 4)
    return explored(np.broadcast_to(ITEMS, shape), np.broadcast_to(SCORES, shape), places, temperature, seeds_B)


def test_items_are_drawn_as_often_as_softmax_says_and_their_chance_is_told():
    places_BE, chances_BE = draws(20_000, 1)
    wanted = np.exp(SCORES[0]) / np.exp(SCORES[0]).sum()
    counted = np.bincount(places_BE[:, 0], minlength=4) / 20_000
    assert counted == pytest.approx(wanted, abs=0.015)  # four standard errors
    assert chances_BE[:, 0] == pytest.approx(wanted[places_BE[:, 0]])


def test_later_draws_are_told_their_chance_among_what_is_left():
    places_BE, chances_BE = draws(200, 4)
    for places, chances in zip(places_BE, chances_BE, strict=True):
        assert sorted(places.tolist()) == [0, 1, 2, 3]  # none twice
        weights = np.exp(SCORES[0, places])
        assert chances == pytest.approx(weights / weights[::-1].cumsum()[::-1])
    assert (chances_BE[:, 3] == 1).all()


def test_the_same_night_draws_the_same_and_another_night_another():
    first, again = draws(50, 2), draws(50, 2)
    assert (first[0] == again[0]).all()
    other_B = user_seeds([f"u{user}" for user in range(50)], "2024-05-03")
    other, _ = explored(np.broadcast_to(ITEMS, (50, 4)), np.broadcast_to(SCORES, (50, 4)), 2, 1.0, other_B)
    assert (other != first[0]).any()


def test_a_draw_depends_on_no_other_user_and_no_worse_candidate():
    seeds_B = user_seeds(["u3"], "2024-05-02")
    alone, _ = explored(ITEMS, SCORES, 2, 1.0, seeds_B)
    assert alone.tolist() == draws(50, 2)[0][3:4].tolist()
    more = np.array([[5, 7, 9, 2, 11]]), np.array([[2.0, 1.0, 0.0, 0.0, -60.0]])
    assert explored(*more, 2, 1.0, seeds_B)[0].tolist() == alone.tolist()


def test_towards_no_temperature_the_best_are_drawn_with_certainty():
    items, scores = ITEMS[:, :3], SCORES[:, :3]
    places_BE, chances_BE = explored(items, scores, 2, 1e-3, user_seeds(["u"], "2024-05-02"))
    assert places_BE.tolist() == [[0, 1]]
    assert chances_BE.tolist() == [[1.0, 1.0]]


def test_where_nothing_is_left_nothing_is_drawn():
    items, scores = np.array([[0, 7, 0], [0, 0, 0]]), np.array([[3.0, 1.0, -np.inf], [-np.inf] * 3])
    places_BE, chances_BE = explored(items, scores, 5, 1.0, user_seeds(["a", "b"], "2024-05-02"))
    assert places_BE.tolist() == [[1, -1, -1, -1, -1], [-1] * 5]
    assert chances_BE[0, 0] == 1
    assert np.isnan(chances_BE[0, 1:]).all()
    assert np.isnan(chances_BE[1]).all()
