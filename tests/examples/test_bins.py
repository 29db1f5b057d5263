from datetime import UTC, date, datetime

from tests.frames import assert_frames_equal

from intentrec.examples import Encoding, encode, extend_feature_vocabulary
from intentrec.tables import FEATURE_VOCABULARY, ITEMS, VOCABULARY

DAY = date(2024, 5, 1)
NINE, TEN = (datetime(2024, 5, 1, hour, tzinfo=UTC) for hour in (9, 10))
EVENT_COLUMNS = (
    "user_id STRING, by_bot BOOLEAN, occurred_at TIMESTAMP, sequence BIGINT, event_id STRING, item_id STRING, "
    "action STRING, value DOUBLE, context ARRAY<STRUCT<key: STRING, value: STRING>>"
)
FIELDS = ("number(value)", "number(price)")


def events_of(spark, *numbers, by_bot=False, at=NINE):
    """Return an event for each (value, price)."""
    rows = [
        ("ann", by_bot, at, place, f"e{place:03d}", "tea", "view", value, [] if price is None else [("price", price)])
        for place, (value, price) in enumerate(numbers)
    ]
    return spark.createDataFrame(rows, EVENT_COLUMNS)


def vocabulary(spark, events, known=None, until=None, fields=FIELDS):
    items = spark.createDataFrame([], ITEMS.schema)
    return extend_feature_vocabulary(events, items, fields, known, DAY, until)


def rows_of(spark, *begins_of_fields):
    """Return FEATURE_VOCABULARY rows of (field, numbers that its bins begin at)."""
    rows = [
        (DAY, field, f">= {begin}", index)
        for field, numbers in begins_of_fields
        for index, begin in enumerate(("-Infinity", *map(float, numbers)), 1)
    ]
    return spark.createDataFrame(rows, FEATURE_VOCABULARY.schema)


def encoded(spark, events, features):
    tea = spark.createDataFrame([(DAY, "tea", 1, NINE)], VOCABULARY.schema)
    none = spark.createDataFrame([], "item_id STRING, categories ARRAY<INT>")
    found = encode(events, tea, features, none, Encoding(FIELDS, 1))
    return [row["features"] for row in found.orderBy("event_id").collect()]


def test_numbers_are_cut_into_bins_of_as_many_events_and_repeated_ones_into_fewer(spark):
    events = events_of(spark, *[(20_000.0 + number, "7" if number % 2 else "8.5") for number in range(161)])
    # Of 161 numbers every sixteenth part begins ten further on; of the prices 81 are 7, and 80 are 8.5.
    expected = rows_of(
        spark, ("number(value)", [20_000 + 10 * place for place in range(1, 16)]), ("number(price)", [7, 8.5])
    )
    assert_frames_equal(vocabulary(spark, events), expected)


def test_bins_are_cut_from_what_is_learnt_by_people_and_not_from_a_few_numbers(spark):
    people = events_of(spark, *[(float(number), None if number else "3") for number in range(161)])
    bots = events_of(spark, *[(9e9, "3")] * 200, by_bot=True)
    later = events_of(spark, *[(-9e9, "3")] * 200, at=TEN)
    found = vocabulary(spark, people.unionByName(bots).unionByName(later), until=TEN)
    assert_frames_equal(found, rows_of(spark, ("number(value)", [10 * place for place in range(1, 16)])))


def test_bins_of_the_champion_stay_and_words_of_the_same_column_are_others(spark):
    words = spark.createDataFrame([(DAY, "price", "dear", 1)], FEATURE_VOCABULARY.schema)
    known = rows_of(spark, ("number(value)", [5]))
    events = events_of(spark, *[(float(number), str(number)) for number in range(161)])
    prices = rows_of(spark, ("number(price)", [10 * place for place in range(1, 16)]))
    assert_frames_equal(vocabulary(spark, events, known.unionByName(words)), known.unionByName(prices))
    both = vocabulary(spark, events.limit(1), words, fields=("price", *FIELDS))
    assert {row["field"] for row in both.collect()} == {"price"}


def test_events_are_numbered_by_their_bins(spark):
    features = rows_of(spark, ("number(value)", [5, 1200]), ("number(price)", []))
    nothing = float("nan")
    numbers = [(4.9, "3"), (5.0, "-1e300"), (1200.0, "dear"), (None, "NaN"), (nothing, "Infinity"), (1e9, None)]
    found = encoded(spark, events_of(spark, *numbers), features)
    assert found == [[1, 1], [2, 1], [3, 0], [0, 0], [0, 0], [3, 0]]


def test_a_field_that_has_no_bins_yet_is_unknown(spark):
    assert encoded(spark, events_of(spark, (4.9, "3")), rows_of(spark)) == [[0, 0]]
