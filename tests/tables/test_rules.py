from datetime import UTC, date, datetime, timedelta

import pytest
from tests.frames import assert_frames_equal

from intentrec.tables import ITEMS, RULE_COLUMNS, RULE_KINDS, RULES, USERS, fields_of_items, fields_of_users, in_force

DAY = date(2024, 5, 1)


def test_every_kind_names_columns_of_the_table_and_bounds_its_amount():
    for name, kind in RULE_KINDS.items():
        assert {*kind.wants, *kind.may} <= set(RULE_COLUMNS), name
        assert not set(kind.wants) & set(kind.may), name
        assert ("amount" in kind.wants) == (kind.amount is not None), name
        assert repr(name) in RULES.checks["kinds"]
    assert set(RULE_COLUMNS) < set(RULES.schema.names)


def test_items_and_users_have_ids_own_fields_and_attributes(spark):
    items = [
        (DAY, "i1", "Tea", ["hot", "green"], None, True, [("brand", "oak")], "r"),
        (DAY, "i2", None, [], None, True, [], "r"),
    ]
    found = fields_of_items(spark.createDataFrame(items, ITEMS.schema))
    wanted = [
        ("i1", "item_id", "i1"), ("i1", "categories", "hot"), ("i1", "categories", "green"), ("i1", "brand", "oak"),
        ("i2", "item_id", "i2"),
    ]  # fmt: skip
    assert_frames_equal(found, spark.createDataFrame(wanted, "item_id STRING, field STRING, value STRING"))
    users = [(DAY, "ann", "kids", [("city", "Rome")], "r"), (DAY, "bob", None, [], "r")]
    found = fields_of_users(spark.createDataFrame(users, USERS.schema))
    wanted = [("ann", "user_id", "ann"), ("ann", "segment", "kids"), ("ann", "city", "Rome"), ("bob", "user_id", "bob")]
    assert_frames_equal(found, spark.createDataFrame(wanted, "user_id STRING, field STRING, value STRING"))


@pytest.fixture(scope="module")
def windows(spark):
    now, hour = datetime(2024, 5, 2, tzinfo=UTC), timedelta(hours=1)
    rows = [
        ("always", None, None), ("from now", now, None), ("until now", None, now), ("in an hour", now + hour, None),
        ("until later", now - hour, now + hour),
    ]  # fmt: skip
    return now, spark.createDataFrame(rows, "rule STRING, starts_at TIMESTAMP, ends_at TIMESTAMP")


def test_a_rule_is_in_force_from_its_start_and_not_at_its_end(windows):
    now, rules = windows
    found = {row["rule"] for row in rules.where(in_force(now)).collect()}
    assert found == {"always", "from now", "until later"}
