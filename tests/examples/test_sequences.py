from datetime import UTC, date, datetime

from pyspark.sql import functions as F
from tests.frames import assert_frames_equal

from intentrec.examples import Shape, length_buckets, training_sequences, user_histories
from intentrec.tables import EXAMPLES, HISTORIES

DAY = date(2024, 5, 1)
ENCODED_COLUMNS = (
    "user_id STRING, by_bot BOOLEAN, occurred_at TIMESTAMP, sequence BIGINT, event_id STRING, action STRING, "
    "item_index INT, weight FLOAT, features ARRAY<INT>"
)


def at(hour):
    return datetime(2024, 5, 1, hour, tzinfo=UTC)


def seconds(*hours):
    return [int(at(hour).timestamp()) for hour in hours]


def encoded(spark, user, *items):
    rows = [
        (user, False, at(hour), 0, f"e{hour}", "view", item, 1.0, [item * 10, item * 100])
        for hour, item in enumerate(items)
    ]
    return spark.createDataFrame(rows, ENCODED_COLUMNS)


def test_buckets_double_up_to_the_longest():
    assert length_buckets(100) == (8, 16, 32, 64, 100)
    assert length_buckets(8) == (8,)
    assert length_buckets(5) == (5,)


def test_every_event_but_the_first_is_a_target_of_exactly_one_row(spark):
    events = encoded(spark, "ann", 1, 2, 3, 4, 5)
    rows = training_sequences(events, "train", None, at(5), Shape(DAY, 3, 2)).drop("row_id")
    expected = spark.createDataFrame(
        [
            # Counted from the latest: 4 and 5 are targets here, 3 is their context ...
            (DAY, "train", 3, 3, [3, 4, 5], seconds(2, 3, 4), [0.0, 1.0, 1.0], [30, 40, 50, 300, 400, 500]),
            # ... and 2 and 3 are targets here.
            (DAY, "train", 3, 3, [1, 2, 3], seconds(0, 1, 2), [0.0, 1.0, 1.0], [10, 20, 30, 100, 200, 300]),
        ],
        F_SCHEMA,
    )
    assert_frames_equal(rows, expected)


def test_of_a_user_with_too_large_a_share_only_the_latest_events_stay_targets(spark):
    events = encoded(spark, "ann", 1, 2, 3, 4, 5).unionByName(encoded(spark, "bob", 6, 7, 8))
    rows = training_sequences(events, "train", None, at(5), Shape(DAY, 2, 0), max_share=0.5)
    targets = {tuple(row["items"]): row["weights"][1] for row in rows.collect()}
    # of eight events four: ann's 5, 4, 3 and 2 are the latest; all of bob's are fewer
    assert targets == {(4, 5): 1.0, (3, 4): 1.0, (2, 3): 1.0, (1, 2): 1.0, (6, 7): 1.0, (7, 8): 1.0}
    rows = training_sequences(events, "train", None, at(5), Shape(DAY, 2, 0), max_share=0.3)
    kept = {tuple(row["items"]) for row in rows.collect()}
    assert kept == {(4, 5), (3, 4), (6, 7), (7, 8)}  # a share of 0.3 is two events: (2, 3) and (1, 2) have no target
    rows = training_sequences(events, "train", None, at(5), Shape(DAY, 3, 0), max_share=0.0)
    assert {tuple(row["items"][-2:]) for row in rows.collect()} == {(4, 5), (2, 3), (7, 8)}  # three are always left


def test_earlier_events_are_context_and_rows_without_a_target_are_left_out(spark):
    events = encoded(spark, "ann", 1, 2, 3, 4, 5).unionByName(encoded(spark, "bob", 1, 2))
    rows = training_sequences(events, "validation", at(3), at(4), Shape(DAY, 8, 0)).drop("row_id")
    padded = [0] * 4
    expected = spark.createDataFrame(
        [(DAY, "validation", 8, 4, [*padded, 1, 2, 3, 4], [*padded, *seconds(0, 1, 2, 3)], [0.0] * 7 + [1.0], [])],
        F_SCHEMA,
    )
    assert_frames_equal(rows, expected)


def test_histories_hold_the_latest_events_of_active_users_before_the_cut_off(spark):
    events = encoded(spark, "ann", 1, 2, 3, 4, 5).unionByName(encoded(spark, "bob", 1))
    seen = spark.createDataFrame([("ann", [1, 2, 3])], "user_id STRING, seen ARRAY<INT>")
    rows = user_histories(events, seen, at(4), at(1), Shape(DAY, 2, 2))
    expected = spark.createDataFrame(
        [(DAY, "ann", [3, 4], seconds(2, 3), [30, 40, 300, 400], [1, 2, 3], 4, at(3))], HISTORIES.schema
    )
    assert_frames_equal(rows, expected)


def test_row_ids_depend_on_user_and_position_alone(spark):
    events = encoded(spark, "ann", 1, 2, 3, 4, 5)
    shape = Shape(DAY, 3, 2)
    once = training_sequences(events, "train", None, at(5), shape)
    again = training_sequences(events.repartition(3), "train", None, at(5), shape)
    assert_frames_equal(once.orderBy("row_id"), again.orderBy("row_id"))
    assert once.select(F.countDistinct("row_id")).first()[0] == 2


F_SCHEMA = ", ".join(
    f"{name} {kind}"
    for name, kind in (
        ("run_date", "DATE"), ("split", "STRING"), ("length_bucket", "INT"), ("length", "INT"), ("items", "ARRAY<INT>"),
        ("times", "ARRAY<BIGINT>"), ("weights", "ARRAY<FLOAT>"), ("features", "ARRAY<INT>"),
    )
)  # fmt: skip
assert F_SCHEMA.count(",") == EXAMPLES.columns.count("NOT NULL") - 2
