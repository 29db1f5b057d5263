from datetime import UTC, date, datetime

import pytest

from intentrec.config import Action, Cutoff, EventSource
from intentrec.events import Bounds, bounds_of, columns_of, judge, micros_of

BOUNDS = Bounds(datetime(2024, 4, 1, tzinfo=UTC), datetime(2024, 5, 3, tzinfo=UTC))
ACTIONS = {"view": Action(), "search": Action(has_item=False)}
COLUMNS = {
    "user_id": "u", "item_id": "i", "occurred_at": "t", "action": "a", "value": "v", "event_id": "e", "sequence": "s",
}  # fmt: skip
GOOD = {
    "user_id": "ann", "item_id": "tea", "occurred_at": "1714554000000", "action": "view", "value": "2.5",
    "event_id": "e1", "sequence": "7", "context_0": "phone", "context_1": None,
}  # fmt: skip
SOURCE = EventSource(path="x", format="csv", columns=COLUMNS, time_unit="ms", context=["geo.country", "device"])


def judged(spark, source, *rows, actions=ACTIONS, bounds=BOUNDS):
    names = [*columns_of(source)]
    fixed = [("row", "a.csv", "sha", line, "raw text", None, None) for line in range(1, len(rows) + 1)]
    values = [(*head, *(row.get(name) for name in names)) for head, row in zip(fixed, rows, strict=True)]
    schema = (
        "kind STRING, source_file STRING, content_sha256 STRING, line BIGINT, raw STRING, reason STRING, detail STRING"
    )
    schema = ", ".join([schema, *(f"{name} STRING" for name in names)])
    return judge(spark.createDataFrame(values, schema), source, actions, bounds).orderBy("line").collect()


def test_a_good_row_is_typed_and_its_text_is_dropped(spark):
    row = judged(spark, SOURCE, GOOD)[0]
    assert (row.reason, row.raw, row.event_id, row.user_id, row.item_id) == (None, None, "e1", "ann", "tea")
    assert (row.action, row.sequence, row.value, row.event_date) == ("view", 7, 2.5, date(2024, 5, 1))
    assert row.occurred_at.replace(tzinfo=UTC) == datetime(2024, 5, 1, 9, tzinfo=UTC)
    assert [tuple(pair) for pair in row.context] == [("device", "phone")]  # sorted by key, nulls left out


BAD = [
    ({"user_id": None}, "missing_field", "user_id: null or absent, every row must have one"),
    (
        {"user_id": " \t\u00a0"},
        "bad_id",
        "user_id: ' \t\u00a0', wanted 1 to 512 bytes that are not all blank, without NUL",
    ),
    ({"user_id": "é" * 257}, "bad_id", None),
    ({"user_id": "a\0b"}, "bad_id", None),
    ({"item_id": None}, "missing_field", "item_id: null or absent, action 'view' needs one"),
    ({"item_id": ""}, "bad_id", None),
    ({"occurred_at": None}, "missing_field", "occurred_at: null or absent, every row must have one"),
    ({"occurred_at": "soon"}, "wrong_type", "occurred_at: 'soon', wanted a number of ms since 1970"),
    (
        {"occurred_at": "1714554000"},
        "unit_slip",
        "occurred_at: '1714554000' is no plausible number of ms, see time_unit",
    ),
    ({"occurred_at": "1714554000000000"}, "unit_slip", None),
    ({"occurred_at": "0"}, "time_out_of_range", "occurred_at: '0', wanted 1990 to 2099"),
    ({"occurred_at": "-5"}, "time_out_of_range", None),
    ({"occurred_at": "9223372036854775807"}, "time_out_of_range", None),
    ({"occurred_at": "NaN"}, "wrong_type", None),
    ({"action": None}, "missing_field", "action: null or absent, every row must have one"),
    ({"action": "steal"}, "unknown_action", "action: 'steal', not in input.actions"),
    ({"value": "much"}, "wrong_type", "value: 'much', wanted a finite number"),
    ({"value": "Infinity"}, "wrong_type", None),
    ({"sequence": "1.5"}, "wrong_type", "sequence: '1.5', wanted a whole number"),
    ({"event_id": None}, "missing_field", "event_id: null or absent, every row must have one"),
    ({"event_id": "  "}, "bad_id", None),
    (
        {"occurred_at": "1711929599999"},
        "too_late",
        "occurred_at: 2024-03-31T23:59:59.999000Z is before 2024-04-01T00:00:00+00:00",
    ),
    (
        {"occurred_at": "1714694400000"},
        "future",
        "occurred_at: 2024-05-03T00:00:00.000000Z is not before 2024-05-03T00:00:00+00:00",
    ),
]


