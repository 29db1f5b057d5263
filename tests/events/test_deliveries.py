from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest

from intentrec.config import EventSource
from intentrec.errors import ConfigError, InputError
from intentrec.events import (
    REBUILDING,
    Book,
    Rejected,
    compare_layout,
    generation_of,
    layout_of,
    plan_reading,
    read_books,
    refuse_lost_files,
    refuse_read_files,
    watermark_of,
)
from intentrec.tables import INGESTED_FILES

DAY = date(2024, 5, 1)
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_US = 1_714_564_800_000_000


@dataclass(frozen=True)
class Listed:
    path: str
    size: int = 10
    modified_at: datetime = NOON


def book(path, sha256="s1", quarantined=0, size=10, modified_us=NOON_US, run_date=DAY):
    return Book(path, sha256, size, modified_us, quarantined, run_date, NOON_US)


def plan(files, books, rejected=(), replay_all=False):
    return plan_reading(files, books, rejected, replay_all)


def test_only_files_that_are_not_booked_as_listed_are_opened():
    books = [book("a"), book("b"), book("c", modified_us=NOON_US - 1)]
    found = plan([Listed("a"), Listed("b", size=11), Listed("c"), Listed("d")], books)
    assert found.paths == ("b", "c", "d")
    assert found.known == {"a": ("s1",), "b": ("s1",), "c": ("s1",)}
    assert found.replayed == frozenset()


@pytest.mark.parametrize(
    ("due", "replay_all", "replayed", "lines"),
    [
        ((), False, False, {}),
        ((4,), False, True, {"a": {"s1": (4,)}}),
        ((), True, True, {}),
        ((4,), True, True, {}),  # whole
    ],
)
def test_due_lines_are_read_again_or_the_whole_file_on_demand(due, replay_all, replayed, lines):
    rejected = [Rejected("a", "s1", 2, due)]
    found = plan([Listed("a"), Listed("b")], [book("a", quarantined=2), book("b")], rejected, replay_all=replay_all)
    assert found.paths == (("a",) if replayed else ())
    assert found.replayed == ({("a", "s1")} if replayed else frozenset())
    assert found.lines == lines
    assert ("a" in found.known) is not replayed
    assert found.leftover == {"s1"}


def test_an_interrupted_replay_is_seen_by_books_that_disagree():
    for rejected in ([Rejected("a", "s1", 1)], [Rejected("a", "s1", 1, (4,))], []):
        found = plan([Listed("a")], [book("a", quarantined=2)], rejected)
        assert found.replayed == {("a", "s1")}
        assert found.lines == {}  # whole


def test_another_content_of_the_same_path_does_not_replay_the_first():
    books = [book("a", "s1"), book("a", "s2", quarantined=1)]
    found = plan([Listed("a")], books, [Rejected("a", "s2", 1, (7,))])
    assert (found.paths, found.replayed, found.known) == (("a",), {("a", "s2")}, {"a": ("s1",)})
    assert found.lines == {"a": {"s2": (7,)}}


def test_the_watermark_is_the_newest_run_date():
    assert watermark_of([]) is None
    assert watermark_of([book("a"), book("b", run_date=date(2024, 5, 3)), book("c")]) == date(2024, 5, 3)


def test_books_are_read_with_exact_times(spark):
    row = ("a", "s1", 10, NOON, 3, 1, 1, 1, DAY, "run", NOON)
    assert read_books(spark.createDataFrame([row], INGESTED_FILES.schema)) == [book("a", quarantined=1)]


def source(**more):
    columns = {"user_id": "u", "item_id": "it's\\é", "occurred_at": "t"}
    return EventSource(**({"path": "x", "format": "csv", "columns": columns} | more))


def test_a_layout_remembers_its_generation():
    assert generation_of(layout_of([source()], 3)) == 3
    assert generation_of(None) == generation_of(REBUILDING) == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"time_unit": "ms"}, r'input.events.0.time_unit: is "ms", but table events was filled with "iso"'),
        ({"timezone": "Europe/Berlin"}, r'input.events.0.timezone: is "Europe/Berlin", but .* filled with null'),
        ({"context": ["x"]}, r'input.events.0.context: is \["x"\], but table events was filled with \[\]'),
        ({"columns": {"user_id": "u", "occurred_at": "t"}}, r"input.events.0.columns: is {.*}, but .*--rebuild"),
    ],
)
def test_a_mapping_that_would_not_agree_with_old_rows_names_its_key(change, told):
    with pytest.raises(ConfigError, match=told):
        compare_layout(layout_of([source()], 0), layout_of([source(**change)], 0))


def test_paths_formats_and_further_sources_may_change():
    now = layout_of([source(path="y", format="json", lookback_days=9), source(time_unit="s")], 0)
    compare_layout(layout_of([source()], 0), now)


def test_an_interrupted_rebuild_must_be_repeated():
    with pytest.raises(ConfigError, match="a rebuild was interrupted; run ingest_events with --rebuild again"):
        compare_layout(REBUILDING, layout_of([source()], 0))


def booked(*paths: str) -> list[Book]:
    return [Book(path, "sha", 10, NOON_US, 0, DAY, NOON_US) for path in paths]


def test_a_rebuild_that_would_lose_files_is_refused_unless_they_may_go():
    refuse_lost_files({"a", "b", "new"}, booked("a", "b"), 0.0)
    refuse_lost_files({"a"}, booked("a", "b"), 0.5)
    with pytest.raises(InputError, match=r"of 3 files that table events was filled with 2 are not found, b for one"):
        refuse_lost_files({"a"}, booked("a", "b", "c"), 0.5)


def test_a_source_that_joins_and_finds_files_of_another_is_refused():
    source = {"format": "json", "columns": {"user_id": "u", "item_id": "i", "occurred_at": "t"}, "time_unit": "s"}
    one = layout_of([EventSource(path="a*", **source)], 0)
    refuse_read_files(one, [["a1", "a2"], ["b1"]], booked("a1"))
    refuse_read_files(None, [["a1"], ["a1"]], booked("a1"))  # nothing was read under a layout
    with pytest.raises(ConfigError, match=r"input.events.1: 1 of its files were read for another source before, a1"):
        refuse_read_files(one, [["a1", "a2"], ["a1", "b1"]], booked("a1"))
