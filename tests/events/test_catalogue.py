from datetime import UTC, date, datetime

import pytest

from intentrec.config import Snapshot
from intentrec.errors import InputError
from intentrec.events import (
    columns_of_snapshot,
    items_from_catalogue,
    items_from_events,
    judge_items,
    judge_users,
    refuse_bad_snapshot,
    refuse_lost_items,
    users_from_snapshot,
)
from intentrec.tables import EVENTS
from intentrec.tables import ITEMS as ITEMS_TABLE

DAY = date(2024, 5, 1)
ITEMS = Snapshot(
    path="items.csv", format="csv", category_separator="|",
    columns={"item_id": "id", "title": "t", "categories": "c", "published_at": "p", "available": "a",
             "size": "s", "brand": "b"},
)  # fmt: skip
USERS = Snapshot(path="users.csv", format="csv", columns={"user_id": "id", "segment": "s", "city": "c"})


def read(spark, snapshot, kind, *rows, row_kind="row"):
    names = [*columns_of_snapshot(snapshot, kind)]
    fixed = (
        "kind STRING, source_file STRING, content_sha256 STRING, line BIGINT, raw STRING, reason STRING, detail STRING"
    )
    values = [
        (
            row_kind,
            "items.csv",
            "sha",
            line,
            "text",
            row.get("reason"),
            row.get("detail"),
            *(row.get(name) for name in names),
        )
        for line, row in enumerate(rows, 2)
    ]
    return spark.createDataFrame(values, ", ".join([fixed, *(f"{name} STRING" for name in names)]))


def event(item, hour):
    at = datetime(2024, 5, 1, hour, tzinfo=UTC)
    return (f"e{item}{hour}", "ann", item, "view", at, 0, None, [], DAY, "a", 1, "run", at)


def utc(instant):
    return instant and instant.replace(tzinfo=UTC)


def test_a_snapshot_without_its_id_is_refused_and_other_names_are_attributes():
    assert columns_of_snapshot(ITEMS, "items") == {
        "item_id": "id", "title": "t", "categories": "c", "published_at": "p", "available": "a",
        "attribute_0": "b", "attribute_1": "s",
    }  # fmt: skip
    with pytest.raises(InputError, match=r"input.users.columns: user_id is not mapped"):
        columns_of_snapshot(ITEMS, "users")
    constant = Snapshot(path="users.csv", format="csv", columns={"user_id": {"constant": "ann"}})
    with pytest.raises(InputError, match=r"input.users.columns: user_id is constant"):
        columns_of_snapshot(constant, "users")


def test_items_of_a_catalogue_are_typed_and_dated_by_their_first_event(spark):
    rows = read(
        spark, ITEMS, "items",
        {"item_id": "tea", "title": "Tea", "categories": "hot|green||hot", "published_at": "2024-04-30",
         "attribute_0": "leaf"},
        {"item_id": "cup", "categories": '["a|b", "c"]', "available": "0"},
        {"item_id": "pot", "published_at": "2024-04-30T12:00:00+02:00"},
        {"item_id": "jug", "published_at": "2012"},
        {"item_id": "pan", "published_at": "2012-07"},
    )  # fmt: skip
    judged = judge_items(rows, ITEMS, "Europe/Berlin")
    assert refuse_bad_snapshot(judged, "items", "items.csv", 0.0) == ({"rows": 5}, set())
    events = spark.createDataFrame([event("cup", 9), event("cup", 8), event("tea", 7)], EVENTS.schema)
    items = {row.item_id: row for row in items_from_catalogue(judged, events, DAY, "run").collect()}
    assert [items[name].categories for name in ("tea", "cup", "pot")] == [["hot", "green"], ["a|b", "c"], []]
    assert [items[name].available for name in ("tea", "cup", "pot")] == [True, False, True]
    assert [utc(items[name].published_at) for name in ("tea", "cup", "pot", "jug", "pan")] == [
        datetime(2024, 4, 29, 22, tzinfo=UTC),  # midnight in Berlin
        datetime(2024, 5, 1, 8, tzinfo=UTC),  # its first event
        datetime(2024, 4, 30, 10, tzinfo=UTC),
        datetime(2011, 12, 31, 23, tzinfo=UTC),
        datetime(2012, 6, 30, 22, tzinfo=UTC),
    ]
    assert [tuple(pair) for pair in items["tea"].attributes] == [("brand", "leaf")]
    assert (items["tea"].run_date, items["tea"].run_id) == (DAY, "run")


