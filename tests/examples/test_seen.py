from datetime import UTC, date, datetime

import pytest
from tests.frames import assert_frames_equal

from intentrec.config import SeenConfig
from intentrec.examples import SeenRule, seen_events, seen_items
from intentrec.tables import ITEMS, RULES, VOCABULARY

DAY = date(2024, 5, 1)
COLUMNS = "user_id STRING, item_index INT, occurred_at TIMESTAMP, days INT"


def at(hour):
    return datetime(2024, 5, 1, hour, tzinfo=UTC)


@pytest.fixture(scope="module")
def world(spark):
    """Ann views tea and buys milk, a cup, and something that nobody knows; milk is food."""
    events = spark.createDataFrame(
        [
            ("ann", at(1), "tea", "view"),
            ("ann", at(2), "cup", "buy"),
            ("ann", at(3), "milk", "buy"),
            ("ann", at(3), "gone", "buy"),
        ],
        "user_id STRING, occurred_at TIMESTAMP, item_id STRING, action STRING",
    )
    names = ("tea", "milk", "cup")
    vocabulary = [(DAY, name, index, at(0)) for index, name in enumerate(names, 1)]
    items = [(DAY, name, None, ["food"] if name == "milk" else [], None, True, [], "r") for name in names]
    return (
        events,
        spark.createDataFrame(vocabulary, VOCABULARY.schema),
        spark.createDataFrame(items, ITEMS.schema),
    )


def test_seen_items_are_those_of_the_chosen_actions(spark, world):
    events, vocabulary, _ = world
    assert seen_items(seen_events(events, vocabulary, SeenConfig())).first()["seen"] == [1, 2, 3]
    bought = seen_events(events, vocabulary, SeenConfig(actions=("buy",), days=4))
    assert seen_items(bought).first()["seen"] == [2, 3]
    assert_frames_equal(bought, spark.createDataFrame([("ann", 3, at(2), 4), ("ann", 2, at(3), 4)], COLUMNS))
    assert seen_events(events, vocabulary, None).isEmpty()


FOOD = ("categories", "food")
RULED = {
    "a rule decides before the config, for what it matches": (
        SeenConfig(), [SeenRule(*FOOD, "buy", 30)], {1: None, 2: 30, 3: None},
    ),
    "another action than the rule's keeps to the config": (
        SeenConfig(), [SeenRule(*FOOD, "view", 30)], {1: None, 2: None, 3: None},
    ),
    "0 days: the item may be back at once": (SeenConfig(), [SeenRule(*FOOD, None, 0)], {1: None, 3: None}),
    "without days it never returns": (None, [SeenRule("item_id", "tea", None, None)], {1: None}),
    "the strictest of several rules decides": (
        SeenConfig(actions=("buy",), days=5),
        [SeenRule(*FOOD, None, 30), SeenRule(*FOOD, "buy", 90), SeenRule("item_id", "milk", "buy", 60)],
        {2: 90, 3: 5},
    ),
    "a rule of all items": (None, [SeenRule(None, None, "buy", 7)], {2: 7, 3: 7}),
}  # fmt: skip


@pytest.mark.parametrize("what", RULED)
def test_rules_say_for_how_long_an_item_is_seen(world, what):
    settings, rules, wanted = RULED[what]
    found = seen_events(world[0], world[1], settings, rules, world[2]).collect()
    assert {row["item_index"]: row["days"] for row in found} == wanted


def test_rules_are_collected_in_an_order_of_their_own(spark):
    def row(value, days, line):
        nothing = (None, None, None, None)
        return (DAY, "food", "seen", "categories", value, *nothing, days, None, None, "rules.json", line, "r")

    found = SeenRule.of(spark.createDataFrame([row("tea", None, 1), row("food", 30, 2)], RULES.schema))
    assert found == (SeenRule("categories", "food", None, 30), SeenRule("categories", "tea", None, None))
