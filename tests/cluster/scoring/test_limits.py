"""Proposed lists under limits, by hand: four places, items 1 to 9."""

from dataclasses import replace

import numpy as np

from intentrec.cluster.scoring.columns import FALLBACK, MODEL, PINNED, PRIOR, Lists
from intentrec.cluster.scoring.limits import fill_places, keep_limits
from intentrec.rules import Found, Reader, RuleRow, Rules

K = 4
NOBODY = [np.zeros(0, np.int64)]


def view_of(*rows):
    rules = Rules(rows, np.arange(10) > 0, K)
    return rules.view(Reader.user(())), len(rules.listed)


def row(kind, *items, **more):
    return RuleRow(rule=kind, kind=kind, items_N=np.array(items, dtype=np.int64), **more)


def proposed(items, scores, sources):
    lists = Lists.empty(1, len(items))
    lists.items_BK[0], lists.scores_BK[0], lists.sources_BK[0] = items, scores, sources
    lists.because_BK[0] = [10 * item for item in items]
    return lists


def empty():
    return replace(Lists.empty(1, K), passed_BC=np.zeros((1, 1), np.int64))


def candidates(*items):
    def deeper(rows, depth):
        own = np.array([items[:depth]])
        return Found(
            np.repeat(own, len(rows), 0), -np.repeat(own, len(rows), 0).astype(float), np.array([len(items) > depth])
        )

    return deeper


def test_what_was_proposed_keeps_its_order_and_what_follows_is_the_best_of_the_rest():
    view, num_rules = view_of(row("cap", 2, 3, 5, 6, amount=1.0))
    given = proposed([3, 1, 2, 4], [0.3, 0.9, 0.8, 0.1], [PRIOR, MODEL, MODEL, PRIOR])  # not in the order of scores
    lists = keep_limits(view, num_rules, given, NOBODY, candidates(1, 2, 3, 4, 5, 6, 7), np.zeros((1, 0)))
    assert lists.items_BK.tolist() == [[3, 1, 4, 7]]  # 3 is of the capped ones: 2, 5 and 6 are passed over
    assert lists.scores_BK.tolist() == [[0.3, 0.9, 0.1, -7.0]]
    assert lists.sources_BK.tolist() == [[PRIOR, MODEL, PRIOR, MODEL]]
    assert lists.because_BK.tolist() == [[30, 10, 40, 0]]  # moved with its item; of the others not known yet
    assert lists.passed_BC.tolist() == [[3]]


def test_a_pinned_place_is_marked_and_has_its_own_score():
    view, num_rules = view_of(row("pin", 9, amount=3.0))
    given = proposed([1, 2, 3, 4], [0.9, 0.8, 0.7, 0.6], [MODEL] * 4)
    lists = keep_limits(view, num_rules, given, NOBODY, candidates(1, 2, 3, 4, 5), np.array([[-2.5]]))
    assert lists.items_BK.tolist() == [[1, 2, 9, 3]]
    assert lists.scores_BK.tolist() == [[0.9, 0.8, -2.5, 0.7]]
    assert lists.sources_BK.tolist() == [[MODEL, MODEL, PINNED, MODEL]]


def test_empty_places_are_filled_with_what_is_popular_below_the_models_lowest():
    view, _ = view_of(row("cap", 5, 6, 1, amount=1.0), row("pin", 9, amount=1.0))
    lists = proposed([9, 1, 0, 0], [7.0, 0.5, 0.0, 0.0], [PINNED, MODEL, MODEL, MODEL])
    lists = replace(lists, passed_BC=np.array([[3]]))
    filler, scores = np.array([5, 7, 6, 2, 8]), np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    filled = fill_places(view, lists, [np.array([7])], filler, scores)  # 7 has been seen, 5 and 6 are capped by 1
    assert filled.items_BK.tolist() == [[9, 1, 2, 8]]
    assert filled.sources_BK.tolist() == [[PINNED, MODEL, FALLBACK, FALLBACK]]
    assert np.allclose(filled.scores_BK, [[7.0, 0.5, 0.5, 0.4]])
    assert filled.passed_BC.tolist() == [[5]]  # 5 and 6, after the three of before
    assert (np.diff(filled.scores_BK[0, 1:]) <= 0).all()


