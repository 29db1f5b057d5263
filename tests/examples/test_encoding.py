from datetime import UTC, date, datetime

import pytest
from tests.frames import assert_frames_equal

from intentrec.examples import Encoding, encode, item_categories
from intentrec.tables import FEATURE_VOCABULARY, ITEMS, VOCABULARY

DAY = date(2024, 5, 1)
NINE = datetime(2024, 5, 1, 9, tzinfo=UTC)
ENCODED_COLUMNS = (
    "user_id STRING, by_bot BOOLEAN, occurred_at TIMESTAMP, sequence BIGINT, event_id STRING, action STRING, "
    "value DOUBLE, item_index INT, weight FLOAT, features ARRAY<INT>"
)


def test_categories_take_as_many_columns_as_items_may_have():
    assert Encoding(("action", "categories", "device"), 2).columns == (
        "action",
        "categories_0",
        "categories_1",
        "device",
    )


def test_items_keep_their_first_categories_in_catalogue_order(spark):
    items = spark.createDataFrame(
        [
            (DAY, "tea", None, ["hot", "drink", "green"], None, True, [], "run"),
            (DAY, "cup", None, ["dish"], None, True, [], "run"),
        ],
        ITEMS.schema,
    )
    features = spark.createDataFrame(
        [(DAY, "categories", name, number) for number, name in enumerate(("dish", "drink", "green", "hot"), 1)],
        FEATURE_VOCABULARY.schema,
    )
    expected = spark.createDataFrame([("tea", [4, 2]), ("cup", [1, 0])], "item_id STRING, categories ARRAY<INT>")
    assert_frames_equal(item_categories(items, features, 2), expected)


@pytest.mark.parametrize(("weights", "of_buy"), [(None, 1.0), ({"view": 1.0, "buy": 5.0}, 5.0), ({"view": 1.0}, 0.0)])
def test_events_become_numbers_and_unknown_ones_zero(spark, weights, of_buy):
    events = spark.createDataFrame(
        [
            ("ann", False, NINE, 0, "e1", "tea", "view", 3.5, [("device", "phone")]),
            ("ann", False, NINE, 1, "e2", "tea", "buy", None, [("device", "fridge")]),
            ("ann", False, NINE, 2, "e3", "jar", "view", None, []),
            ("bot", True, NINE, 0, "e4", "tea", "view", None, []),
            ("cyd", False, NINE, 0, "e5", None, "buy", None, []),  # comes without an item: its action is a target
            ("bot", True, NINE, 1, "e6", None, "buy", None, []),
        ],
        "user_id STRING, by_bot BOOLEAN, occurred_at TIMESTAMP, sequence BIGINT, event_id STRING, item_id STRING, "
        "action STRING, value DOUBLE, context ARRAY<STRUCT<key: STRING, value: STRING>>",
    )
    vocabulary = spark.createDataFrame([(DAY, "tea", 7, NINE)], VOCABULARY.schema)
    features = spark.createDataFrame(
        [(DAY, "action", "buy", 1), (DAY, "action", "view", 2), (DAY, "device", "phone", 1)], FEATURE_VOCABULARY.schema
    )
    categories = spark.createDataFrame([("tea", [3, 0])], "item_id STRING, categories ARRAY<INT>")
    encoded = encode(events, vocabulary, features, categories, Encoding(("action", "categories", "device"), 2, weights))
    expected = spark.createDataFrame(
        [
            ("ann", False, NINE, 0, "e1", "view", 3.5, 7, 1.0, [2, 3, 0, 1]),
            ("ann", False, NINE, 1, "e2", "buy", None, 7, of_buy, [1, 3, 0, 0]),
            ("ann", False, NINE, 2, "e3", "view", None, 0, 0.0, [2, 0, 0, 0]),
            ("bot", True, NINE, 0, "e4", "view", None, 7, 0.0, [2, 3, 0, 0]),
            ("cyd", False, NINE, 0, "e5", "buy", None, 0, of_buy, [1, 0, 0, 0]),
            ("bot", True, NINE, 1, "e6", "buy", None, 0, 0.0, [1, 0, 0, 0]),
        ],
        ENCODED_COLUMNS,
    )
    assert_frames_equal(encoded, expected)
