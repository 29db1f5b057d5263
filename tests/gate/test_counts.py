from datetime import UTC, date, datetime
from functools import reduce

from pyspark.sql import DataFrame
from tests.frames import assert_frames_equal

from intentrec.gate import catalogue_counts, event_counts, intent_counts, list_counts, overlap_counts
from intentrec.tables import ITEMS, RECOMMENDATIONS, USER_INTENTS, VOCABULARY

DAY, BEFORE = date(2024, 5, 2), date(2024, 5, 1)
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
COLUMNS = "what STRING, segment STRING, label STRING, num BIGINT"


def listed(day, user, *items):
    entries = [(rank, item, 1.0, source, None, None, None) for rank, (item, source) in enumerate(items, 1)]
    return (day, user, entries, "m1", "r", None)


def said(user, **best):
    heads = [(head, [(label, 0.6), ("other", 0.4)] if label else []) for head, label in best.items()]
    return (DAY, user, heads, [], None, [], "m1", "r", None)


def test_everything_is_counted_in_one_form_and_collected_together(spark):
    lists = spark.createDataFrame(
        [
            listed(DAY, "ann", ("tea", "model"), ("cup", "fallback")),
            listed(DAY, "bob", ("tea", "model"), ("pot", "model")),
            listed(DAY, "cyd", ("tea", "prior"), ("jug", "model")),
        ],
        RECOMMENDATIONS.schema,
    )
    before = spark.createDataFrame(
        [
            listed(BEFORE, "ann", ("cup", "model"), ("tea", "model")),
            listed(BEFORE, "bob", ("jug", "model"), ("pot", "model"), ("old", "model")),
            listed(BEFORE, "gone", ("tea", "model")),
        ],
        RECOMMENDATIONS.schema,
    )
    rows = [said("ann", action="buy", category="tea"), said("bob", action="view", category="tea"), said("x", action="")]
    intents = spark.createDataFrame(rows, USER_INTENTS.schema)

    def items(day, **available):
        own = [(day, name, None, [], None, there, [], "r") for name, there in available.items()]
        return spark.createDataFrame(own, ITEMS.schema)

    events = spark.createDataFrame(
        [(1, [1, 0, 2]), (2, [1, 0, 0]), (3, [0, 4, 0]), (0, [1, 0, 0])], "item_index INT, features ARRAY<INT>"
    )
    known = spark.createDataFrame(
        [(BEFORE, name, index, NOON) for index, name in ((1, "a"), (2, "b"))], VOCABULARY.schema
    )
    parts = [
        list_counts(lists),
        overlap_counts(lists, before, "yesterday"),
        intent_counts(intents, "intents_now"),
        catalogue_counts(items(DAY, a=True, b=True, c=False), items(BEFORE, b=True, c=True, d=True)),
        event_counts(events, known, {"action": 0, "device": 2}),
    ]
    expected = [
        ("lists", "", "", 3),
        ("source", "", "model", 4),
        ("source", "", "fallback", 1),
        ("source", "", "prior", 1),
        ("listed", "", "3", 1),  # tea
        ("listed", "", "1", 3),  # cup, pot, jug
        ("yesterday_lists", "", "", 3),
        ("yesterday_users", "", "", 2),
        ("yesterday_places", "", "", 4),
        ("yesterday_kept", "", "", 3),  # tea and cup of ann, pot of bob
        ("intents_now", "action", "buy", 1),
        ("intents_now", "action", "view", 1),
        ("intents_now", "category", "tea", 2),
        ("items_now", "", "", 2),
        ("items_then", "", "", 3),
        ("items_both", "", "", 1),
        ("events", "", "", 4),
        ("item_events", "", "", 3),
        ("unknown_events", "", "", 1),
        ("feature_events", "action", "", 3),
        ("feature_events", "device", "", 1),
    ]
    assert_frames_equal(reduce(DataFrame.unionByName, parts), spark.createDataFrame(expected, COLUMNS))
    first_night = [("events", "", "", 4), ("feature_events", "action", "", 3)]
    assert_frames_equal(event_counts(events, None, {"action": 0}), spark.createDataFrame(first_night, COLUMNS))


def test_of_no_rows_sums_are_zero(spark):
    nothing = spark.createDataFrame([], RECOMMENDATIONS.schema)
    expected = [(f"champion_{what}", "", "", 0) for what in ("lists", "users", "places", "kept")]
    assert_frames_equal(overlap_counts(nothing, nothing, "champion"), spark.createDataFrame(expected, COLUMNS))
