from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np

from intentrec.baselines import TRANSITIONS, TransitionTable
from intentrec.cluster.catalogue import collect_numbers
from intentrec.cluster.judging import (
    JudgedUsers,
    collect_counts,
    collect_judged,
    collect_sources,
    collect_transitions,
    judged_days,
)
from intentrec.cluster.recommenders import CountingRecommender
from intentrec.config import Cutoff, EvaluationConfig, SeenConfig
from intentrec.examples import JUDGED_COLUMNS, Encoding, Night, Shape
from intentrec.metrics import Relevant
from intentrec.model.inference import Histories
from intentrec.rules import eligible_items
from intentrec.tables import FEATURE_VOCABULARY, ITEMS, SESSIONS, VOCABULARY

NIGHT = date(2024, 5, 3)
# what follows: 1 -> 2 (3 of 4), 1 -> 3 (1 of 4); 2 -> 3 (always)
FOLLOWERS = TransitionTable.of(
    np.array([2, 1, 1]), np.array([3, 3, 2]), np.array([60, 60, 180]), np.array([60, 240, 240]), num_items=5
)


def arrays(*rows):
    return [np.array(row, dtype=np.int64) for row in rows]


def test_some_users_are_chosen_by_hash_and_keep_all_that_is_theirs():
    users = JudgedUsers(np.array([0, 2, 5]),
                        Histories(arrays([1], [2, 3], [4]), arrays([5], [6, 7], [8]), arrays([9], [8, 7], [6])),
                        arrays([1], [2], []), Relevant.of([[4], [5, 6], [7]]), ids=["a", "b", "c"])  # fmt: skip
    two = users.some(2)
    assert two.ids == ["b", "c"]  # their hashes begin with 3e and 2e, that of a with ca
    assert two.users_U.tolist() == [2, 5]
    assert [own.tolist() for own in two.histories.items] == [[2, 3], [4]]
    assert [own.tolist() for own in two.histories.times] == [[6, 7], [8]]
    assert [own.tolist() for own in two.histories.features] == [[8, 7], [6]]
    assert [own.tolist() for own in two.seen] == [[2], []]
    assert (two.relevant.offsets.tolist(), two.relevant.items.tolist()) == ([0, 2, 3], [5, 6, 7])
    assert users.some(1).ids == ["c"]
    assert users.some(3) is users
    named_by_number = replace(users, ids=None).some(2)
    assert named_by_number.users_U.tolist() == [0, 2]  # of "0", "2" and "5": 5f, d4 and ef
    assert named_by_number.ids is None


def test_collected_rows_become_arrays_in_user_order_and_windows_without_events_zeros(spark):
    rows = [
        (0, "b", [2, 3], [5, 6], [8, 9], [2], [4, 5]),
        (0, "a", [1], [7], [3], [], [6]),
        (2, "b", [4], [5], [6], [], [7]),
    ]
    users, nobody, later = collect_judged(spark.createDataFrame(rows, JUDGED_COLUMNS).orderBy("day", "user_id"), 3)
    assert ([own.tolist() for own in later.histories.items], later.users_U.tolist()) == ([[4]], [1])
    assert (len(nobody), users.users_U.tolist()) == (0, [0, 1])  # b is the same user on both days
    assert [own.tolist() for own in users.histories.items] == [[1], [2, 3]]
    assert [own.tolist() for own in users.histories.times] == [[7], [5, 6]]
    assert [own.tolist() for own in users.histories.features] == [[3], [8, 9]]
    assert [own.tolist() for own in users.seen] == [[], [2]]
    assert (users.relevant.offsets.tolist(), users.relevant.items.tolist()) == ([0, 1, 3], [6, 4, 5])

    counted = "day INT, hours INT, item_index INT, num_events BIGINT"
    counts = collect_counts(spark.createDataFrame([(0, 24, 3, 5), (1, 24, 1, 2)], counted), 2, (1, 24), 3)
    assert [{hours: found.tolist() for hours, found in day.items()} for day in counts] == [
        {1: [0, 0, 0, 0], 24: [0, 0, 0, 5]},
        {1: [0, 0, 0, 0], 24: [0, 2, 0, 0]},
    ]

    pairs = [(2, 3, 60, 60), (1, 3, 60, 240), (1, 2, 180, 240)]
    table = collect_transitions(
        spark.createDataFrame(pairs, "item_index INT, successor_index INT, weight BIGINT, total BIGINT"), 5
    )
    assert table.offsets.tolist() == FOLLOWERS.offsets.tolist()
    assert table.successors.tolist() == FOLLOWERS.successors.tolist() == [2, 3, 3]
    assert table.shares.tolist() == [0.75, 0.25, 1.0]


