"""Which files are read tonight: new ones, changed ones, and those whose refused rows may pass now."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.config import EventSource
from intentrec.errors import ConfigError, InputError

REBUILDING = "rebuilding"  # remembered while all rows are replaced
_LAYOUT_KEYS = ("columns", "time_unit", "timezone", "context")

Lines = Mapping[str, Mapping[str, tuple[int, ...]]]  # path: SHA-256: ascending line numbers


class Listed(Protocol):
    """A file as listed."""

    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def modified_at(self) -> datetime: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Book:
    """A row of INGESTED_FILES, as far as planning needs it; times in microseconds since 1970."""

    path: str
    content_sha256: str
    size: int
    modified_us: int | None
    rows_quarantined: int
    run_date: date
    ingested_us: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """What EVENTS_QUARANTINE holds of one file content; ``due`` are the lines that came too early and no longer do."""

    path: str
    content_sha256: str
    rows: int
    due: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read tonight.

    Attributes:
        paths: files to open.
        known: path: contents that shall not be read again.
        replayed: contents (path, SHA-256) that are read again.
        lines: what is read of those contents of which only some lines are.
        leftover: SHA-256 of contents of which EVENTS_QUARANTINE holds rows already.
    """

    paths: tuple[str, ...]
    known: Mapping[str, tuple[str, ...]]
    replayed: frozenset[tuple[str, str]]
    lines: Lines
    leftover: frozenset[str]


def read_books(ingested_files: DataFrame) -> list[Book]:
    """Collect INGESTED_FILES: one row per file ever read."""
    rows = ingested_files.select(
        "path", "content_sha256", "size", F.unix_micros("modified_at").alias("modified_us"), "rows_quarantined",
        "run_date", F.unix_micros("ingested_at").alias("ingested_us"),
    )  # fmt: skip
    return [Book(*row) for row in rows.collect()]


def watermark_of(books: Iterable[Book]) -> date | None:
    """Return the newest run date that was ingested; None if nothing was."""
    return max((book.run_date for book in books), default=None)


def plan_reading(
    files: Sequence[Listed], books: Sequence[Book], rejected: Sequence[Rejected], replay_all: bool
) -> Plan:
    """Choose the files to open.

    A file whose path, size and time of change are booked is not opened, unless one of its contents is to be
    replayed: of it some ``future`` rows are due, then only these are read; or ``replay_all`` and it has any quarantined
    row; or its book and EVENTS_QUARANTINE disagree, because a replay was interrupted.

    Args:
        files: as listed tonight.
        books: what was read before.
        rejected: what EVENTS_QUARANTINE holds by file content.
        replay_all: ``--replay-quarantine``.
    """
    held = {(part.path, part.content_sha256): part for part in rejected}
    known: dict[str, tuple[str, ...]] = {}
    lines: dict[str, dict[str, tuple[int, ...]]] = {}
    replayed = set()
    for book in books:
        file = (book.path, book.content_sha256)
        found = held.get(file, Rejected(*file, rows=0))
        whole = found.rows != book.rows_quarantined or (replay_all and found.rows > 0)
        if whole or found.due:
            replayed.add(file)
        else:
            known[book.path] = (*known.get(book.path, ()), book.content_sha256)
        if found.due and not whole:
            lines.setdefault(book.path, {})[book.content_sha256] = found.due
    unchanged = {(book.path, book.size, book.modified_us) for book in books}
    again = {path for path, _ in replayed}
    paths = (
        file.path for file in files
        if file.path in again or (file.path, file.size, _micros(file.modified_at)) not in unchanged
    )  # fmt: skip
    return Plan(tuple(paths), known, frozenset(replayed), lines, frozenset(part.content_sha256 for part in rejected))


def refuse_lost_files(listed: Collection[str], books: Sequence[Book], most: float) -> None:
    """Refuse a rebuild that would not find the files again that EVENTS was filled with: their events would go.

    Args:
        listed: paths, as listed tonight.
        books: what was read before.
        most: share of the booked paths that may be missing.

    Raises:
        InputError: more are; nothing was changed.
    """
    booked = {book.path for book in books}
    lost = sorted(booked.difference(listed))
    if len(lost) > most * len(booked):
        raise InputError(
            f"input.events: of {len(booked):,} files that table events was filled with {len(lost):,} are not found, "
            f"{lost[0]} for one, and --rebuild would lose their events; widen input.events.lookback_days, restore "
            "them, or let them go with --set input.max_files_gone_share=1; no table was changed"
        )


def refuse_read_files(remembered: str | None, listed: Sequence[Sequence[str]], books: Sequence[Book]) -> None:
    """Refuse a source that joins the others and finds files that they have read: a file is read once.

    Args:
        remembered: of ``layout_of``, when EVENTS was last filled; None: never.
        listed: paths of every source, as listed tonight.
        books: what was read before.

    Raises:
        ConfigError: names the source and one of the files.
    """
    known = len(listed) if remembered is None else len(json.loads(remembered)["sources"])
    booked = {book.path for book in books}
    for number, paths in enumerate(listed[known:], known):
        again = sorted(booked.intersection(paths))
        if again:
            raise ConfigError(
                f"input.events.{number}: {len(again):,} of its files were read for another source before, {again[0]} "
                "for one, and would not be read again; run ingest_events with --rebuild"
            )


def _micros(instant: datetime) -> int:
    return int(instant.timestamp()) * 1_000_000 + instant.microsecond


def layout_of(sources: Sequence[EventSource], generation: int) -> str:
    """Return what makes old and new EVENTS rows agree, as JSON.

    Args:
        sources: their mappings, units and zones are kept; paths and formats are not.
        generation: changes with every rebuild, so that readers of the table know that rows went away.
    """
    kept = [source.model_dump(mode="json", include=set(_LAYOUT_KEYS)) for source in sources]
    for source in kept:
        source["context"] = sorted(source["context"])
    return json.dumps({"sources": kept, "generation": generation}, sort_keys=True)


def generation_of(layout: str | None) -> int:
    """Return the generation that ``layout_of`` wrote; 0 where nothing is remembered."""
    return int(json.loads(layout)["generation"]) if layout and layout != REBUILDING else 0


def compare_layout(remembered: str, current: str) -> None:
    """Refuse a mapping under which new rows would not agree with those in the table; further sources are welcome.

    Raises:
        ConfigError: names the first key that differs and both values; or a rebuild was interrupted.
    """
    if remembered == REBUILDING:
        raise ConfigError("table events: a rebuild was interrupted; run ingest_events with --rebuild again")
    before, now = (json.loads(text)["sources"] for text in (remembered, current))
    for number, (old, new) in enumerate(zip(before, now, strict=False)):
        for key in _LAYOUT_KEYS:
            if old[key] != new[key]:
                raise ConfigError(
                    f"input.events.{number}.{key}: is {json.dumps(new[key])}, but table events was filled with "
                    f"{json.dumps(old[key])}; restore it, or run ingest_events with --rebuild to read all files again"
                )
