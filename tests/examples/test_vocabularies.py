from datetime import UTC, date, datetime

import pytest
from tests.frames import assert_frames_equal

from intentrec.examples import extend_feature_vocabulary, extend_vocabulary, timeline
from intentrec.tables import FEATURE_VOCABULARY, ITEMS, SESSIONS, VOCABULARY

DAY = date(2024, 5, 1)
EVENT_COLUMNS = (
    "user_id STRING, by_bot BOOLEAN, occurred_at TIMESTAMP, sequence BIGINT, event_id STRING, item_id STRING, "
    "action STRING, value DOUBLE, context ARRAY<STRUCT<key: STRING, value: STRING>>"
)


def at(hour, minute=0):
    return datetime(2024, 5, 1, hour, minute, tzinfo=UTC)


def event(user, moment, item, action="view", device="phone"):
    return (user, False, moment, 0, f"{user}-{moment:%H%M}", item, action, None, [("device", device)])


def session(user, *events):
    structs = [each[2:] for each in events]
    start, end = events[0][2], events[-1][2]
    return (f"s-{user}-{start:%H%M}", user, start, end, len(events), structs, [], start, start.date(), "run")


def test_events_of_a_session_with_a_bots_flag_are_marked(spark):
    own = session("ann", event("ann", at(8), "tea"))
    rows = [(*own[:6], flags, *own[7:]) for flags in (["bot_one_item", "cut_at_end"], ["cut_at_end"], [])]
    seen = timeline(spark.createDataFrame(rows, SESSIONS.schema), until=at(9))
    assert sorted(row.by_bot for row in seen.collect()) == [False, False, True]


def test_the_timeline_ends_right_before_the_cut_off_and_begins_at_its_start(spark):
    sessions = spark.createDataFrame(
        [
            session("ann", event("ann", at(8), "tea"), event("ann", at(9), "cup"), event("ann", at(10), "pot")),
            session("bob", event("bob", at(10), "tea")),
        ],
        SESSIONS.schema,
    )
    expected = spark.createDataFrame([event("ann", at(9), "cup")], EVENT_COLUMNS)
    seen = timeline(sessions, until=at(10), since=at(9))
    assert_frames_equal(seen, expected)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([], [("cup", 1, at(9)), ("pot", 2, at(8)), ("tea", 3, at(8))]),
        (
            [("tea", 1, at(7)), ("jar", 2, at(6))],
            [("tea", 1, at(7)), ("jar", 2, at(6)), ("cup", 3, at(9)), ("pot", 4, at(8))],
        ),
    ],
)  # fmt: skip
def test_known_items_keep_their_number_and_new_ones_follow_by_id(spark, known, expected):
    events = spark.createDataFrame(
        [event("ann", at(8), "tea"), event("ann", at(9), "cup"), event("bob", at(8), "pot"), event("bob", at(9), None)],
        EVENT_COLUMNS,
    )
    before = spark.createDataFrame([(DAY, *row) for row in known], VOCABULARY.schema) if known else None
    vocabulary = extend_vocabulary(events, before, DAY)
    wanted = spark.createDataFrame([(DAY, *row) for row in expected], VOCABULARY.schema)
    assert_frames_equal(vocabulary, wanted)


def test_feature_values_are_numbered_within_their_field(spark):
    events = spark.createDataFrame(
        [event("ann", at(8), "tea", "view", "phone"), event("ann", at(9), "cup", "buy", "tablet")], EVENT_COLUMNS
    )
    items = spark.createDataFrame(
        [(DAY, "tea", None, ["drink", "hot"], None, True, [], "run"), (DAY, "cup", None, [], None, True, [], "run")],
        ITEMS.schema,
    )
    known = spark.createDataFrame([(DAY, "action", "view", 1), (DAY, "gone", "x", 1)], FEATURE_VOCABULARY.schema)
    numbered = extend_feature_vocabulary(events, items, ("action", "categories", "device"), known, DAY)
    expected = spark.createDataFrame(
        [
            (DAY, "action", "view", 1),
            (DAY, "action", "buy", 2),
            (DAY, "categories", "drink", 1),
            (DAY, "categories", "hot", 2),
            (DAY, "device", "phone", 1),
            (DAY, "device", "tablet", 2),
        ],
        FEATURE_VOCABULARY.schema,
    )
    assert_frames_equal(numbered, expected)
