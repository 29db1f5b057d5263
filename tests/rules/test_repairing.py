"""Limits under which the best candidates bar each other: lists of ten, and of four by hand."""

import time

import numpy as np
import pytest

from intentrec.rules import Chosen, Found, Reader, RuleRow, Rules, repair, select, take
from intentrec.rules.repairing import counted, fuller

K, NUM_ITEMS = 10, 300


def row(kind, items, rule=None, **more):
    return RuleRow(rule=rule or kind, kind=kind, items_N=np.asarray(items, dtype=np.int64), **more)


def compiled(*rows, num_items=NUM_ITEMS, k=K):
    return Rules(rows, np.arange(num_items + 1) > 0, k)


def brands_and_share(rng, num_items):
    """One an item of ten brands, and half of the places for items that share five of these brands."""
    items, brands = np.arange(1, num_items + 1), rng.integers(0, 10, num_items)
    own = items[(brands < 5) & (rng.random(num_items) < 0.4)]
    return row("cap", items, amount=1.0, values_N=brands), row("min_share", own, amount=0.5)


def categories(most):
    def rows(rng, num_items):
        """Five categories, every second item in two of them."""
        first = rng.integers(0, 5, num_items)
        second = np.where(rng.random(num_items) < 0.5, first, (first + rng.integers(1, 5, num_items)) % 5)
        pairs = np.stack([np.tile(np.arange(1, num_items + 1), 2), np.concatenate([first, second])])
        items, values = np.unique(pairs, axis=1)
        return (row("cap", items, amount=float(most), values_N=values),)

    return rows


def lists_of(rules, num_users, seen=(), seed=2):
    """Return what ``select`` makes of random scores, what ``take`` alone does, the view, and candidates in order."""
    view, num_items = rules.view(Reader.user(())), rules.num_rows - 1
    scores_UV = np.random.default_rng(seed).normal(size=(num_users, num_items + 1)) + view.bias(num_items + 1)
    scores_UV[:, [0, *seen]] = -np.inf
    order_UV = np.argsort(-scores_UV, axis=1, kind="stable")
    order_UV = np.where(np.isfinite(np.take_along_axis(scores_UV, order_UV, axis=1)), order_UV, 0)

    def fetch(rows, depth):
        items_RN = np.pad(order_UV[rows, :depth], ((0, 0), (0, max(0, depth - num_items - 1))))
        return Found(items_RN, np.take_along_axis(scores_UV[rows], items_RN, axis=1), items_RN[:, -1] > 0)

    excluded = [np.array(seen, dtype=np.int64)] * num_users
    greedy = Chosen.empty(num_users, view.k, len(rules.listed))
    for slot, item in zip(view.pin_slots_P, view.pin_items_P, strict=True):
        greedy.items_BK[:, slot], greedy.pinned_BK[:, slot] = item, True
    take(view, greedy, order_UV, np.take_along_axis(scores_UV, order_UV, axis=1))
    return select(view, excluded, fetch, len(rules.listed)), greedy, view, (order_UV, scores_UV)


def assert_sound(chosen, view, order_UV, scores_UV):
    """Limits are kept, nothing stands twice, and what is not pinned falls."""
    counts_BG = counted(chosen.items_BK, view.groups_VM, len(view.limits_G))
    assert (counts_BG <= view.limits_G).all()
    for items, scores, pinned, own in zip(chosen.items_BK, chosen.scores_BK, chosen.pinned_BK, scores_UV, strict=True):
        there = items[items > 0]
        assert len(set(there.tolist())) == len(there)
        assert scores[(items > 0) & ~pinned].tolist() == own[items[(items > 0) & ~pinned]].tolist()
        assert (np.diff(scores[(items > 0) & ~pinned]) <= 0).all()
        assert np.isin(items[(items > 0) & ~pinned], order_UV).all()


CLASHING = {
    "one of ten brands and a share of five of them": (brands_and_share, 900),
    "two of five categories": (categories(2), 900),
    "three of five categories": (categories(3), 10),
}


@pytest.mark.parametrize("what", CLASHING)
def test_lists_get_full_where_the_best_candidates_bar_each_other(what):
    rows, least = CLASHING[what]
    rules = compiled(*rows(np.random.default_rng(1), NUM_ITEMS))
    chosen, greedy, view, (order_UV, scores_UV) = lists_of(rules, 1000)
    short_B = (greedy.items_BK == 0).any(axis=1)
    assert short_B.sum() >= least
    assert (chosen.items_BK > 0).all()
    assert_sound(chosen, view, order_UV, scores_UV)
    assert chosen.passed_BC.tolist() == greedy.passed_BC.tolist()
    for name in ("items_BK", "scores_BK", "pinned_BK"):
        assert getattr(chosen, name)[~short_B].tobytes() == getattr(greedy, name)[~short_B].tobytes()


def test_pins_keep_their_places_and_count_for_the_limits():
    rows = categories(2)(np.random.default_rng(1), NUM_ITEMS)
    pins = row("pin", [3], rule="a", amount=1.0), row("pin", [7], rule="b", amount=6.0)
    single = np.bincount(rows[0].items_N, minlength=9)[[3, 7]]
    assert single.tolist() == [1, 1]  # the other eight places can be had
    chosen, greedy, view, (order_UV, scores_UV) = lists_of(compiled(*rows, *pins), 300)
    assert (greedy.items_BK == 0).any(axis=1).sum() > 250
    assert (chosen.items_BK > 0).all()
    assert (chosen.items_BK[:, [0, 5]] == [3, 7]).all()
    assert chosen.pinned_BK.sum() == 600
    assert_sound(chosen, view, order_UV, scores_UV)


