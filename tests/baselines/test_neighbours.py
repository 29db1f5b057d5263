from math import log, sqrt

import numpy as np
import pytest

from intentrec.baselines import NeighbourRules, Sequences, SessionNeighbours, neighbours

# number of the session: 0, 1, 2, 3
SESSIONS = Sequences.of([np.array(items) for items in ([1, 2], [2, 3, 3, 0], [1, 4, 5, 6], [2, 6])])
PLAIN = NeighbourRules(fading=0.0, idf=False)


def scores(rules, *histories):
    found = SessionNeighbours.of(SESSIONS, 7, rules).evidence_of([np.array(h, dtype=int) for h in histories])
    rows = [{} for _ in histories]
    for row, item, value in zip(*(part.tolist() for part in found), strict=True):
        rows[row][item] = pytest.approx(value)
    return rows


def test_sessions_count_by_the_places_of_the_items_they_share():
    # of (1, 2) item 1 weighs 1/2 and 2 weighs 2/2: session 0 counts 1.5, session 1 and 3 count 1, session 2 counts 0.5
    assert scores(PLAIN, [1, 2]) == [{1: 2.0, 2: 3.5, 3: 1.0, 4: 0.5, 5: 0.5, 6: 1.5}]


def test_a_repeated_item_stands_at_its_last_place_and_unknown_ones_are_passed_over():
    # 1 stands at place 3 of 4; 0 is unknown, 7 is in no session, 9 is no item at all
    assert scores(PLAIN, [1, 0, 1, 7], [9]) == [{1: 1.5, 2: 0.75, 4: 0.75, 5: 0.75, 6: 0.75}, {}]


def test_a_neighbour_counts_less_the_longer_ago_its_last_shared_item_is():
    # (2, 7): item 2 is one step back, so its sessions count 0.5 * (1 - 0.25)
    (found,) = scores(NeighbourRules(fading=0.25, idf=False), [2, 7])
    assert found == {1: 0.375, 2: 3 * 0.375, 3: 0.375, 6: 0.375}
    (found,) = scores(NeighbourRules(fading=0.99, idf=False), [2, 7, 7])
    assert found[3] == 1 / 3 * 0.1  # never less than a tenth


def test_only_the_latest_and_the_nearest_neighbours_count():
    assert scores(NeighbourRules(recent=2, fading=0.0, idf=False), [1, 2]) == [{1: 0.5, 2: 1, 4: 0.5, 5: 0.5, 6: 1.5}]
    assert scores(NeighbourRules(nearest=1, fading=0.0, idf=False), [1, 2]) == [{1: 1.5, 2: 1.5}]
    # sessions 1 and 3 are equally near: the later one is taken
    assert scores(NeighbourRules(nearest=2, fading=0.0, idf=False), [1, 2]) == [{1: 1.5, 2: 2.5, 6: 1.0}]


def test_only_the_last_events_of_a_user_are_looked_up():
    assert scores(NeighbourRules(last=1, fading=0.0, idf=False), [2, 1]) == scores(PLAIN, [1])


def test_long_sessions_and_frequent_items_count_less():
    (found,) = scores(NeighbourRules(fading=0.0, by_length=True, idf=False), [1])
    assert found == {1: 1 / sqrt(2) + 1 / sqrt(4), 2: 1 / sqrt(2), 4: 1 / 2, 5: 1 / 2, 6: 1 / 2}
    (found,) = scores(NeighbourRules(fading=0.0), [4])
    assert found == {1: log(4 / 2), 4: log(4 / 1), 5: log(4 / 1), 6: log(4 / 2)}


def test_users_are_taken_in_chunks_without_a_difference(monkeypatch):
    histories = ([1, 2], [], [4], [2, 6, 1], [3])
    whole = scores(NeighbourRules(), *histories)
    monkeypatch.setattr(neighbours, "_ENTRIES", 5)
    assert scores(NeighbourRules(), *histories) == whole
    assert scores(NeighbourRules()) == []
