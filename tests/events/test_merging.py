from datetime import UTC, date, datetime

import pytest

from intentrec.errors import InputError
from intentrec.events import (
    Book,
    Count,
    balance,
    count_rows,
    counters_of,
    decide_alone,
    decide_compared,
    events_of,
    met_ids,
    quarantine_of,
    refuse_too_many,
)
from intentrec.tables import EVENTS

NINE = datetime(2024, 5, 1, 9, tzinfo=UTC)
TEN = datetime(2024, 5, 1, 10, tzinfo=UTC)
DAY = date(2024, 5, 1)
JUDGED = (
    "source_file STRING, content_sha256 STRING, line BIGINT, raw STRING, reason STRING, detail STRING, "
    "event_id STRING, user_id STRING, item_id STRING, action STRING, occurred_at TIMESTAMP, sequence BIGINT, "
    "value DOUBLE, context ARRAY<STRUCT<key: STRING, value: STRING>>, event_date DATE"
)


def decided_of(judged, events, books):
    met = met_ids(judged, events)
    return decide_alone(judged, met).unionByName(decide_compared(judged, met, events, books))


def row(file, line, event_id, reason=None, sha256=None):
    raw, detail = ("text", f"why {reason}") if reason else (None, None)
    if event_id is None:
        return (file, sha256 or f"sha-{file}", line, raw, reason, detail, *[None] * 9)
    typed = (event_id, "ann", "tea", "view", NINE, 0, None, [], DAY)
    return (file, sha256 or f"sha-{file}", line, raw, reason, detail, *typed)


def stored(spark, *rows):
    """rows: (event_id, source_file, ingested_at)"""
    values = [(id_, "ann", "tea", "view", NINE, 0, None, [], DAY, file, 1, "old run", at) for id_, file, at in rows]
    return spark.createDataFrame(values, EVENTS.schema)


def verdicts(spark, rows, events=None, books=()):
    decided = decided_of(spark.createDataFrame(rows, JUDGED), events, books)
    return {(found.source_file, found.line): (found.verdict, found.stored) for found in decided.collect()}


NEW, TWICE, BAD, KEPT = ("accepted", False), ("duplicate", False), ("quarantined", False), ("accepted", True)


def test_of_equal_ids_the_smallest_file_and_line_wins(spark):
    rows = [
        row("b", 1, "e1"),
        row("a", 2, "e1"),
        row("a", 1, "e2"),
        row("a", 3, None, "malformed_row"),
        row("a", 4, "e2"),
    ]
    assert verdicts(spark, rows) == {
        ("b", 1): TWICE, ("a", 2): NEW, ("a", 1): NEW, ("a", 3): BAD, ("a", 4): TWICE,
    }  # fmt: skip


def test_a_sound_row_wins_over_a_refused_one_of_the_same_id(spark):
    rows = [row("a", 1, "e1", "future"), row("a", 2, "e1"), row("a", 3, "e1"), row("b", 1, "e1", "too_late")]
    assert verdicts(spark, rows) == {("a", 1): TWICE, ("a", 2): NEW, ("a", 3): TWICE, ("b", 1): TWICE}


def test_what_is_stored_decides_and_a_files_own_rows_are_kept(spark):
    rows = [
        row("b", 1, "e1"),  # stored because of this file, which was never booked: a run died
        row("a", 1, "e1"),  # though it is smaller
        row("a", 2, "e2"),  # stored because of another file
        row("b", 2, "e3", "too_late"),  # stored when it was in time
        row("b", 3, "e4", "too_late"),
        row("b", 4, "e5", "future"),
    ]
    events = stored(spark, ("e1", "b", NINE), ("e2", "z", NINE), ("e3", "b", NINE))
    assert verdicts(spark, rows, events) == {
        ("b", 1): KEPT, ("a", 1): TWICE, ("a", 2): TWICE, ("b", 2): KEPT, ("b", 3): BAD, ("b", 4): BAD,
    }  # fmt: skip


def test_rows_of_an_older_content_of_the_same_path_are_duplicates(spark):
    micros = 1_714_554_000_000_000  # nine
    older, replayed = Book("a", "old", 1, 1, 0, DAY, micros), Book("a", "new", 1, 1, 1, DAY, micros + 1)
    events = stored(spark, ("e1", "a", NINE), ("e2", "a", TEN))
    rows = [row("a", 1, "e1", sha256="new"), row("a", 2, "e2", sha256="new"), row("a", 3, "e3", sha256="new")]
    assert verdicts(spark, rows, events, [older, replayed]) == {("a", 1): TWICE, ("a", 2): KEPT, ("a", 3): NEW}


