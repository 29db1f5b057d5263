from datetime import UTC, date, datetime

from tests.frames import assert_frames_equal

from intentrec.examples import Encoding, encode, extend_feature_vocabulary
from intentrec.tables import FEATURE_VOCABULARY, ITEMS, VOCABULARY

DAY = date(2024, 5, 1)
NINE = datetime(2024, 5, 1, 9, tzinfo=UTC)
EVENT_COLUMNS = (
    "user_id STRING, by_bot BOOLEAN, occurred_at TIMESTAMP, sequence BIGINT, event_id STRING, item_id STRING, "
    "action STRING, value DOUBLE, context ARRAY<STRUCT<key: STRING, value: STRING>>"
)
FIELDS = ("value", "price")


def events_of(spark, *numbers):
    """Return an event for each (value, price)."""
    rows = [
        ("ann", False, NINE, place, f"e{place:03d}", "tea", "view", value, [] if price is None else [("price", price)])
        for place, (value, price) in enumerate(numbers)
    ]
    return spark.createDataFrame(rows, EVENT_COLUMNS)


def vocabulary(spark, events, known=None):
    items = spark.createDataFrame([], ITEMS.schema)
    return extend_feature_vocabulary(events, items, FIELDS, known, DAY, FIELDS)


def test_numbers_are_cut_into_bins_of_as_many_events_and_repeated_ones_into_fewer(spark):
    events = events_of(spark, *[(float(number), "7" if number % 2 else "8.5") for number in range(1, 34)])
    found = {(row["field"], row["value"]): row["value_index"] for row in vocabulary(spark, events).collect()}
    # of 1 to 33 every sixteenth part begins two further on; half of the prices are 7, half 8.5
    begins = ["-Infinity", *(f"{2 * place + 1}.0" for place in range(1, 16))]
    expected = {("value", begin): place for place, begin in enumerate(begins, 1)}
    assert found == {**expected, ("price", "-Infinity"): 1, ("price", "7.0"): 2, ("price", "8.5"): 3}


def test_bins_of_the_champion_stay_and_a_field_without_numbers_has_none(spark):
    known = spark.createDataFrame([(DAY, "value", "-Infinity", 1), (DAY, "value", "5.0", 2)], FEATURE_VOCABULARY.schema)
    assert_frames_equal(vocabulary(spark, events_of(spark, (9.0, "dear"), (1.0, None)), known), known)


def test_events_are_numbered_by_their_bins(spark):
    rows = [("value", "-Infinity", 1), ("value", "5.0", 2), ("value", "1200.0", 3), ("price", "-Infinity", 1)]
    features = spark.createDataFrame([(DAY, *row) for row in rows], FEATURE_VOCABULARY.schema)
    nothing = float("nan")
    numbers = [(4.9, "3"), (5.0, "-1e300"), (1200.0, "dear"), (None, "NaN"), (nothing, "Infinity"), (1e9, None)]
    tea = spark.createDataFrame([(DAY, "tea", 1, NINE)], VOCABULARY.schema)
    none = spark.createDataFrame([], "item_id STRING, categories ARRAY<INT>")
    encoded = encode(events_of(spark, *numbers), tea, features, none, Encoding(FIELDS, 1, None, FIELDS))
    found = [row["features"] for row in encoded.orderBy("event_id").collect()]
    assert found == [[1, 1], [2, 1], [3, 0], [0, 0], [0, 0], [3, 0]]


def test_a_field_that_has_no_bins_yet_is_unknown(spark):
    features = spark.createDataFrame([], FEATURE_VOCABULARY.schema)
    tea = spark.createDataFrame([(DAY, "tea", 1, NINE)], VOCABULARY.schema)
    none = spark.createDataFrame([], "item_id STRING, categories ARRAY<INT>")
    encoded = encode(events_of(spark, (4.9, "3")), tea, features, none, Encoding(FIELDS, 1, None, FIELDS))
    assert [row["features"] for row in encoded.collect()] == [[0, 0]]