def test_popularity_alone_keeps_its_scores_and_full_lists_are_left_as_they_are():
    view, _ = view_of(row("cap", 1, 2, amount=1.0))
    filler, scores = np.arange(1, 10), np.linspace(0.9, 0.1, 9, dtype=np.float32)
    filled = fill_places(view, empty(), NOBODY, filler, scores)
    assert filled.items_BK.tolist() == [[1, 3, 4, 5]]
    assert np.allclose(filled.scores_BK, [[0.9, 0.7, 0.6, 0.5]])
    assert fill_places(view, filled, NOBODY, filler, scores) is filled


def test_filler_beyond_the_first_block_is_reached(monkeypatch):
    monkeypatch.setattr("intentrec.cluster.scoring.limits._AT_ONCE", 2)
    view, _ = view_of(row("cap", *range(1, 7), amount=1.0))
    filled = fill_places(view, empty(), NOBODY, np.arange(1, 10), np.linspace(0.9, 0.1, 9, dtype=np.float32))
    assert filled.items_BK.tolist() == [[1, 7, 8, 9]]
    assert filled.passed_BC.tolist() == [[5]]


def test_popular_items_that_bar_each_other_give_way_to_those_that_fill_the_list():
    # Four places, two items of each of three groups; 1 and 2 are in two of them.
    view, _ = view_of(row("cap", 1, 1, 2, 2, 3, 4, 5, 6, amount=1.0, values_N=np.array([0, 1, 2, 3, 0, 1, 2, 3])))
    scores = np.linspace(0.9, 0.1, 9, dtype=np.float32)[:6]
    filled = fill_places(view, empty(), NOBODY, np.arange(1, 7), scores)
    assert filled.items_BK.tolist() == [[3, 4, 5, 6]]
    assert filled.sources_BK.tolist() == [[FALLBACK] * 4]
    assert np.allclose(filled.scores_BK, [[0.7, 0.6, 0.5, 0.4]])
    assert filled.passed_BC.tolist() == [[4]]  # of the first try, which ended with 1 and 2


def test_a_model_item_that_bars_two_popular_ones_goes_and_the_others_take_their_columns_along(monkeypatch):
    monkeypatch.setattr("intentrec.cluster.scoring.limits._AGAIN_AT_ONCE", 1)  # a user at a time
    view, _ = view_of(row("cap", 1, 1, 3, 4, amount=1.0, values_N=np.array([0, 1, 0, 1])), row("pin", 9, amount=2.0))
    one, other = proposed([1, 9, 2, 0], [0.9, 7.0, 0.5, 0.0], [PRIOR, PINNED, MODEL, PRIOR]), proposed(
        [5, 9, 2, 6], [0.9, 7.0, 0.5, 0.4], [PRIOR, PINNED, MODEL, PRIOR]
    )  # fmt: skip
    names = [name for name in one.__slots__ if name.endswith("_BK")]
    both = Lists(
        **{name: np.concatenate([getattr(one, name), getattr(other, name), getattr(one, name)]) for name in names}
    )
    both.propensity_BK[:, 2] = 0.5
    both = replace(both, passed_BC=np.array([[3], [0], [3]]))
    filler, scores = np.array([3, 4, 7]), np.array([0.9, 0.8, 0.7], np.float32)
    filled = fill_places(view, both, [np.array([7]), *NOBODY, *NOBODY], filler, scores)  # one has seen item 7
    assert filled.items_BK.tolist() == [[2, 9, 3, 4], [5, 9, 2, 6], [1, 9, 2, 7]]
    assert filled.sources_BK.tolist()[0] == [MODEL, PINNED, FALLBACK, FALLBACK]
    assert filled.because_BK.tolist()[0] == [20, 90, 0, 0]
    assert np.allclose(filled.scores_BK, [[0.5, 7.0, 0.5, 0.4], [0.9, 7.0, 0.5, 0.4], [0.9, 7.0, 0.5, 0.5]])
    assert np.isfinite(filled.propensity_BK).tolist()[0] == [True, False, False, False]
    assert filled.passed_BC.tolist() == [[5], [0], [5]]
    for name in names:
        assert getattr(filled, name)[1].tobytes() == getattr(both, name)[1].tobytes()
