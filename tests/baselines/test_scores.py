from math import log

import numpy as np
import pytest
import torch

from intentrec.baselines import (
    EvidenceBaseline,
    LastItems,
    PopularityBaseline,
    TransitionTable,
    decayed_counts,
    log_popularity,
    popularity_counts,
)
from intentrec.model.ragged import Ragged
from intentrec.model.topk import top_k

HOUR = popularity_counts(np.array([4, 2]), np.array([3, 3]), num_items=5)
DAY = popularity_counts(np.array([2, 4, 5, 1]), np.array([9, 5, 7, 7]), num_items=5)
# what follows: 1 -> 2 (3 of 4), 1 -> 3 (1 of 4); 2 -> 3 (always)
TABLE = TransitionTable.of(
    np.array([2, 1, 1]), np.array([3, 3, 2]), np.array([60, 60, 180]), np.array([60, 240, 240]), num_items=5
)


def best_first(bias_V):
    return np.argsort(-bias_V, kind="stable").tolist()


def dense(additive, num_users, num_items=5):
    scores_BV = np.zeros((num_users, num_items + 1))
    scores_BV[additive.rows, additive.columns] = additive.values
    return scores_BV


def test_counts_are_spread_over_the_catalogue_and_padding_has_none():
    assert HOUR.tolist() == [0, 0, 3, 0, 3, 0]
    assert popularity_counts(np.array([0, 1]), np.array([9, 2]), num_items=2).tolist() == [0, 2, 0]


WINDOWS = {2: np.array([0, 4, 0, 0]), 6: np.array([0, 4, 8, 0])}  # item 1 in the last two hours, item 2 before them


def test_events_fade_by_the_middle_of_the_window_they_lie_in():
    # with a half-life of an hour: 4 events of 1 hour ago, 8 of (2 + 6) / 2 = 4 hours ago
    assert decayed_counts(WINDOWS, 1.0) == pytest.approx([0, 4 / 2, 8 / 16, 0])
    assert decayed_counts(WINDOWS, 2.0) == pytest.approx([0, 4 / 2**0.5, 8 / 4, 0])


def test_popularity_is_the_logarithm_of_tenths_of_faded_events():
    scores = log_popularity(WINDOWS, 1.0)
    assert scores.dtype == np.float32
    assert scores == pytest.approx([0, log(21), log(6), 0])
    assert log_popularity({1: np.zeros(3, dtype=np.int64)}, 1.0).tolist() == [0, 0, 0]


def test_faded_counts_are_ranked_with_ties_to_the_smaller_index():
    baseline = PopularityBaseline.decayed(WINDOWS, 1.0)
    assert baseline.name == "decayed_popularity_1h"
    assert best_first(baseline.bias_V) == [1, 2, 3, 0]
    # with five hours, 8 * 2^-0.8 = 4.6 stand against 4 * 2^-0.2 = 3.5
    assert best_first(PopularityBaseline.decayed(WINDOWS, 5.0).bias_V) == [2, 1, 3, 0]


def test_a_window_is_ranked_by_its_counts_then_the_longer_windows_then_the_smaller_index():
    baseline = PopularityBaseline.of({1: HOUR, 24: DAY}, hours=1)
    assert baseline.name == "popularity_1h"
    # 2 and 4 have 3 each, the day has 9 and 5; then 1 and 5 with 7 in the day; 3 without any; padding last
    assert best_first(baseline.bias_V) == [2, 4, 1, 5, 3, 0]


def test_shorter_windows_do_not_break_ties():
    recent = popularity_counts(np.array([5]), np.array([1]), num_items=5)
    assert best_first(PopularityBaseline.of({1: recent, 24: DAY}, hours=24).bias_V) == [2, 1, 5, 4, 3, 0]


def test_ranks_are_exact_and_below_one():
    bias_V = PopularityBaseline.of({1: np.zeros(1_000_001, dtype=np.int64)}, hours=1).bias_V
    assert bias_V.dtype == np.float32
    assert len(np.unique(bias_V)) == 1_000_001
    assert bias_V[0] == 0
    assert bias_V.max() < 1


def test_the_latest_item_counts_fully_and_the_one_before_it_less():
    evidence = TABLE.evidence(np.array([[1, 2], [0, 1], [0, 4]]), decay=0.5)
    expected = [
        [0, 0, 0.5 * 3 / 4, 1 + 0.5 * 1 / 4, 0, 0],  # 2 is the latest, 1 a step back
        [0, 0, 3 / 4, 1 / 4, 0, 0],
        [0, 0, 0, 0, 0, 0],  # nothing follows 4
    ]
    assert dense(evidence, 3) == pytest.approx(np.array(expected))
    assert evidence.values.dtype == np.float32


def test_each_user_and_item_stands_once_in_ascending_order():
    evidence = TABLE.evidence(np.array([[2, 1], [1, 1]]))
    assert list(zip(evidence.rows.tolist(), evidence.columns.tolist(), strict=True)) == [(0, 2), (0, 3), (1, 2), (1, 3)]


