from datetime import UTC, date, datetime

from tests.frames import assert_frames_equal

from intentrec.rules import eligible_items
from intentrec.tables import ITEMS

DAY = date(2024, 5, 1)
MIDNIGHT = datetime(2024, 5, 2, tzinfo=UTC)


def item(item_id, published_at, available):
    return (DAY, item_id, None, [], published_at, available, [], "run")


def test_an_item_must_be_available_and_published_before_the_cut_off(spark):
    items = spark.createDataFrame(
        [
            item("old", datetime(2024, 5, 1, 23, 59, 59, tzinfo=UTC), True),
            item("undated", None, True),
            item("gone", None, False),
            item("tomorrow", MIDNIGHT, True),
        ],
        ITEMS.schema,
    )
    expected = spark.createDataFrame([("old",), ("undated",)], "item_id STRING")
    assert_frames_equal(eligible_items(items, MIDNIGHT), expected)