def test_the_books_and_both_tables_follow_from_the_verdicts(spark):
    rows = [
        row("a", 1, "e1"),
        row("a", 2, "e1"),
        row("a", 3, None, "bad_id"),
        row("a", 4, None, "bad_id"),
        row("b", 1, "e2"),
    ]
    decided = decided_of(spark.createDataFrame(rows, JUDGED), stored(spark, ("e2", "b", NINE)), [])
    files = [("a", "sha-a"), ("b", "sha-b"), ("c", "sha-c")]
    counts = count_rows(decided, files)
    assert counts == {
        files[0]: Count(1, 1, {"bad_id": 2}, {"bad_id": "a:3: why bad_id"}),
        files[1]: Count(1, 0, stored=1),
        files[2]: Count(),
    }
    sizes = {path: (9, NINE) for path, _ in files}
    assert balance(counts, sizes, dict.fromkeys(counts, DAY), "run", TEN) == [
        ("a", "sha-a", 9, NINE, 4, 1, 1, 2, DAY, "run", TEN),
        ("b", "sha-b", 9, NINE, 1, 1, 0, 0, DAY, "run", TEN),
        ("c", "sha-c", 9, NINE, 0, 0, 0, 0, DAY, "run", TEN),
    ]
    added = events_of(decided, "run", TEN).collect()
    assert [(event.event_id, event.source_file, event.source_line, event.run_id) for event in added] == [
        ("e1", "a", 1, "run")
    ]
    assert added[0].ingested_at.replace(tzinfo=UTC) == TEN
    refused = quarantine_of(decided, DAY, "run").collect()
    assert sorted((bad.line, bad.raw, bad.reason, bad.detail, bad.run_date) for bad in refused) == [
        (3, "text", "bad_id", "why bad_id", DAY),
        (4, "text", "bad_id", "why bad_id", DAY),
    ]


def test_too_many_refused_rows_are_told_by_reason_with_an_example():
    counts = {
        ("a", "1"): Count(6, 0, {"bad_id": 1, "future": 2}, {"bad_id": "a:3: why", "future": "a:5: when"}),
        ("b", "2"): Count(0, 0, {"bad_id": 1}, {"bad_id": "b:1: why"}),
    }
    refuse_too_many(counts, 0.4, 0.0)  # exactly the share is allowed
    refuse_too_many({}, 0.0, 0.0)
    with pytest.raises(InputError) as error:
        refuse_too_many(counts, 0.39, 1.0)
    assert str(error.value) == (
        "input.events: 4 of 10 rows refused (40.00%), wanted at most 39.00%: bad_id 2 (a:3: why); "
        "future 2 (a:5: when). Correct the files or the mapping, or raise input.max_rejected_share; "
        "no table was changed"
    )


def test_a_file_of_which_too_much_is_refused_stops_the_run_however_small_its_part_of_it():
    others = ("a", "1"), Count(10_000)
    slipped = Count(10, 0, {"unit_slip": 10, "future": 99}, {"unit_slip": "b:1: why", "future": "b:9: when"})
    few = Count(0, 0, {"unit_slip": 9}, {"unit_slip": "b:1: why"})
    broken = Count(0, 0, {"file_unreadable": 10}, {"file_unreadable": "b: why"})
    for count in (few, broken):
        refuse_too_many(dict([others, (("b", "2"), count)]), 0.1, 0.0)
    refuse_too_many(dict([others, (("b", "2"), slipped)]), 0.1, 10 / 119)  # exactly the share is allowed
    with pytest.raises(InputError) as error:
        refuse_too_many(dict([others, (("b", "2"), slipped)]), 0.1, 0.05)
    assert str(error.value) == (
        "input.events: b: 10 of 119 rows refused, wanted at most 5.00%: unit_slip 10 (b:1: why). Correct the file or "
        "the mapping, or raise input.max_rejected_share_of_file; no table was changed"
    )


def test_the_counts_of_all_files_are_summed_by_verdict_and_reason():
    counts = {
        ("a", "1"): Count(accepted=3, duplicate=1, quarantined={"bad_id": 2}),
        ("b", "2"): Count(accepted=4, quarantined={"bad_id": 1, "future": 5}),
    }
    assert counters_of(counts) == {
        "files_read": 2, "rows_read": 16, "rows_accepted": 7, "rows_duplicate": 1, "rows_quarantined": 8,
        "quarantined_bad_id": 3, "quarantined_future": 5,
    }  # fmt: skip
