from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

import pytest
from chispa import assert_df_equality

from intentrec.errors import SchemaError
from intentrec.sessions import BotRules, Limits, exploded, sessionize, sessions_to_rebuild
from intentrec.tables import EVENTS, SESSIONS

MINUTE = 60_000_000
LIMITS = Limits(30 * MINUTE, 24 * 60 * MINUTE, 3)
DAY = date(2024, 5, 1)
MIDNIGHT = datetime(2024, 5, 1, tzinfo=UTC)


def at(minutes):
    return MIDNIGHT + timedelta(minutes=minutes)


def event(id_, user, minutes, sequence=0):
    instant = at(minutes)
    return (id_, user, f"item-{id_}", "view", instant, sequence, 2.5, [("device", "phone")], instant.date(),
            "a.json", 1, "run", MIDNIGHT)  # fmt: skip


def events(spark, *rows):
    return spark.createDataFrame([*rows], EVENTS.schema)


def session(user, *parts, flags=(), chain=None, identity=None):
    """parts: (id, minutes, sequence)"""
    started_at, ended_at = at(parts[0][1]), at(parts[-1][1])
    micros = (started_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    id_ = sha256((identity or f"{micros}|{user}").encode()).hexdigest()
    listed = [
        (at(minutes), sequence, event_id, f"item-{event_id}", "view", 2.5, [("device", "phone")])
        for event_id, minutes, sequence in parts
    ]
    chain_started_at = at(parts[0][1] if chain is None else chain)
    return (
        id_,
        user,
        started_at,
        ended_at,
        len(parts),
        listed,
        list(flags),
        chain_started_at,
        started_at.date(),
        "run",
    )


def assert_same(actual, expected):
    assert_df_equality(actual, expected, ignore_row_order=True, ignore_nullable=True, ignore_metadata=True)


def test_events_become_sessions_with_ids_of_user_and_start(spark):
    rows = events(
        spark,
        event("e3", "ann", 30),  # exactly the gap after e2: the same session
        event("e2", "ann", 0, sequence=1),
        event("e1", "ann", 0, sequence=2),  # the sequence orders one instant, not the id
        event("e4", "ann", 31),  # the fourth event: cut
        event("e5", "ann", 1439),
        event("e6", "ann", 1441),  # over midnight: one session, of the day it starts
    )
    expected = spark.createDataFrame(
        [
            session("ann", ("e2", 0, 1), ("e1", 0, 2), ("e3", 30, 0), flags=["cut_at_end"]),
            session("ann", ("e4", 31, 0), flags=["cut_at_start"], chain=0),
            session("ann", ("e5", 1439, 0), ("e6", 1441, 0)),
        ],
        SESSIONS.schema,
    )
    assert_same(sessionize(rows, LIMITS, "run"), expected)


def test_a_late_event_merges_the_sessions_in_reach_and_leaves_earlier_ones(spark):
    stored = sessionize(
        events(spark, event("e1", "ann", 0), event("e2", "ann", 100), event("e3", "ann", 160), event("e4", "bob", 100)),
        LIMITS, "run",
    )  # fmt: skip
    late = events(spark, event("e5", "ann", 130), event("e3", "ann", 160))
    marked = sessions_to_rebuild(stored, late, LIMITS)
    kept = marked.where("NOT rebuilt").select("user_id", "started_at")
    wanted = spark.createDataFrame([("ann", at(0)), ("bob", at(100))], "user_id STRING, started_at TIMESTAMP")
    assert_same(kept, wanted)
    rebuilt = sessionize(late, LIMITS, "run", marked.where("rebuilt").drop("rebuilt"))
    expected = spark.createDataFrame([session("ann", ("e2", 100, 0), ("e5", 130, 0), ("e3", 160, 0))], SESSIONS.schema)
    assert_same(rebuilt, expected)


def test_a_session_cut_inside_one_instant_has_its_own_id_and_keeps_it(spark):
    rows = [event(f"e{number}", "ann", 0) for number in range(4)]
    stored = sessionize(events(spark, *rows), LIMITS, "run")
    second = stored.where("array_contains(flags, 'cut_at_start')")
    micros = (at(0) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    expected = session("ann", ("e3", 0, 0), flags=["cut_at_start"], identity=f"{micros}/2/e3|ann")
    assert_same(second, spark.createDataFrame([expected], SESSIONS.schema))
    again = sessionize(events(spark), LIMITS, "run", second)
    assert_same(again, spark.createDataFrame([expected], SESSIONS.schema))
    marks = [(row.event_id, row.held_id is not None) for row in exploded(stored).orderBy("event_id").collect()]
    assert marks == [("e0", False), ("e1", False), ("e2", False), ("e3", True)]


def test_a_session_that_begins_in_the_instant_in_which_a_purchase_ended_one_keeps_its_id(spark):
    limits = Limits(30 * MINUTE, 24 * 60 * MINUTE, 3, cut_after=("view",))
    stored = sessionize(events(spark, event("e0", "ann", 0), event("e1", "ann", 0)), limits, "run")
    micros = (at(0) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    second = session("ann", ("e1", 0, 0), identity=f"{micros}/2/e1|ann")
    expected = spark.createDataFrame([session("ann", ("e0", 0, 0)), second], SESSIONS.schema)
    assert_same(stored, expected)
    again = sessionize(events(spark), limits, "run", stored.where("events[0].event_id = 'e1'"))
    assert_same(again, spark.createDataFrame([second], SESSIONS.schema))


def test_flags_are_sorted_rules_of_bots_first(spark):
    limits = Limits(30 * MINUTE, 24 * 60 * MINUTE, 2, bots=BotRules(2, 2, None, None, None, 1))
    rows = events(spark, *(event(f"e{number}", "ann", number) for number in range(3)))
    expected = [
        session(
            "ann", ("e0", 0, 0), ("e1", 1, 0), flags=["bot_events_per_hour", "bot_events_per_session", "cut_at_end"]
        ),
        session("ann", ("e2", 2, 0), flags=["cut_at_start"], chain=0),
    ]
    assert_same(sessionize(rows, limits, "run"), spark.createDataFrame(expected, SESSIONS.schema))


def test_a_missing_column_is_named_with_its_table(spark):
    with pytest.raises(SchemaError, match="table events: column event_id must be string, is missing"):
        sessionize(spark.createDataFrame([("ann",)], "user_id STRING"), LIMITS, "run")
