from math import isnan, log2, sqrt

import numpy as np
import pytest

from intentrec.metrics import Relevant, debiased_recall, intent_coverage, intra_list_diversity, novelty, serendipity

LISTS = np.array([[1, 2, 3], [4, 0, 0], [0, 0, 0]])
RELEVANT = Relevant.of([[2, 3], [4, -1], [1]])


def test_an_item_that_few_know_is_novel():
    # of 8 users 8 know item 1, 4 item 2, 1 item 3; nobody knows 4, which counts as one: 0, 1, 3 and 3 bits
    counts = np.array([0, 8, 4, 1, 0])
    assert novelty(LISTS, counts, num_users=8, k=3) == pytest.approx([(0 + 1 + 3) / 3, 3.0, 0.0])
    assert novelty(LISTS, counts, num_users=8, k=2) == pytest.approx([log2(2) / 2, 3.0, 0.0])


def test_a_list_is_diverse_where_its_items_share_no_feature():
    features = np.array([[9, 9], [1, 0], [1, 1], [0, 1], [0, 0]])  # row 0 is an empty place
    half = 1 / sqrt(2)  # cosine of 1 and 2, and of 2 and 3
    assert intra_list_diversity(LISTS, features, k=3) == pytest.approx([1 - (half + 0 + half) / 3, 0, 0])
    assert intra_list_diversity(np.array([[1, 1, 4]]), features, k=2) == pytest.approx([0])
    assert intra_list_diversity(np.array([[1, 4]]), features, k=2) == pytest.approx([1])  # 4 has no feature


def test_a_hit_that_everybody_expects_is_no_serendipity():
    expected = np.array([[9, 3, 2], [8, 9, 4], [1, 2, 3]])
    assert serendipity(LISTS, RELEVANT, expected, k=3) == pytest.approx([0, 0, 0])
    # within two places 2 hits and is not expected; 4 neither
    assert serendipity(LISTS, RELEVANT, expected, k=2) == pytest.approx([1 / 2, 1 / 2, 0])


def test_a_rare_item_counts_more_in_the_debiased_recall():
    counts = np.array([0, 1, 4, 16, 0])  # weights at power 1/2: 1, 1/2, 1/4; 4 and the unknown one as a single event
    hit, wanted = 1 / 2 + 1 / 4 + 1, 1 / 2 + 1 / 4 + 1 + 1 + 1
    assert debiased_recall(LISTS, RELEVANT, counts, k=3) == pytest.approx(hit / wanted)
    assert debiased_recall(LISTS, RELEVANT, counts, k=3, power=0) == pytest.approx(3 / 5)
    assert debiased_recall(LISTS, RELEVANT, counts, k=1, power=1) == pytest.approx(1 / (1 / 4 + 1 / 16 + 3))


def test_a_relevant_item_counts_once_and_nobody_gives_no_number():
    twice = Relevant.of([[2, 2], [4], [1]])
    assert debiased_recall(LISTS, twice, np.ones(5, int), k=3) == pytest.approx(2 / 3)
    assert isnan(debiased_recall(np.zeros((0, 3), int), Relevant.of([]), np.ones(5, int), k=3))


@pytest.mark.parametrize("metric", [debiased_recall, serendipity])
def test_users_that_do_not_fit_are_refused(metric):
    with pytest.raises(ValueError, match="lists of 3 users, relevant items of 1"):
        metric(LISTS, Relevant.of([[1]]), np.ones((3, 5), int), 3)


def test_intents_are_covered_by_the_share_of_what_is_wanted_that_is_served_once():
    wanted = np.array([[0.4, 0.3, 0.2, 0.1], [1.0, 0, 0, 0], [0, 0.5, 0.5, 0]])  # column 0, no category, does not count
    categories = np.array([[3, 3], [1, 0], [1, 3], [2, 0], [0, 0]])  # row 0 is an empty place
    assert intent_coverage(LISTS, wanted, categories, k=3) == pytest.approx([1, 0, 0])
    assert intent_coverage(LISTS, wanted, categories, k=2) == pytest.approx([(0.3 + 0.1) / 0.6, 0, 0])


def test_the_lists_of_many_users_are_judged_some_at_a_time(monkeypatch):
    random = np.random.default_rng(1)
    items_UK, features_VF = random.integers(0, 9, (25, 6)), random.random((9, 5))
    whole = intra_list_diversity(items_UK, features_VF, 6)
    monkeypatch.setattr("intentrec.metrics.lists._AT_ONCE", 60)  # of 30 features a user: two of them
    np.testing.assert_allclose(intra_list_diversity(items_UK, features_VF, 6), whole, rtol=1e-12)
