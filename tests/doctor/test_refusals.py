import pytest
from tests.events.test_judging import ACTIONS, BAD, GOOD, SOURCE

from intentrec.config import EventSource, Snapshot
from intentrec.doctor.refusals import problems_of_event, problems_of_member

BARE = EventSource(path="x", format="csv", columns={"user_id": "u", "occurred_at": "t"}, time_unit="ms")
LIKE_OTHERS = {"unit_slip": "time_out_of_range"}  # one look cannot and need not tell which
ITEMS = Snapshot(path="x", format="csv", columns={"item_id": "i", "title": "t", "published_at": "p", "available": "a"})


@pytest.mark.parametrize(("change", "reason"), [(change, reason) for change, reason, _ in BAD])
def test_what_ingest_refuses_of_an_event_is_refused_here_but_for_the_bounds_of_the_night(change, reason):
    wanted = {} if reason in ("too_late", "future") else dict.fromkeys(change, LIKE_OTHERS.get(reason, reason))
    assert problems_of_event(GOOD | change | {"reason": None}, SOURCE, ACTIONS) == wanted


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "x" * 512},
        {"user_id": "👩‍🚀", "value": None, "sequence": None},
        {"value": " 1e3", "sequence": "-9223372036854775808"},
        {"occurred_at": "1714694399999.9"},
        {"action": "search", "item_id": None},
        {"action": "search", "item_id": " "},
    ],
)
def test_edges_that_are_good(change):
    assert problems_of_event(GOOD | change | {"reason": None}, SOURCE, ACTIONS) == {}


@pytest.mark.parametrize(
    ("row", "actions", "problems"),
    [
        ({"reason": "malformed_row"}, None, {"row": "malformed_row"}),
        ({}, None, {"item_id": "missing_field"}),  # no column for it, and no action that comes without
        ({}, ACTIONS, {"action": "unknown_action", "item_id": "missing_field"}),  # every action is event
        ({"user_id": None, "occurred_at": "soon"}, None,
         {"user_id": "missing_field", "occurred_at": "wrong_type", "item_id": "missing_field"}),
    ],
)  # fmt: skip
def test_every_field_of_a_row_is_judged(row, actions, problems):
    good = {"reason": None, "user_id": "ann", "occurred_at": "1714554000000"}
    assert problems_of_event(good | row, BARE, actions) == problems


def test_numbers_that_python_alone_reads_are_refused_and_so_is_a_part_of_a_composite_id():
    bad = GOOD | {"reason": None, "value": "1_0", "sequence": "1_0"}
    assert problems_of_event(bad, SOURCE, None) == {"value": "wrong_type", "sequence": "wrong_type"}
    columns = {"user_id": "u", "item_id": "i", "occurred_at": "t", "event_id": ["s", "n"]}
    composite = EventSource(path="x", format="csv", columns=columns, time_unit="ms")
    row = {**GOOD, "reason": None, "event_id_0": "a", "event_id_1": None}
    assert problems_of_event(row, composite, None) == {"event_id_1": "missing_field"}


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ({}, {}),
        ({"item_id": None}, {"item_id": "missing_field"}),
        ({"item_id": " "}, {"item_id": "bad_id"}),
        ({"published_at": "soon", "available": "perhaps"}, {"published_at": "wrong_type", "available": "wrong_type"}),
        ({"published_at": "1931", "available": " Yes"}, {}),  # a film may be older than any click
        ({"published_at": "1931-02", "available": None}, {}),
    ],
)
def test_items_are_judged_as_ingest_does(change, problems):
    good = {"reason": None, "item_id": "tea", "title": None, "published_at": "2024-05-01", "available": "true"}
    assert problems_of_member(good | change, ITEMS, "items", "UTC") == problems


def test_a_year_is_a_time_of_iso_alone():
    seconds = ITEMS.model_copy(update={"time_unit": "s"})
    row = {"reason": None, "item_id": "tea", "published_at": "1931", "available": None}
    assert problems_of_member(row, seconds, "items", "UTC") == {}
    assert problems_of_member(row | {"published_at": "1931-02"}, seconds, "items", "UTC") == {
        "published_at": "wrong_type"
    }


def test_users_need_their_id_alone():
    users = Snapshot(path="x", format="csv", columns={"user_id": "u", "segment": "s"})
    row = {"reason": None, "user_id": None, "segment": None}
    assert problems_of_member(row, users, "users", "UTC") == {"user_id": "missing_field"}
    assert problems_of_member(row | {"user_id": "ann"}, users, "users", "UTC") == {}