def test_where_no_list_can_be_full_the_fullest_is_left():
    rules = compiled(*brands_and_share(np.random.default_rng(1), NUM_ITEMS))
    brands = rules.rows[0]
    seen = brands.items_N[brands.values_N == 9]  # nine brands are left for ten places
    chosen, greedy, view, (order_UV, scores_UV) = lists_of(rules, 200, seen.tolist())
    assert (greedy.items_BK > 0).sum() < 200 * 9
    assert (chosen.items_BK > 0).sum(axis=1).tolist() == [9] * 200
    assert_sound(chosen, view, order_UV, scores_UV)
    as_full_B = (greedy.items_BK > 0).sum(axis=1) == 9
    assert as_full_B.any()
    assert chosen.items_BK[as_full_B].tobytes() == greedy.items_BK[as_full_B].tobytes()


def test_a_list_gets_full_by_as_few_of_these_items_as_it_takes():
    # Item 1 bars 3 and 4, item 2 bars 5: with 3 first, 2 and 4 fit. All three of one group would do as well.
    groups = row("cap", [1, 1, 2, 2, 3, 4, 5], amount=1.0, values_N=np.array([0, 1, 2, 3, 0, 1, 2]))
    view = compiled(groups, num_items=9, k=3).view(Reader.user(()))
    chosen_RN = fuller(view, np.zeros((1, 3), np.int64), np.array([[1, 2, 3, 4, 5]]), np.array([2]))
    assert chosen_RN.tolist() == [[False, True, True, True, False]]


def test_items_of_few_groups_fill_a_list_in_the_order_of_the_candidates():
    # Items 1 and 2 are in two capped groups each; 3 to 7 in one: of four places two groups hold one item each.
    both = row("cap", [1, 1, 2, 2, 3, 4], amount=1.0, values_N=np.array([0, 1, 0, 1, 0, 1]))
    rules = compiled(both, row("exclude", [7, 8, 9]), num_items=9, k=4)
    view, lists = rules.view(Reader.user(())), Chosen.empty(1, 4, 1)
    items_RN, scores_RN = np.array([[1, 2, 3, 4, 5, 6]]), -np.arange(6.0)[None]
    assert take(view, lists, items_RN, scores_RN).all()
    assert lists.items_BK.tolist() == [[1, 5, 6, 0]]
    repair(view, lists, np.array([0]), items_RN, scores_RN)
    assert lists.items_BK.tolist() == [[3, 4, 5, 6]]  # in the candidates' order
    assert lists.scores_BK.tolist() == [[-2.0, -3.0, -4.0, -5.0]]
    assert lists.passed_BC.tolist() == [[3]]


@pytest.mark.parametrize("width", [0, 3])
def test_without_limits_or_candidates_nothing_is_fuller(width):
    for rules in (compiled(k=4, num_items=9), compiled(row("cap", [1, 2], amount=1.0), k=4, num_items=9)):
        view, lists = rules.view(Reader.user(())), Chosen.empty(2, 4, 1)
        repair(view, lists, np.arange(2), np.zeros((2, width), np.int64), np.zeros((2, width)))
        assert not lists.items_BK.any()


def test_lists_of_three_are_as_long_as_a_search_through_all_of_them_finds():
    """300 worlds of three capped groups: all lists of three out of seven candidates are looked at."""
    rng, missed = np.random.default_rng(4), 0
    for _ in range(300):
        member_IG = rng.random((8, 3)) < 0.4
        limits = rng.integers(1, 3, 3)
        caps = [
            row("cap", np.flatnonzero(member_IG[1:, g]) + 1, rule=f"c{g}", amount=float(limits[g])) for g in range(3)
        ]
        rules = compiled(*caps, num_items=7, k=3)
        view = rules.view(Reader.user(()))
        items_RN, lists = rng.permutation(7)[None] + 1, Chosen.empty(1, 3, 3)
        take(view, lists, items_RN, np.zeros((1, 7)))
        repair(view, lists, np.array([0]), items_RN, np.zeros((1, 7)))
        sets = [[item for item in range(1, 8) if bits >> item & 1] for bits in range(0, 256, 2)]
        most = max(len(own) for own in sets if len(own) <= 3 and (member_IG[own].sum(axis=0) <= limits).all())
        assert (member_IG[lists.items_BK[lists.items_BK > 0]].sum(axis=0) <= limits).all()
        missed += most - int((lists.items_BK > 0).sum())
    assert missed == 0


def test_a_thousand_short_lists_of_two_thousand_candidates_take_seconds():
    rules = compiled(*categories(2)(np.random.default_rng(1), 2000), num_items=2000)
    view, rng = rules.view(Reader.user(())), np.random.default_rng(5)
    items_RN = rng.permuted(np.tile(np.arange(1, 2001), (1024, 1)), axis=1)
    begun = time.process_time()
    chosen_RN = fuller(view, np.zeros((1024, K), np.int64), items_RN, np.full(1024, 5))
    assert time.process_time() - begun < 4  # 0.6 s on a free core
    assert (chosen_RN.sum(axis=1) == K).all()
