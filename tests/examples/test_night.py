from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from tests.frames import assert_frames_equal

from intentrec.config import Cutoff, SeenConfig
from intentrec.examples import JUDGED_COLUMNS, Encoding, Night, Shape
from intentrec.tables import FEATURE_VOCABULARY, ITEMS, SESSIONS, VOCABULARY

DAY = date(2024, 5, 3)
ENCODED_COLUMNS = (
    "user_id STRING, by_bot BOOLEAN, occurred_at TIMESTAMP, sequence BIGINT, event_id STRING, action STRING, "
    "value DOUBLE, item_index INT, weight FLOAT, features ARRAY<INT>"
)
SEEN_COLUMNS = "user_id STRING, seen ARRAY<INT>"


def at(day, hour, minute=0):
    return datetime(2024, 5, day, hour, minute, tzinfo=UTC)


def session(*events):
    listed = [(when, 0, f"e{when:%d%H}", item, action, None, []) for when, item, action in events]
    first, last = events[0][0], events[-1][0]
    return (f"s{first}", "ann", first, last, len(events), listed, [], first, first.date(), "r")


@pytest.fixture(scope="module")
def night(spark):
    """A night in Lisbon, whose 3 May ends at 23:00 UTC; ann's last event is the first that it does not see."""
    sessions = [
        session((at(1, 23), "cup", "buy"), (at(1, 23, 59), "pot", "view")),
        session((at(2, 9), "tea", "view")),
        session((at(3, 8), "jug", "view"), (at(3, 22), "pot", "buy"), (at(3, 23), "tea", "buy")),
    ]
    vocabulary = [(DAY, name, index, at(1, 0)) for index, name in enumerate(("cup", "jug", "pot", "tea"), 1)]
    items = [("pot", ["hot", "ware", "old"]), ("tea", ["drink"])]
    features = [("categories", "drink", 1), ("categories", "hot", 2), ("categories", "ware", 3),
                ("categories", "old", 4), ("action", "buy", 1), ("action", "view", 2)]  # fmt: skip
    return Night(
        run_date=DAY,
        cutoff=Cutoff("Europe/Lisbon", "00:00"),
        encoding=Encoding(("action", "categories"), 2, {"buy": 5.0, "view": 1.0}),
        shape=Shape(DAY, 3, 3),
        window_days=2,
        seen=SeenConfig(),
        sessions=spark.createDataFrame(sessions, SESSIONS.schema),
        items=spark.createDataFrame([(DAY, name, None, own, None, True, [], "r") for name, own in items], ITEMS.schema),
        vocabulary=spark.createDataFrame(vocabulary, VOCABULARY.schema),
        features=spark.createDataFrame([(DAY, *row) for row in features], FEATURE_VOCABULARY.schema),
    )


def test_a_night_ends_with_its_day_in_the_configs_time_zone(night):
    assert night.end() == at(3, 23)
    assert night.end(1) == at(2, 23)
    assert night.end(2) == at(1, 23)


def test_categories_are_numbered_in_catalogue_order_and_cut(spark, night):
    expected = spark.createDataFrame([("pot", [2, 3]), ("tea", [1, 0])], "item_id STRING, categories ARRAY<INT>")
    assert_frames_equal(night.categories(), expected)


def test_a_night_sees_the_events_of_its_window_and_none_at_its_end(spark, night):
    expected = spark.createDataFrame(
        [
            (
                "ann",
                False,
                at(1, 23),
                0,
                "e0123",
                "buy",
                None,
                1,
                5.0,
                [1, 0, 0],
            ),  # two days before the end
            ("ann", False, at(1, 23, 59), 0, "e0123", "view", None, 3, 1.0, [2, 2, 3]),
            ("ann", False, at(2, 9), 0, "e0209", "view", None, 4, 1.0, [2, 1, 0]),
            ("ann", False, at(3, 8), 0, "e0308", "view", None, 2, 1.0, [2, 0, 0]),
            ("ann", False, at(3, 22), 0, "e0322", "buy", None, 3, 5.0, [1, 2, 3]),
        ],
        ENCODED_COLUMNS,
    )
    assert_frames_equal(night.events(), expected)
    shorter = replace(night, window_days=1)
    assert_frames_equal(shorter.events(), expected.where("occurred_at >= '2024-05-02 23:00:00'"))
    assert replace(night, window_days=None).events().count() == 5


@pytest.mark.parametrize(
    ("seen", "items"),
    [
        (SeenConfig(), [1, 2, 3, 4]),
        (SeenConfig(actions=("buy",)), [1, 3]),
        (SeenConfig(days=1), [2, 3]),  # from 2 May 23:00 on
        (SeenConfig(actions=("view",), days=2), [2, 3, 4]),
        (None, []),
    ],
)
def test_what_counts_as_seen_comes_from_all_history_not_from_the_window(spark, night, seen, items):
    found = replace(night, seen=seen, window_days=1).seen_before(night.end())
    expected = spark.createDataFrame([("ann", items)] if items else [], SEEN_COLUMNS)
    assert_frames_equal(found, expected)


def test_judged_users_are_told_by_what_lies_before_the_judged_days(spark, night):
    times = [int(when.timestamp()) for when in (at(1, 23), at(1, 23, 59), at(2, 9))]
    expected = spark.createDataFrame(
        # pot is bought in the judged day, but was seen before: of her choice there, jug alone is new
        [(0, "ann", [1, 3, 4], times, [1, 2, 2, 0, 2, 1, 0, 3, 0], [1, 3, 4], [2])],
        JUDGED_COLUMNS,
    )
    assert_frames_equal(night.judged(night.events(), 1, 1, 5), expected)
    assert night.judged(night.events(), 1, 1, 0).isEmpty()