def test_every_bad_row_has_its_reason_and_its_text(spark):
    rows = judged(spark, SOURCE, *(GOOD | change for change, _, _ in BAD))
    assert [(row.line, row.reason) for row in rows] == [(line, bad[1]) for line, bad in enumerate(BAD, 1)]
    for row, (_, reason, detail) in zip(rows, BAD, strict=True):
        assert row.raw == "raw text"
        assert detail is None or row.detail == detail
        assert (row.event_id is not None) == (reason in ("too_late", "future"))  # they may pass another night


def test_edges_that_are_good(spark):
    edges = [
        {"user_id": "x" * 512},
        {"user_id": "null"},
        {"user_id": "👩‍🚀"},
        {"occurred_at": "1711929600000"},  # the first instant that is not too late
        {"occurred_at": "1714694399999.9"},  # the last one that is not too early; a fraction of ms is kept
        {"action": "search", "item_id": None},
        {"action": "search", "item_id": "a search text is no item"},
        {"value": None, "sequence": None},
    ]
    rows = judged(spark, SOURCE, *(GOOD | edge for edge in edges))
    assert [row.reason for row in rows] == [None] * len(edges)
    assert rows[1].user_id == "null"
    assert rows[4].occurred_at.microsecond == 999_900
    assert (rows[5].item_id, rows[6].item_id) == (None, None)
    assert (rows[7].value, rows[7].sequence) == (None, 0)


def test_ids_are_hashed_from_parts_or_from_all_fields(spark):
    composite = EventSource(
        path="x", format="csv", columns={"user_id": "u", "item_id": "i", "occurred_at": "t", "event_id": ["s", "n"]},
        time_unit="s",
    )  # fmt: skip
    good = {"user_id": "ann", "item_id": "tea", "occurred_at": "1714554000.25"}
    parts = [("a", "bc"), ("ab", "c"), ("a", "bc"), ("a", None)]
    rows = judged(
        spark, composite, *(good | {"event_id_0": first, "event_id_1": second} for first, second in parts), actions=None
    )
    ids = [row.event_id for row in rows]
    assert ids[0] == ids[2] != ids[1]
    assert len(ids[0]) == 32
    assert (rows[3].reason, rows[0].action) == ("missing_field", "event")
    assert rows[0].occurred_at.microsecond == 250_000
    plain = EventSource(
        path="x", format="csv", columns={"user_id": "u", "item_id": "i", "occurred_at": "t"}, time_unit="s"
    )
    rows = judged(spark, plain, good, good, good | {"item_id": "cup"}, actions=None)
    assert rows[0].event_id == rows[1].event_id != rows[2].event_id


def test_an_item_that_is_not_mapped_needs_an_action_without_item(spark):
    source = EventSource(
        path="x", format="csv", columns={"user_id": "u", "occurred_at": "t", "action": "a"}, time_unit="ms"
    )
    rows = judged(spark, source, GOOD, GOOD | {"action": "search"})
    assert [row.reason for row in rows] == ["missing_field", None]


@pytest.mark.parametrize(
    ("run_date", "watermark", "earliest", "latest"),
    [
        ("2024-05-05", None, None, "2024-05-07"),
        ("2024-05-05", "2024-05-04", "2024-05-01", "2024-05-07"),
        (
            "2024-05-02",
            "2024-05-04",
            "2024-05-01",
            "2024-05-06",
        ),  # a back-fill: lateness and future follow the watermark
    ],
)
def test_lateness_counts_from_the_watermark(run_date, watermark, earliest, latest):
    day = date.fromisoformat
    bounds = bounds_of(Cutoff("UTC", "00:00"), day(run_date), watermark and day(watermark), 3, 1)
    wanted = [text and datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (earliest, latest)]
    assert [bounds.earliest, bounds.latest] == wanted


def test_microseconds_are_exact():
    assert micros_of(datetime(2024, 5, 1, 9, 0, 0, 1, UTC)) == 1_714_554_000_000_001
