from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentrec.sessions import AdaptiveGap, BotRules, Limits, split

CONTEXT = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))
MINUTE = 60_000_000
LIMITS = Limits(gap_us=30 * MINUTE, max_us=120 * MINUTE, max_events=4)


def table(rows):
    """rows: (user, microsecond, sequence, event_id) or with (chain_us, held_id) after them, sorted; ids with ! buy."""
    users, times, sequences, ids, chains, held = zip(*((*row, None, None)[:6] for row in rows), strict=True)
    return pa.table(
        {
            "user_id": pa.array(users, pa.string()),
            "occurred_at": pa.array(times, pa.timestamp("us", "UTC")),
            "sequence": pa.array(sequences, pa.int64()),
            "event_id": pa.array(ids, pa.string()),
            "item_id": pa.array([f"item of {id_}" for id_ in ids], pa.string()),
            "action": pa.array(["buy" if "!" in id_ else "view" for id_ in ids], pa.string()),
            "value": pa.array([1.0] * len(rows), pa.float64()),
            "context": pa.array([[]] * len(rows), CONTEXT),
            "chain_us": pa.array(chains, pa.int64()),
            "held_id": pa.array(held, pa.string()),
        }
    )


def micros(instant):
    return round((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6)


def cut(rows, limits=LIMITS, batch=1000):
    sessions = [row for part in split(table(rows).to_batches(max_chunksize=batch), limits) for row in part.to_pylist()]
    for row in sessions:
        assert row["num_events"] == len(row["events"])
        assert (row["started_at"], row["ended_at"]) == (
            row["events"][0]["occurred_at"],
            row["events"][-1]["occurred_at"],
        )
        row["chain_us"] = micros(row["chain_started_at"])
        row["cut_at_start"], row["cut_at_end"] = ("cut_at_" + side in row["flags"] for side in ("start", "end"))
        assert all(event["item_id"] == f"item of {event['event_id']}" for event in row["events"])
    return sessions


def ids(sessions):
    return ["".join(event["event_id"] for event in row["events"]) for row in sessions]


def flags(sessions):
    return [(row["cut_at_start"], row["cut_at_end"]) for row in sessions]


def at(user, *minutes_and_ids):
    return [(user, round(minute * MINUTE), 0, id_) for minute, id_ in minutes_and_ids]


@pytest.mark.parametrize("batch", [1, 2, 3, 1000])
def test_a_pause_of_exactly_the_gap_does_not_split_and_a_microsecond_more_does(batch):
    rows = [*at("ann", (0, "a"), (30, "b")), ("ann", 60 * MINUTE + 1, 0, "c"), *at("bob", (60, "d"))]
    assert ids(cut(rows, batch=batch)) == ["ab", "c", "d"]


@pytest.mark.parametrize("batch", [1, 2, 3, 1000])
def test_the_last_event_may_come_exactly_max_hours_after_the_first(batch):
    rows = at("ann", (0, "a"), (30, "b"), (60, "c"), (90, "d")) + at("bob", (0, "e"), (29, "f"), (58, "g"))
    assert ids(cut(rows, Limits(30 * MINUTE, 90 * MINUTE, 9), batch)) == ["abcd", "efg"]
    sessions = cut(rows, Limits(30 * MINUTE, 89 * MINUTE, 9), batch)
    assert ids(sessions) == ["abc", "d", "efg"]
    assert flags(sessions) == [(False, True), (True, False), (False, False)]
    assert [row["chain_us"] for row in sessions] == [0, 0, 0]


@pytest.mark.parametrize("batch", [1, 2, 3, 1000])
def test_a_session_of_max_events_is_whole_and_one_more_event_is_cut_off(batch):
    rows = at("ann", (0, "a"), (1, "b"), (2, "c"), (3, "d"), (4, "e")) + at("bob", (1, "f"))
    sessions = cut(rows, batch=batch)
    assert ids(sessions) == ["abcd", "e", "f"]
    assert flags(sessions) == [(False, True), (True, False), (False, False)]
    assert [row["chain_us"] for row in sessions] == [0, 0, MINUTE]
    assert ids(cut(rows[:4], batch=batch)) == ["abcd"]


def test_sessions_cut_inside_one_instant_name_their_first_event_but_the_first():
    rows = [("ann", 5, sequence, f"e{sequence}") for sequence in range(9)]
    sessions = cut(rows)
    assert ids(sessions) == ["e0e1e2e3", "e4e5e6e7", "e8"]
    assert [row["twin"] for row in sessions] == [None, "e4", "e8"]


def test_a_repeated_event_is_dropped_even_at_the_border_of_two_batches():
    rows = at("ann", (0, "a"), (0, "a"), (0, "b"), (1, "c"), (1, "c")) + at("bob", (1, "c"))
    for batch in (1, 2, 3, 1000):
        assert ids(cut(rows, batch=batch)) == ["abc", "c"]


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_a_marked_first_event_of_a_user_continues_its_chain_and_others_do_not(batch):
    rows = [
        ("ann", 50 * MINUTE, 0, "a", 10 * MINUTE, "held"),
        ("ann", 70 * MINUTE, 0, "b", 20 * MINUTE, "not the first"),
        ("bob", 70 * MINUTE, 0, "c"),
    ]
    sessions = cut(rows, batch=batch)
    assert [(row["chain_us"], row["held_id"]) for row in sessions] == [(10 * MINUTE, "held"), (70 * MINUTE, None)]
    assert flags(sessions) == [(True, False), (False, False)]
    assert ids(sessions) == ["ab", "c"]


@pytest.mark.parametrize("batch", [1, 2, 3, 1000])
def test_an_action_may_end_a_session_and_what_follows_in_the_same_instant_is_told_apart(batch):
    limits = Limits(30 * MINUTE, 120 * MINUTE, 4, cut_after=("buy", "rent"))
    rows = at("ann", (0, "a"), (1, "b!"), (2, "c!"), (2, "d"), (3, "e")) + at("bob", (3, "f!"))
    sessions = cut(rows, limits, batch)
    assert ids(sessions) == ["ab!", "c!", "de", "f!"]
    assert flags(sessions) == [(False, False)] * 4
    assert [row["twin"] for row in sessions] == [None, None, "d", None]
    assert [row["chain_us"] for row in sessions] == [0, 2 * MINUTE, 2 * MINUTE, 3 * MINUTE]


@pytest.mark.parametrize("batch", [1, 2, 3, 1000])
def test_the_adaptive_gap_is_factor_times_the_mean_pause_so_far_within_its_bounds(batch):
    limits = Limits(30 * MINUTE, 600 * MINUTE, 9, adaptive=AdaptiveGap(3.0, 5 * MINUTE))
    # mean pauses 1, then (1 + 5) / 2: 3 times them is 3 (but 5 at least), then 9; 9.1 is beyond
    assert ids(cut(at("ann", (0, "a"), (1, "b"), (6, "c"), (15, "d")), limits, batch)) == ["abcd"]
    assert ids(cut(at("ann", (0, "a"), (1, "b"), (6, "c"), (15.1, "d")), limits, batch)) == ["abc", "d"]
    assert ids(cut(at("ann", (0, "a"), (1, "b"), (6.1, "c"), (7, "d")), limits, batch)) == ["ab", "cd"]
    # a first pause has none to compare with, and none beyond gap_us stays, whatever the mean
    assert ids(cut(at("ann", (0, "a"), (30, "b"), (60.1, "c")), limits, batch)) == ["ab", "c"]


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_flags_of_bots_are_of_their_own_session(batch):
    rules = BotRules(None, 4, None, None, None, 100)
    limits = Limits(30 * MINUTE, 120 * MINUTE, 9, bots=rules)
    rows = at("ann", *((minute, f"a{minute}") for minute in range(4))) + at("bob", (0, "b"), (1, "c"), (2, "d"))
    assert [row["flags"] for row in cut(rows, limits, batch)] == [["bot_events_per_session"], []]


@pytest.mark.parametrize("batch", [1, 2, 7, 1000])
def test_a_clock_set_back_is_flagged_in_its_own_session_alone(batch):
    """Ann's third event was logged after the second and says that it happened before: sequence 3 stands before 2."""
    rules = BotRules(None, 3, None, None, None, 100)
    limits = Limits(30 * MINUTE, 120 * MINUTE, 9, bots=rules, clock_back=True)
    rows = [("ann", 0, 1, "a"), ("ann", MINUTE, 3, "c"), ("ann", 2 * MINUTE, 2, "b"), ("ann", 60 * MINUTE, 1, "d")]
    rows += [("bob", 0, 0, "e"), ("bob", 1, 0, "f"), ("cid", 2, 7, "g"), ("cid", 3, 6, "h")]
    flags = [["bot_events_per_session", "clock_back"], [], [], ["clock_back"]]
    assert [row["flags"] for row in cut(rows, limits, batch)] == flags
    off = Limits(30 * MINUTE, 120 * MINUTE, 9, bots=rules)
    assert [row["flags"] for row in cut(rows, off, batch)] == [["bot_events_per_session"], [], [], []]


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_a_marked_first_event_may_keep_its_id_without_a_chain(batch):
    rows = [("ann", 50, 0, "a", None, "held"), ("ann", 60, 0, "b", None, "not the first"), ("bob", 70, 0, "c")]
    sessions = cut(rows, batch=batch)
    assert [(row["chain_us"], row["held_id"]) for row in sessions] == [(50, "held"), (70, None)]
    assert flags(sessions) == [(False, False), (False, False)]


def test_no_events_are_no_sessions():
    assert [*split([], LIMITS)] == []
    assert [*split(table(at("ann", (0, "a"))).slice(0, 0).to_batches(), LIMITS)] == []


def ends(last, user, time, limits):
    """Whether the session is over before this event, for other reasons than its length."""
    if last is None or last["user"] != user or ("!" in last["ids"][-1] and "buy" in limits.cut_after):
        return True
    gap, pauses = limits.gap_us, len(last["ids"]) - 1
    if limits.adaptive and pauses:
        mean = (last["end"] - last["start"]) / pauses
        gap = min(gap, max(limits.adaptive.min_us, limits.adaptive.factor * mean))
    return time - last["end"] > gap


def by_the_definition(rows, limits):
    """The sessions as (user, start, ids, cut_at_start, cut_at_end, chain, twin), one event after the other."""
    found = []
    for user, time, _, id_ in rows:
        last = found[-1] if found else None
        if ends(last, user, time, limits):
            twin = id_ if last and (last["user"], last["start"]) == (user, time) else None
            found.append(
                {"user": user, "start": time, "end": time, "ids": [id_], "cuts": [False, False], "chain": time,
                 "twin": twin}
            )  # fmt: skip
        elif time - last["start"] > limits.max_us or len(last["ids"]) == limits.max_events:
            last["cuts"][1] = True
            twin = id_ if time == last["start"] else None
            found.append(last | {"start": time, "end": time, "ids": [id_], "cuts": [True, False], "twin": twin})
        else:
            last["end"] = time
            last["ids"].append(id_)
    return [(row["user"], row["start"], row["ids"], *row["cuts"], row["chain"], row["twin"]) for row in found]


def as_tuples(sessions):
    return [
        (row["user_id"], micros(row["started_at"]), [event["event_id"] for event in row["events"]], row["cut_at_start"],
         row["cut_at_end"], row["chain_us"], row["twin"])
        for row in sessions
    ]  # fmt: skip


LIMITS_OF_ANY_KIND = st.builds(
    Limits, st.integers(1, 6), st.integers(1, 12), st.integers(1, 5),
    cut_after=st.sampled_from([(), ("buy",)]),
    adaptive=st.none() | st.builds(AdaptiveGap, st.sampled_from([1.5, 2.0]), st.integers(1, 3)),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    times=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.integers(0, 1), st.booleans()), min_size=1, max_size=40
    ),
    limits=LIMITS_OF_ANY_KIND,
    batch=st.integers(1, 15),
)
def test_any_events_in_any_batches_give_the_sessions_of_the_definition(times, limits, batch):
    rows = sorted(
        (user, time, sequence, f"e{number:02d}{'!' if buys else ''}")
        for number, (user, time, sequence, buys) in enumerate(times)
    )
    assert as_tuples(cut(rows, limits, batch)) == by_the_definition(rows, limits)