def test_the_order_of_the_collected_rows_changes_nothing():
    again = TransitionTable.of(
        np.array([1, 2, 1]), np.array([2, 3, 3]), np.array([180, 60, 60]), np.array([240, 60, 240]), num_items=5
    )
    assert [part.tolist() for part in (again.offsets, again.successors, again.shares)] == [
        part.tolist() for part in (TABLE.offsets, TABLE.successors, TABLE.shares)
    ]


def test_no_history_no_table_and_the_last_item_of_the_catalogue_have_no_evidence():
    empty = TransitionTable.of(*(np.zeros(0, dtype=np.int64) for _ in range(4)), num_items=5)
    assert len(empty.evidence(np.array([[1, 2]])).rows) == 0
    assert len(TABLE.evidence(np.array([[5]])).rows) == 0
    assert len(TABLE.evidence(np.zeros((3, 0), dtype=int)).rows) == 0


def test_evidence_comes_first_and_popularity_breaks_ties_and_fills():
    popular = PopularityBaseline.of({1: HOUR, 24: DAY}, hours=1)
    table = TransitionTable.of(
        np.array([1, 1, 1]), np.array([3, 5, 2]), np.array([60, 60, 120]), np.array([240, 240, 240]), num_items=5
    )
    baseline = EvidenceBaseline("after", LastItems(table), popular.bias_V)
    additive = baseline.additive([np.array([2, 1]), np.array([0])])
    assert dense(additive, 2).tolist() == [[0, 0, 2, 1, 0, 1], [0] * 6]  # ranks: a quarter twice, then a half
    # 2 by half of the successions; 5 before 3 by popularity; then 4, 1 by popularity alone
    assert best_first((baseline.bias_V + dense(additive, 2))[0].astype(np.float32)) == [2, 5, 3, 4, 1, 0]


def test_every_user_has_ranks_of_his_own():
    baseline = EvidenceBaseline("after", LastItems(TABLE), PopularityBaseline.of({1: HOUR}, hours=1).bias_V)
    additive = baseline.additive([np.array([1]), np.array([2]), np.array([1])])
    assert dense(additive, 3).tolist() == [[0, 0, 2, 1, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 2, 1, 0, 0]]
    assert additive.values.dtype == np.float32
    assert len(baseline.additive([]).values) == 0


def test_only_the_last_known_items_are_looked_up():
    source = LastItems(TABLE, num_last=2, decay=0.5)
    found = source.evidence_of([np.array([2, 1, 4]), np.array([1, 0, 7]), np.array([], dtype=int)])
    # 4 has no followers, 1 is a step back; unknown events and items that the table has not are passed over
    assert dense(found, 3).tolist() == [[0, 0, 0.375, 0.125, 0, 0], [0, 0, 0.75, 0.25, 0, 0], [0] * 6]


def test_the_reason_is_the_last_item_that_says_most():
    table = TransitionTable.of(
        np.array([1, 1, 2]), np.array([3, 4, 3]), np.array([30, 30, 60]), np.array([60, 60, 60]), num_items=5
    )
    source = LastItems(table, num_last=2, decay=0.6)
    # 1 is the last: it says 1/2 of item 3, 2 says 0.6 a step back
    assert source.reasons(np.array([2, 0, 1, 9]), np.array([3, 4, 5, 0])).tolist() == [2, 1, 0, 0]
    assert source.reasons(np.array([2, 1, 1]), np.array([3])).tolist() == [1]  # 2 is three steps back
    assert source.reasons(np.array([], int), np.array([3])).tolist() == [0]


def test_the_least_evidence_beats_the_greatest_popularity():
    table = TransitionTable.of(np.array([1]), np.array([3]), np.array([1]), np.array([10**6]), num_items=5)
    popular = PopularityBaseline.of({1: HOUR}, hours=1)
    additive = EvidenceBaseline("after", LastItems(table), popular.bias_V).additive([np.array([1])])
    assert additive.values.tolist() == [1]
    assert popular.bias_V.max() < 1


def test_the_exact_engine_ranks_by_a_baseline():
    popular = PopularityBaseline.of({1: HOUR, 24: DAY}, hours=1)
    baseline = EvidenceBaseline("after", LastItems(TABLE), popular.bias_V)
    additive = baseline.additive([np.array([4]), np.array([1]), np.array([0])])
    assert additive.starts(3).tolist() == [0, 0, 2, 2]
    parts = (additive.starts(3), additive.columns, additive.values)
    scores = Ragged(*(torch.from_numpy(part) for part in parts))
    nothing = torch.zeros(3, 0), torch.zeros(6, 0)
    found = top_k(*nothing, 4, bias_V=torch.from_numpy(baseline.bias_V), additive=scores)
    assert found.items_BK.tolist() == [[2, 4, 1, 5], [2, 3, 4, 1], [2, 4, 1, 5]]