def at(day, hour, minute=0):
    return datetime(2024, 5, day, hour, minute, tzinfo=UTC)


def session(user, *events):
    """One session of a user: (instant, item) each."""
    listed = [(when, 0, f"{user}-{when}", item, "view", None, []) for when, item in events]
    first, last = events[0][0], events[-1][0]
    return (f"{user}-{first}", user, first, last, len(events), listed, [], first, first.date(), "r")


def told(spark, sessions):
    """Return all that judging on NIGHT, its last day, is made of."""
    vocabulary = [(NIGHT, name, index, at(1, 0)) for index, name in enumerate(("cup", "jug", "pot", "tea"), 1)]
    items = [(NIGHT, name, None, [], None, True, [], "r") for _, name, _, _ in vocabulary]
    night = Night(
        run_date=NIGHT, cutoff=Cutoff("UTC", "00:00"), encoding=Encoding((), 1), shape=Shape(NIGHT, 9, 0),
        window_days=None, seen=SeenConfig(), sessions=spark.createDataFrame(sessions, SESSIONS.schema),
        items=spark.createDataFrame(items, ITEMS.schema),
        vocabulary=spark.createDataFrame(vocabulary, VOCABULARY.schema),
        features=spark.createDataFrame([], FEATURE_VOCABULARY.schema),
    )  # fmt: skip
    events, numbers = night.events().persist(), collect_numbers(night, eligible_items(night.items, night.end()))
    settings = EvaluationConfig(popularity_hours=(24, 72), max_lists=10)
    (day,) = judged_days(night, events, numbers, (1, 1), settings)
    sources = collect_sources(events, night.end(1), [TRANSITIONS, "transitions_2"], timedelta(days=1), 4)
    events.unpersist()
    users, counts = day.users, day.counts
    assert day.allowed.tolist() == [False, True, True, True, True]
    rivals = (CountingRecommender.popular(24), CountingRecommender.by_evidence(TRANSITIONS, sources[TRANSITIONS], 24))
    lists = [rival.recommend(day, 2).tolist() for rival in rivals]
    relevant = [
        users.relevant.items[start:end].tolist()
        for start, end in zip(users.relevant.offsets, users.relevant.offsets[1:], strict=False)
    ]
    before = ([own.tolist() for own in users.histories.items], [own.tolist() for own in users.seen],
              {hours: found.tolist() for hours, found in counts.items()},
              {name: (source.table.successors.tolist(), source.num_last) for name, source in sources.items()},
              lists)  # fmt: skip
    return before, relevant


def test_an_event_at_or_after_a_cut_off_changes_nothing_that_lies_before_it(spark):
    past = [
        session("ann", (at(2, 8), "cup"), (at(2, 9), "pot")),
        session("bob", (at(2, 10), "cup"), (at(2, 23, 59), "jug")),
    ]
    day = [session("ann", (at(3, 12), "tea")), session("bob", (at(3, 13), "pot"))]
    before, relevant = told(spark, past + day)
    assert before == (
        [[1, 3], [1, 2]],
        [[1, 3], [1, 2]],
        {24: [0, 2, 1, 1, 0], 72: [0, 2, 1, 1, 0]},
        {"transitions_1": ([2, 3], 1), "transitions_2": ([2, 3], 2)},
        [[[2, 4], [3, 4]], [[2, 4], [3, 4]]],
    )
    assert relevant == [[4], [3]]
    # Planted in the judged day, from its first instant on: it is relevant, and nothing else moves.
    first_instant = session("ann", *[(at(3, 0, minute), "jug") for minute in range(30)])
    # Planted from the first instant after the run date on: not even that.
    future = [session("bob", *[(at(4, 0, minute), "tea") for minute in range(30)]), session("cyd", (at(4, 1), "jug"))]
    assert told(spark, [*past, *day, first_instant, *future]) == (before, [[2, 4], [3]])