@settings(max_examples=300, deadline=None)
@given(
    times=st.lists(st.tuples(st.integers(0, 60), st.booleans()), min_size=2, max_size=40),
    limits=LIMITS_OF_ANY_KIND,
    seed=st.integers(0, 2**32 - 1),
)
def test_sessions_rebuilt_around_new_events_equal_those_of_all_events(times, limits, seed):
    """What the job does: keep the sessions that ended before the new events' reach, cut the rest again."""
    rows = sorted(("ann", time, 0, f"e{number:02d}{'!' if buys else ''}") for number, (time, buys) in enumerate(times))
    late = np.random.default_rng(seed).random(len(rows)) < 0.3
    stored = [row for row, is_late in zip(rows, late, strict=True) if not is_late]
    new = [row for row, is_late in zip(rows, late, strict=True) if is_late]
    if not stored or not new:
        return
    before = cut(stored, limits)
    reach = new[0][1] - limits.gap_us
    kept = [row for row in before if micros(row["ended_at"]) < reach]
    again = [
        ("ann", micros(event["occurred_at"]), 0, event["event_id"])
        + ((row["chain_us"], "held") if place == 0 and row["cut_at_start"] else (None, None))
        for row in before if micros(row["ended_at"]) >= reach
        for place, event in enumerate(row["events"])
    ]  # fmt: skip
    rebuilt = cut(sorted([*((*row, None, None) for row in new), *again], key=lambda row: row[:4]), limits)
    expected = by_the_definition(rows, limits)
    found = as_tuples([*kept, *rebuilt])
    assert [row[:6] for row in found] == [row[:6] for row in expected]
