from math import isnan, log2

import numpy as np
import pytest

from intentrec.metrics import METRIC_NAMES, Relevant, coverage, ranking_metrics, summarize

LISTS = np.array(
    [
        [5, 7, 9, 2],  # relevant 7 and 2: hits at ranks 2 and 4
        [1, 2, 3, 4],  # relevant 8: no hit
        [6, 0, 0, 0],  # relevant 6, and two items no list can hold: hit at rank 1
    ]
)
RELEVANT = Relevant.of([[7, 2], [8], [6, -1, -2]])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("hit_rate", [1, 0, 1]),
        ("recall", [2 / 2, 0, 1 / 3]),
        ("precision", [2 / 4, 0, 1 / 4]),
        ("mrr", [1 / 2, 0, 1]),
        ("ndcg", [(1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3)), 0, 1 / (1 + 1 / log2(3) + 1 / 2)]),
        ("map", [(1 / 2 + 2 / 4) / 2, 0, 1 / 3]),
    ],
)
def test_each_metric_is_the_arithmetic_of_its_definition(metric, expected):
    assert ranking_metrics(LISTS, RELEVANT, k=4)[metric] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("hit_rate", [1, 0, 1]),
        ("recall", [1 / 2, 0, 1 / 3]),
        ("precision", [1 / 2, 0, 1 / 2]),
        ("mrr", [1 / 2, 0, 1]),
        ("ndcg", [(1 / log2(3)) / (1 + 1 / log2(3)), 0, 1 / (1 + 1 / log2(3))]),  # ideal is min(2, relevant) hits
        ("map", [(1 / 2) / 2, 0, 1 / 2]),
    ],
)
def test_places_after_k_do_not_count(metric, expected):
    assert ranking_metrics(LISTS, RELEVANT, k=2)[metric] == pytest.approx(expected)


def test_a_list_shorter_than_k_has_misses_after_its_end():
    figures = ranking_metrics(np.array([[3, 4]]), Relevant.of([[4, 5]]), k=10)
    assert figures["precision"] == pytest.approx([1 / 10])
    assert figures["ndcg"] == pytest.approx([(1 / log2(3)) / (1 + 1 / log2(3))])


def test_an_item_repeated_in_a_list_hits_only_once():
    figures = ranking_metrics(np.array([[3, 3, 3]]), Relevant.of([[3, 4]]), k=3)
    assert figures["recall"] == pytest.approx([1 / 2])
    assert figures["map"] == pytest.approx([1 / 2])


def test_a_relevant_item_that_is_named_twice_counts_once():
    assert ranking_metrics(np.array([[3, 9]]), Relevant.of([[3, 3]]), k=2)["recall"] == pytest.approx([1])


def test_the_same_item_of_another_user_is_no_hit():
    assert ranking_metrics(np.array([[3], [4]]), Relevant.of([[4], [3]]), k=1)["hit_rate"].tolist() == [0, 0]


def test_a_perfect_list_has_one_everywhere_but_in_precision():
    figures = ranking_metrics(np.array([[1, 2, 3]]), Relevant.of([[3, 1, 2]]), k=3)
    assert {name: values.tolist() for name, values in figures.items()} == {name: [1.0] for name in METRIC_NAMES}


def test_no_users_give_empty_figures_and_a_mean_that_is_not_a_number():
    figures = ranking_metrics(np.zeros((0, 4), dtype=int), Relevant.of([]), k=4)
    assert {name: len(values) for name, values in figures.items()} == dict.fromkeys(METRIC_NAMES, 0)
    summary = summarize(figures, k=4, seed=1)
    assert [figure.num_users for figure in summary] == [0] * 6
    assert all(isnan(figure.value) for figure in summary)


def test_no_places_are_all_misses():
    figures = ranking_metrics(np.zeros((1, 0), dtype=int), Relevant.of([[1]]), k=4)
    assert {name: values.tolist() for name, values in figures.items()} == {name: [0.0] for name in METRIC_NAMES}


@pytest.mark.parametrize(
    ("relevant", "message"),
    [
        (Relevant.of([[1]]), "lists of 3 users, relevant items of 1"),
        (Relevant.of([[1], [], [2]]), "user 1 has no relevant item: leave such users out"),
        (Relevant.of([[1], [0], [2]]), "item 0 is padding and cannot be relevant"),
    ],
)
def test_relevant_items_that_do_not_fit_are_refused(relevant, message):
    with pytest.raises(ValueError, match=message):
        ranking_metrics(LISTS, relevant, k=4)


def test_large_lists_agree_with_a_loop_over_users():
    random = np.random.default_rng(5)
    lists = np.stack([random.permutation(200)[:20] + 1 for _ in range(300)])
    truth = [set(random.integers(1, 201, random.integers(1, 40)).tolist()) for _ in range(300)]
    figures = ranking_metrics(lists, Relevant.of(truth), k=10)
    for user, (items, wanted) in enumerate(zip(lists.tolist(), truth, strict=True)):
        places = [rank for rank, item in enumerate(items[:10], start=1) if item in wanted]
        ideal = sum(1 / log2(rank + 1) for rank in range(1, min(10, len(wanted)) + 1))
        assert figures["recall"][user] == len(places) / len(wanted)
        assert figures["ndcg"][user] == pytest.approx(sum(1 / log2(rank + 1) for rank in places) / ideal)
        assert figures["map"][user] == pytest.approx(
            sum(hit / rank for hit, rank in enumerate(places, start=1)) / min(10, len(wanted))
        )


def test_coverage_is_the_share_of_eligible_items_that_anyone_is_shown():
    # eligible 1..8 without 9; of them 1, 2, 3, 5, 6, 7 are shown within 3 places, 4 only at the fourth
    assert coverage(LISTS, np.arange(1, 9), k=3) == 6 / 8
    assert coverage(LISTS, np.arange(1, 9), k=4) == 7 / 8


def test_coverage_of_nothing_is_not_a_number_and_by_nobody_zero():
    assert isnan(coverage(LISTS, np.array([], dtype=int), k=3))
    assert coverage(np.zeros((0, 3), dtype=int), np.array([1, 2]), k=3) == 0


def test_a_summary_names_metric_k_and_users():
    figures = summarize(ranking_metrics(LISTS, RELEVANT, k=4), k=4, seed=1)
    assert [(figure.metric, figure.k, figure.num_users) for figure in figures] == [
        (name, 4, 3) for name in METRIC_NAMES
    ]
    assert figures[0].value == pytest.approx(2 / 3)
    assert figures[0].low <= figures[0].value <= figures[0].high


def test_a_summary_of_no_metrics_is_empty():
    assert summarize({}, k=4, seed=1) == ()
