from datetime import UTC, date, datetime

from tests.frames import assert_frames_equal

from intentrec.examples import JUDGED_COLUMNS, Shape, judged_users

DAY = date(2024, 5, 1)
ENCODED_COLUMNS = (
    "user_id STRING, occurred_at TIMESTAMP, sequence BIGINT, event_id STRING, action STRING, item_index INT, "
    "weight FLOAT, features ARRAY<INT>"
)


def at(hour):
    return datetime(2024, 5, 1, hour, tzinfo=UTC)


def event(user, hour, item, weight=1.0):
    return (user, at(hour), 0, f"{user}{hour}", "view", item, weight, [])


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
        ],
        ENCODED_COLUMNS,
    )
    seen = spark.createDataFrame([("ann", [1, 2, 3]), ("cyd", [1]), ("dan", [1])], "user_id STRING, seen ARRAY<INT>")
    seconds = [int(at(hour).timestamp()) for hour in (2, 3)]
    expected = spark.createDataFrame([("ann", [2, 3], seconds, [], [1, 2, 3], [4, 5])], JUDGED_COLUMNS)
    judged = judged_users(events, seen, at(4), at(6), Shape(DAY, 2, 0), 10)
    assert_frames_equal(judged, expected)
