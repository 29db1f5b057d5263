import numpy as np
import pytest

from intentrec.config import BotsConfig
from intentrec.sessions import BotRules

SECOND, HOUR = 1_000_000, 3_600_000_000
OFF = BotRules(None, None, None, None, None, 1)


def rules(**thresholds):
    return BotRules(**{name: thresholds.get(name) for name in BotRules.__slots__ if name != "min_events"}, min_events=4)


def flags(found, times, items=None):
    items = np.arange(len(times)) if items is None else np.array(items)
    return found.flags(np.array(times, dtype=np.int64), items.astype(np.int64))


@pytest.mark.parametrize(
    ("times", "flagged"),
    [
        ([0, 1, HOUR - 1], True),  # three within less than an hour
        ([0, 1, HOUR], False),
        ([0, HOUR, HOUR + 1, HOUR + 2], True),
        ([0, 1], False),
        ([0], False),
    ],
)
def test_events_per_hour_slide_over_the_session(times, flagged):
    assert flags(rules(events_per_hour=3), times) == ["bot_events_per_hour"] * flagged


@pytest.mark.parametrize(("number", "flagged"), [(4, False), (5, True)])
def test_events_per_session_are_counted(number, flagged):
    assert flags(rules(events_per_session=5), [*range(number)]) == ["bot_events_per_session"] * flagged


@pytest.mark.parametrize(("items", "flagged"), [([0, 1, 1, 2], True), ([0, 1, -1, 1], False)])
def test_distinct_items_are_those_that_are_known(items, flagged):
    assert flags(rules(distinct_items=3), [*range(4)], items) == ["bot_distinct_items"] * flagged


@pytest.mark.parametrize(
    ("seconds", "flagged"),
    [
        ([0, 5, 10, 15, 20], True),  # all four pauses are five seconds
        ([0, 5, 10, 15, 21], True),  # three of four, exactly the share
        ([0, 5, 10, 16, 22.9], False),  # 5, 5, 6 and 6 whole seconds
        ([0, 0, 0, 0, 5], False),  # one of four waited at all
        ([0, 0, 0, 0, 0], False),
        ([0, 5, 10], False),  # fewer than four events
    ],
)
def test_equal_pauses_are_a_share_of_all_pauses(seconds, flagged):
    times = [round(second * SECOND) for second in seconds]
    assert flags(rules(equal_pauses=0.75), times) == ["bot_equal_pauses"] * flagged


@pytest.mark.parametrize(
    ("items", "flagged"),
    [([1, 1, 1, 2], True), ([1, 1, 2, 2], False), ([1, 1, 1, -1], True), ([-1] * 4, False), ([1, 1, 1], False)],
)
def test_one_item_is_a_share_of_all_events(items, flagged):
    assert flags(rules(one_item=0.75), [*range(len(items))], items) == ["bot_one_item"] * flagged


def test_all_broken_rules_are_named_in_order():
    every = BotRules(2, 2, 1, 0.5, 0.5, 2)
    assert flags(every, [0, SECOND, 2 * SECOND], [7, 7, 7]) == [
        "bot_distinct_items", "bot_equal_pauses", "bot_events_per_hour", "bot_events_per_session", "bot_one_item",
    ]  # fmt: skip
    assert flags(OFF, [0, SECOND, 2 * SECOND], [7, 7, 7]) == []


def test_sessions_too_small_for_any_rule_are_known_beforehand():
    assert OFF.least is None
    assert rules(equal_pauses=0.5).least == 4
    assert rules(events_per_hour=3, events_per_session=9, one_item=0.5).least == 3
    assert BotRules.of(BotsConfig()) == BotRules(600, 1000, 500, 0.9, 0.95, 100)
    assert OFF.text() == (
        "events_per_hour None, events_per_session None, distinct_items None, equal_pauses None, one_item None, "
        "min_events 1"
    )
