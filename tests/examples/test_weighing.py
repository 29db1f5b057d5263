from datetime import UTC, date, datetime

import pytest
from pyspark.sql import functions as F

from intentrec.examples import Shape, Weighing, effective_share, training_sequences, weighed

DAY = date(2024, 5, 1)
ENCODED_COLUMNS = (
    "user_id STRING, by_bot BOOLEAN, occurred_at TIMESTAMP, sequence BIGINT, event_id STRING, action STRING, "
    "value DOUBLE, item_index INT, weight FLOAT, features ARRAY<INT>"
)


def at(hour):
    return datetime(2024, 5, 1, hour, tzinfo=UTC)


def encoded(spark, *rows):
    """Return events of an hour each: (item, value, weight)."""
    whole = [
        ("ann", False, at(hour), 0, f"e{hour}", "view", value, item, weight, [])
        for hour, (item, value, weight) in enumerate(rows)
    ]
    return spark.createDataFrame(whole, ENCODED_COLUMNS)


def weights(events, rules):
    found = weighed(events, at(5), rules).orderBy("occurred_at")
    assert found.schema == events.schema
    return [row["weight"] for row in found.collect()]


def test_nothing_changes_by_default(spark):
    assert weights(encoded(spark, (1, 3.0, 1.0), (2, None, 5.0)), Weighing()) == [1.0, 5.0]


def test_events_fade_by_half_in_every_half_life(spark):
    events = encoded(spark, *[(item, None, 1.0) for item in range(1, 6)])  # at 0, 1, 2, 3 and 4 o'clock
    rules = Weighing(half_life_days=2 / 24)
    assert weights(events, rules) == pytest.approx([0.5**2.5, 0.25, 0.5**1.5, 0.5, 0.5**0.5])
    rows = training_sequences(weighed(events, at(5), rules), "train", None, at(5), Shape(DAY, 8, 0)).collect()
    assert rows[0]["weights"][-4:] == pytest.approx([0.25, 0.5**1.5, 0.5, 0.5**0.5])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # The median of 10, 20 and 30 is 20, of the one without weight nothing is counted: 0.5, 1 and 5 * 1.5 are 9,
        # where the weights were 7.
        ([(10.0, 1.0), (20.0, 1.0), (30.0, 5.0), (90.0, 0.0)], [0.5 * 7 / 9, 7 / 9, 7.5 * 7 / 9, 0.0]),
        # No value counts as the median, which is 20 again; 0, less, and far too much are cut: 2 + 1 + 0.1 + 0.1 + 10
        # + 0.1 are 13.3, where the weights were 7.
        (
            [(None, 2.0), (20.0, 1.0), (0.0, 1.0), (-7.0, 1.0), (400.0, 1.0), (1.0, 1.0)],
            [part * 7 / 13.3 for part in (2.0, 1.0, 0.1, 0.1, 10.0, 0.1)],
        ),
        ([(None, 1.0), (0.0, 1.0)], [1.0, 1.0]),  # there is no median
        ([(3.0, 0.0)], [0.0]),  # nothing counts
    ],
)
def test_events_count_by_their_value(spark, values, expected):
    found = weights(encoded(spark, *[(1, value, weight) for value, weight in values]), Weighing(by_value=True))
    assert found == pytest.approx(expected)


def test_events_of_rare_items_count_more_and_all_of_them_one_in_the_mean(spark):
    # Item 1 has four events, 2 and 3 one: 1 / sqrt(1/4) = 2; 4 * 1 + 2 * 2 + 3 * 2 are 14, where the weights were 9.
    rows = [(1, None, 1.0)] * 4 + [(2, None, 2.0), (3, None, 3.0)]
    assert weights(encoded(spark, *rows, (2, None, 0.0)), Weighing(rarity_floor=0.1)) == pytest.approx(
        [9 / 14] * 4 + [4 * 9 / 14, 6 * 9 / 14, 0.0]
    )
    # No root counts as less than 0.8: 1 / 0.8 = 1.25; 4 + 5 * 1.25 are 10.25.
    assert weights(encoded(spark, *rows), Weighing(rarity_floor=0.8)) == pytest.approx(
        [9 / 10.25] * 4 + [2.5 * 9 / 10.25, 3.75 * 9 / 10.25]
    )
    # Nine events without an item, more than of any item, are neither rare nor common: 14 + 9 for 9 + 9.
    found = weights(encoded(spark, *rows, *[(0, None, 1.0)] * 9), Weighing(rarity_floor=0.1))
    assert sorted(found) == pytest.approx(sorted([18 / 23] * 13 + [4 * 18 / 23, 6 * 18 / 23]))


def test_value_and_rarity_together_stay_below_ten_before_all_are_scaled(spark):
    rows = [(1, 1.0, 1.0)] * 4 + [(2, 9.0, 1.0)]  # nine medians, and rare by 2: 18, cut to 10; in all 14 for 5
    rules = Weighing(half_life_days=1e9, by_value=True, rarity_floor=0.1)
    assert weights(encoded(spark, *rows), rules) == pytest.approx([5 / 14] * 4 + [50 / 14])


def test_unequal_weights_leave_fewer_events_in_effect(spark):
    # The first of a row's events has nothing before it, so it is no target: [0, 0, 1, 1, 1] has two, [3, 2] one.
    rows = spark.createDataFrame([([0.0, 0.0, 1.0, 1.0, 1.0], 3), ([3.0, 2.0], 2)], "weights ARRAY<FLOAT>, length INT")
    assert effective_share(rows) == (3, pytest.approx(16 / 6 / 3))  # (1 + 1 + 2)^2 / (1 + 1 + 4), of three
    faint = rows.select(F.transform("weights", lambda weight: weight * 1e-20).alias("weights"), "length")
    assert effective_share(faint) == (3, pytest.approx(16 / 6 / 3))
    assert effective_share(rows.limit(0)) == (0, 1.0)
