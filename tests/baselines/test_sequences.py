import numpy as np
import pytest

from intentrec.baselines import PairRules, Sequences, pair_table

# item:     1 twice, 2 twice, 3 once, 4 once; 0 is unknown
SEQUENCES = Sequences.of([np.array([1, 2, 3]), np.array([], dtype=int), np.array([2, 1, 0, 4])])


def shares_of(table):
    return {
        (item, int(table.successors[place])): pytest.approx(float(table.shares[place]))
        for item in range(len(table.offsets) - 1)
        for place in range(table.offsets[item], table.offsets[item + 1])
    }


def test_sequences_know_their_owners_and_can_be_cut():
    assert len(SEQUENCES) == 3
    assert SEQUENCES.owners().tolist() == [0, 0, 0, 2, 2, 2, 2]
    first = SEQUENCES.first(1)
    assert (first.offsets.tolist(), first.items.tolist()) == ([0, 3], [1, 2, 3])
    assert len(Sequences.of([])) == 0


def test_direct_successors_are_counted_within_a_sequence():
    # 3 -> 2 would cross a border, 0 is nobody's successor
    assert shares_of(pair_table(SEQUENCES, 4, PairRules())) == {(1, 2): 1.0, (2, 1): 1 / 2, (2, 3): 1 / 2}


def test_a_wider_reach_counts_less_the_further_away():
    table = pair_table(SEQUENCES, 4, PairRules(reach=9))
    # of 1: 2 next (1), 3 two later (1/2), 4 two later in the other sequence (1/2)
    assert shares_of(table) == {
        (1, 2): 1 / 2, (1, 3): 1 / 4, (1, 4): 1 / 4,
        (2, 1): 1 / (2 + 1 / 3), (2, 3): 1 / (2 + 1 / 3), (2, 4): (1 / 3) / (2 + 1 / 3),
    }  # fmt: skip
    even = pair_table(SEQUENCES, 4, PairRules(reach=9, fading=False))
    assert shares_of(even)[2, 4] == 1 / 3


def test_pairs_go_both_ways_where_asked_for():
    table = pair_table(SEQUENCES, 4, PairRules(both_ways=True))
    assert shares_of(table) == {(1, 2): 1.0, (2, 1): 2 / 3, (2, 3): 1 / 3, (3, 2): 1.0}


def test_a_share_can_be_of_the_occurrences_or_a_cosine():
    # 1 and 2 stand together twice, each occurs twice; 2 and 3 once, 3 occurs once
    table = pair_table(SEQUENCES, 4, PairRules(shares="occurrences"))
    assert shares_of(table) == {(1, 2): 1 / 2, (2, 1): 1 / 2, (2, 3): 1 / 2}
    table = pair_table(SEQUENCES, 4, PairRules(both_ways=True, shares="cosine"))
    half = 1 / np.sqrt(2)
    assert shares_of(table) == {(1, 2): 2 / 2, (2, 1): 2 / 2, (2, 3): half, (3, 2): half}


def test_an_item_goes_with_itself_only_where_asked_for():
    repeated = Sequences.of([np.array([1, 1, 2])])
    assert shares_of(pair_table(repeated, 2, PairRules())) == {(1, 2): 1.0}
    assert shares_of(pair_table(repeated, 2, PairRules(itself=True))) == {(1, 1): 1 / 2, (1, 2): 1 / 2}


def test_nothing_gives_an_empty_table_and_a_reach_below_one_is_refused():
    assert shares_of(pair_table(Sequences.of([]), 3, PairRules())) == {}
    with pytest.raises(ValueError, match="reach: wanted at least 1, is 0"):
        pair_table(SEQUENCES, 4, PairRules(reach=0))
