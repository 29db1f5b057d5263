"""Who belongs to which segment of the judged users."""

import numpy as np

from intentrec.cluster.judging import JudgedDay, JudgedUsers
from intentrec.cluster.memberships import segments_of
from intentrec.metrics import Relevant
from intentrec.model.inference import Histories


def day(users: list[int], lengths: list[int], ids: list[str] | None) -> JudgedDay:
    histories = Histories(*([np.zeros(length, np.int64) for length in lengths] for _ in range(3)))
    judged = JudgedUsers(
        np.array(users, np.int64), histories, [np.zeros(0, np.int64)] * len(users), Relevant.of([[1]] * len(users)),
        ids=ids,
    )  # fmt: skip
    return JudgedDay(judged, {}, np.ones(2, dtype=bool))


def members(found):
    return {name: np.flatnonzero(own).tolist() for name, own in found.items()}


def test_users_are_sorted_by_history_and_by_their_segment():
    # users 0 to 4 with 2, 3, 9, 10 and 30 events on the first day that judges them; user 1 comes back with more
    days = [
        day([0, 1, 3], [2, 3, 10], ["ann", "bob", "dan"]),
        day([1, 2, 4], [12, 9, 30], ["bob", "cyd", "eve"]),
    ]
    segments = {"ann": "old", "dan": "old", "eve": "gold", "nobody": "gone"}
    assert members(segments_of(days, segments)) == {
        "cold": [0],
        "history: 3-9": [1, 2],
        "history: 10-29": [3],
        "history: 30+": [4],
        "segment: gold": [4],
        "segment: old": [0, 3],
    }


def test_users_without_an_id_have_their_history_alone():
    assert members(segments_of([day([0], [1], None)], {"": "old"})) == {"cold": [0]}


def test_without_a_user_there_is_no_segment():
    assert segments_of([day([], [], [])], {"ann": "old"}) == {}