def test_without_a_catalogue_every_item_of_the_events_is_available(spark):
    events = spark.createDataFrame([event("tea", 9), event("tea", 8), event(None, 7)], EVENTS.schema)
    rows = items_from_events(events, DAY, "run").collect()
    assert [(row.item_id, utc(row.published_at), row.available) for row in rows] == [
        ("tea", datetime(2024, 5, 1, 8, tzinfo=UTC), True)
    ]


def test_a_catalogue_without_too_many_of_yesterdays_items_is_refused(spark):
    yesterday = [("tea", True), ("cup", True), ("pot", True), ("jug", True), ("old", False)]
    before = spark.createDataFrame(
        [(DAY, item, None, [], None, there, [], "run") for item, there in yesterday], ITEMS_TABLE.schema
    )
    tonight = [{"item_id": "tea"}, {"item_id": "cup"}, {"item_id": "pot", "available": "no"}, {"item_id": "new"}]
    judged = judge_items(read(spark, ITEMS, "items", *tonight), ITEMS, "UTC")
    refuse_lost_items(judged, before, "items.csv", 0.5)  # pot and jug, of the four that could be had
    refuse_lost_items(judged, before.limit(0), "items.csv", 0.0)
    with pytest.raises(InputError) as error:
        refuse_lost_items(judged, before, "items.csv", 0.49)
    assert str(error.value) == (
        "input.items: items.csv: 2 of the 4 items that could be had the night before are gone, 'jug' for one, wanted "
        "at most 49.00%; deliver the whole catalogue, or raise input.max_items_gone_share; no table was changed"
    )


def test_bad_rows_of_a_catalogue_are_counted_and_too_many_refuse_it(spark):
    bad = [{"item_id": "x", "available": "perhaps"}, {"item_id": "y", "published_at": "soon"}, {"item_id": " "}]
    judged = judge_items(read(spark, ITEMS, "items", {"item_id": "tea"}, *bad), ITEMS, "UTC").persist()
    counted = refuse_bad_snapshot(judged, "items", "items.csv", 0.75)
    assert counted == ({"rows": 1, "wrong_type": 2, "bad_id": 1}, {"sha"})
    with pytest.raises(InputError) as error:
        refuse_bad_snapshot(judged, "items", "items.csv", 0.74)
    assert str(error.value) == (
        "input.items: items.csv: 3 of 4 rows refused, wanted at most 74.00%: wrong_type 2 (items.csv:3: available: "
        "'perhaps', wanted true or false); correct the file, no table was changed"
    )
    judged.unpersist()


def test_an_empty_foreign_or_repeated_snapshot_is_refused(spark):
    empty = judge_users(read(spark, USERS, "users"), USERS)
    with pytest.raises(InputError, match=r"input.users: users.csv: holds no row, wanted every one of the users"):
        refuse_bad_snapshot(empty, "users", "users.csv", 1.0)
    foreign = judge_users(read(spark, USERS, "users", {"detail": "column 'id' is missing"}, row_kind="foreign"), USERS)
    with pytest.raises(InputError, match=r"items.csv: column 'id' is missing; correct input.users.columns or the file"):
        refuse_bad_snapshot(foreign, "users", "users.csv", 1.0)
    twice = judge_users(read(spark, USERS, "users", {"user_id": "ann"}, {"user_id": "ann"}), USERS)
    with pytest.raises(InputError, match=r"user_id 'ann' stands 2 times \(items.csv:2, items.csv:3\), wanted once"):
        refuse_bad_snapshot(twice, "users", "users.csv", 1.0)


def test_users_keep_segment_and_attributes(spark):
    judged = judge_users(
        read(spark, USERS, "users", {"user_id": "ann", "segment": "new", "attribute_0": "Rome"}), USERS
    )
    row = users_from_snapshot(judged, DAY, "run").collect()[0]
    assert (row.user_id, row.segment, [tuple(pair) for pair in row.attributes]) == ("ann", "new", [("city", "Rome")])
