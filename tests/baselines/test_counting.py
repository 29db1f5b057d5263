from datetime import UTC, datetime, timedelta

import pytest
from chispa import assert_df_equality

from intentrec.baselines import popularity, transitions

EVENTS = "user_id STRING, item_index INT, occurred_at TIMESTAMP, sequence BIGINT, event_id STRING, by_bot BOOLEAN"
PAIRS = "item_index INT, successor_index INT, weight BIGINT, total BIGINT"
CUTOFF = datetime(2024, 5, 2, tzinfo=UTC)


def event(user, item, moment, sequence=0, event_id="e", by_bot=False):
    return (user, item, moment, sequence, event_id, by_bot)


def before(**length):
    return CUTOFF - timedelta(**length)


def same(actual, expected):
    assert_df_equality(actual, expected, ignore_row_order=True, ignore_nullable=True, ignore_metadata=True)


def test_each_window_ends_before_the_cutoff_and_starts_on_the_hour(spark):
    events = spark.createDataFrame(
        [
            event("ann", 1, before(minutes=1)),
            event("bob", 1, before(hours=1)),  # exactly one hour: in
            event("ann", 2, before(hours=1, seconds=1)),  # only in the longer window
            event("ann", 3, CUTOFF),  # the future
            event("ann", 4, before(hours=3, seconds=1)),  # too old for both
            event("ann", 0, before(minutes=1)),  # no known item
            event("bot", 1, before(minutes=1), by_bot=True),
        ],
        EVENTS,
    )
    counted = "day INT, hours INT, item_index INT, num_events BIGINT"
    expected = spark.createDataFrame([(0, 1, 1, 2), (0, 3, 1, 2), (0, 3, 2, 1)], counted)
    same(popularity(events, [CUTOFF], [3, 1]), expected)
    # an hour earlier item 2 is one second old, and what came since is the future; half an hour later item 3 is known
    moments = [before(hours=1), CUTOFF + timedelta(minutes=30)]
    rows = [
        (0, 1, 2, 1),
        (0, 3, 2, 1),
        (0, 3, 4, 1),
        (1, 1, 1, 1),
        (1, 1, 3, 1),
        (1, 3, 1, 2),
        (1, 3, 2, 1),
        (1, 3, 3, 1),
    ]
    same(popularity(events, moments, [1, 3]), spark.createDataFrame(rows, counted))


def test_successors_are_counted_within_a_user_in_the_order_of_time_then_sequence_then_id(spark):
    start = before(hours=2)
    events = spark.createDataFrame(
        [
            event("ann", 1, start, 1, "b"),
            event("ann", 2, start, 1, "c"),  # after 1 by event_id
            event("ann", 3, start, 0, "z"),  # before both by sequence
            event("bob", 1, start, 0, "b"),
            event("bob", 2, start + timedelta(minutes=1)),
            event("bob", 9, CUTOFF),  # the future: 2 -> 9 is not counted
        ],
        EVENTS,
    )
    same(
        transitions(events, CUTOFF, num_successors=5), spark.createDataFrame([(3, 1, 60, 60), (1, 2, 120, 120)], PAIRS)
    )


def test_only_the_heaviest_successors_stay_and_ties_go_to_the_smaller_index(spark):
    followers = {"a": 7, "b": 7, "c": 9, "d": 8}
    rows = [
        event(user, item, before(hours=hours))
        for user, successor in followers.items()
        for item, hours in ((1, 2), (successor, 1))
    ]
    kept = transitions(spark.createDataFrame(rows, EVENTS), CUTOFF, num_successors=2)
    same(kept, spark.createDataFrame([(1, 7, 120, 240), (1, 8, 60, 240)], PAIRS))


def test_repeats_long_pauses_and_unknown_items_make_no_pair(spark):
    start = before(hours=5)
    events = spark.createDataFrame(
        [
            event("ann", 1, start),
            event("ann", 1, start + timedelta(minutes=1)),  # the same item
            event("ann", 0, start + timedelta(minutes=2)),  # unknown: 1 -> 2 is direct
            event("ann", 2, start + timedelta(minutes=31)),  # 30 min after the known item before it: in
            event("ann", 3, start + timedelta(minutes=61, seconds=1)),  # longer than that
        ],
        EVENTS,
    )
    near = transitions(events, CUTOFF, num_successors=5, max_pause=timedelta(minutes=30))
    same(near, spark.createDataFrame([(1, 2, 60, 60)], PAIRS))


def test_a_successor_further_on_weighs_less(spark):
    events = spark.createDataFrame([event("ann", item, before(hours=9 - item)) for item in (1, 2, 3)], EVENTS)
    expected = spark.createDataFrame([(1, 2, 60, 90), (1, 3, 30, 90), (2, 3, 60, 60)], PAIRS)
    same(transitions(events, CUTOFF, num_successors=5, reach=2), expected)


@pytest.mark.parametrize("reach", [0, 7])
def test_a_reach_without_whole_weights_is_refused(reach):
    with pytest.raises(ValueError, match=f"reach: wanted 1 to 6, is {reach}"):
        transitions(None, CUTOFF, num_successors=5, reach=reach)


def test_a_cutoff_without_time_zone_is_refused(spark):
    events = spark.createDataFrame([], EVENTS)
    with pytest.raises(ValueError, match="cutoff: wanted an instant with its time zone, is 2024-05-02"):
        popularity(events, [CUTOFF.replace(tzinfo=None)], [1])


@pytest.mark.parametrize(("cutoffs", "hours"), [([CUTOFF], []), ([], [1])])
def test_no_window_and_no_cutoff_are_refused(cutoffs, hours):
    with pytest.raises(ValueError, match="cutoffs and hours: at least one of each wanted"):
        popularity(None, cutoffs, hours)
