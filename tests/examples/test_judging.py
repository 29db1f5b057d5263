from datetime import UTC, date, datetime

from tests.frames import assert_frames_equal

from intentrec.examples import JUDGED_COLUMNS, Shape, judged_users

DAY = date(2024, 5, 1)
ENCODED_COLUMNS = (
    "user_id STRING, by_bot BOOLEAN, occurred_at TIMESTAMP, sequence BIGINT, event_id STRING, action STRING, "
    "item_index INT, weight FLOAT, features ARRAY<INT>"
)


def at(hour):
    return datetime(2024, 5, 1, hour, tzinfo=UTC)


def event(user, hour, item, weight=1.0):
    return (user, False, at(hour), 0, f"{user}{hour}", "view", item, weight, [])


SEEN_COLUMNS = "user_id STRING, item_index INT, occurred_at TIMESTAMP, days INT"


def seen_rows(spark, *rows):
    return spark.createDataFrame([(user, item, at(hour), None) for user, item, hour in rows], SEEN_COLUMNS)


def test_judged_users_have_a_past_and_choose_something_new(spark):
    events = spark.createDataFrame(
        [
            *(event("ann", hour, hour) for hour in range(1, 6)),
            event("ann", 5, 1),  # seen before: not relevant
            event("ann", 6, 9),  # after the judged days
            event("bob", 5, 7),  # no history before them
            event("cyd", 1, 1),
            event("cyd", 5, 1),  # nothing but a seen item
            event("dan", 1, 1),
            event("dan", 5, 3, 0.0),  # an action that weighs nothing
            event("dan", 5, 0),  # a search, say: nothing was chosen
        ],
        ENCODED_COLUMNS,
    )
    seen = seen_rows(spark, *(("ann", item, item) for item in (1, 2, 3, 4)), ("cyd", 1, 1), ("dan", 1, 1))
    seconds = [int(at(hour).timestamp()) for hour in (2, 3)]
    expected = spark.createDataFrame([(0, "ann", [2, 3], seconds, [], [1, 2, 3], [4, 5])], JUDGED_COLUMNS)
    judged = judged_users(events, seen, [at(4), at(6)], Shape(DAY, 2, 0), 10)
    assert_frames_equal(judged, expected)


def test_every_judged_day_is_told_by_what_lies_before_it(spark):
    events = spark.createDataFrame(
        [event("ann", 1, 1), event("ann", 4, 2), event("ann", 5, 3), event("bob", 4, 1), event("bob", 5, 2)],
        ENCODED_COLUMNS,
    )
    first, second, third = (int(at(hour).timestamp()) for hour in (1, 4, 5))
    bounds = [at(4), at(5), at(6)]
    rows = [
        (0, "ann", [1], [first], [], [1], [2]),
        (1, "ann", [1, 2], [first, second], [], [1, 2], [3]),
        (1, "bob", [1], [second], [], [1], [2]),  # nobody on the first day, which is his first
    ]
    seen = seen_rows(spark, ("ann", 1, 1), ("ann", 2, 4), ("ann", 3, 5), ("bob", 1, 4), ("bob", 2, 5))
    judged = judged_users(events, seen, bounds, Shape(DAY, 9, 0), 10)
    assert_frames_equal(judged, spark.createDataFrame(rows, JUDGED_COLUMNS))
    few = judged_users(events, seen, bounds, Shape(DAY, 9, 0), 1)
    assert few.count() == 1
    nothing_is_left_out = [(*row[:5], [], row[6]) for row in rows]
    free = judged_users(events, seen.limit(0), bounds, Shape(DAY, 9, 0), 10)
    assert_frames_equal(free, spark.createDataFrame(nothing_is_left_out, JUDGED_COLUMNS))
    assert third > second


def test_an_item_seen_long_ago_counts_again(spark):
    month = [datetime(2024, 5, day, 12, tzinfo=UTC) for day in (1, 2, 4)]
    rows = [("ann", False, when, 0, f"e{when}", "view", 1, 1.0, []) for when in month]
    events = spark.createDataFrame(rows, ENCODED_COLUMNS)
    seen = spark.createDataFrame([("ann", 1, when, 1) for when in month], SEEN_COLUMNS)
    bounds = [datetime(2024, 5, day, 12, tzinfo=UTC) for day in (2, 3, 4, 5)]
    found = [
        tuple(row)
        for row in judged_users(events, seen, bounds, Shape(DAY, 1, 0), 10).select("day", "seen", "relevant").collect()
    ]
    assert found == [(2, [], [1])]  # on day 0 it had been seen a day before, to the second
