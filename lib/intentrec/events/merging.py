"""Judged rows -> accepted, duplicate or quarantined: the books of a run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from intentrec.errors import InputError
from intentrec.events.deliveries import Book
from intentrec.events.judging import Bounds
from intentrec.tables import EVENTS, EVENTS_QUARANTINE

_REASONS_TOLD = 3  # by an error
_FEW = 9  # rows of a file
_NO_SLIP = ("future", "too_late", "file_unreadable")  # the rows are sound, or there are none


def may_be_met(events: DataFrame, dates: Sequence[date], bounds: Bounds, named: bool) -> DataFrame | None:
    """Return the EVENTS rows that tonight's rows may repeat; None where there is none.

    A hashed id holds the time, so a repeat has the same date. An id of the log may come back with another time: it
    is looked for in the whole horizon of lateness as well, and not beyond it.

    Args:
        events: EVENTS.
        dates: of tonight's events.
        bounds: of the run.
        named: whether any source has ids of its own.
    """
    same_date = F.col("event_date").isin(list(dates))
    if bounds.earliest is not None and named:
        same_date = same_date | F.col("event_date").between(bounds.earliest.date(), bounds.latest.date())
    known = events.where(same_date)
    return known if dates and known.inputFiles() else None


def met_ids(judged: DataFrame, events: DataFrame | None) -> DataFrame:
    """Return the event_ids of several rows, or of a row and an event: few, so only ids are shuffled to find them.

    Args:
        judged: rows as of ``judge``, kind ``row`` only.
        events: EVENTS rows that may be met again; None for an empty table.

    Returns:
        One row per id: event_id.
    """
    ids = judged.where(F.col("event_id").isNotNull()).select("event_id", F.lit(1).alias("rows"))
    if events is not None:
        ids = ids.unionByName(events.select("event_id", F.lit(0).alias("rows")))
    counted = ids.groupBy("event_id").agg(F.sum("rows").alias("tonight"), F.count("*").alias("all"))
    return counted.where((F.col("tonight") > 0) & (F.col("all") > 1)).select("event_id")


def decide_alone(judged: DataFrame, met: DataFrame) -> DataFrame:
    """Decide about the rows whose id is met once, or that have none: ``accepted`` or ``quarantined``.

    Args:
        judged: rows as of ``judge``, kind ``row`` only.
        met: of ``met_ids``.

    Returns:
        Those rows with ``verdict``, and ``stored``: whether EVENTS holds this very row already, here false.
    """
    alone = judged.join(met, "event_id", "left_anti")  # rows without an id as well
    verdict = F.when(F.col("reason").isNull() & F.col("event_id").isNotNull(), "accepted").otherwise("quarantined")
    return alone.withColumns({"verdict": verdict, "stored": F.lit(False)})


def decide_compared(judged: DataFrame, met: DataFrame, events: DataFrame | None, books: Iterable[Book]) -> DataFrame:
    """Decide about the rows whose id is met again: ``accepted``, ``duplicate`` or ``quarantined``.

    Of rows with one event_id the smallest (source_file, line) wins, a sound one before one that is refused, the first
    sending of a clock that was wrong say; but one that is in ``events`` because of its
    own file wins over it; so a file that is read again, after a crash or for a replay, keeps what it had, even
    what would be too late by now. A row in ``events`` because of another file, or because of an older content
    of the same file, makes all others duplicates.

    Args:
        judged: rows as of ``judge``, kind ``row`` only.
        met: of ``met_ids``.
        events: EVENTS rows that may be met again; None for an empty table.
        books: what was booked before, to tell the contents of one path apart.

    Returns:
        Those rows with ``verdict`` and ``stored``, as of ``decide_alone``.
    """
    sound = judged.join(met, "event_id", "left_semi")
    columns = sound.columns
    sound = (
        _with_own(sound, events, books)
        if events is not None
        else sound.withColumns({"_known": F.lit(False), "_own": F.lit(False)})
    )
    refused = F.col("reason").isNotNull()
    order = [F.col("_own").desc(), refused, F.col("source_file"), F.col("line"), F.col("content_sha256")]
    place = F.row_number().over(Window.partitionBy("event_id").orderBy(*order))
    verdict = (
        F.when(F.col("_place") > 1, "duplicate")
        .when(F.col("_own"), "accepted")
        .when(F.col("_known"), "duplicate")
        .when(F.col("reason").isNotNull(), "quarantined")
        .otherwise("accepted")
    )
    decided = sound.withColumn("_place", place).withColumns({"verdict": verdict, "stored": F.col("_own")})
    return decided.select(*columns, "verdict", "stored")


def _with_own(sound: DataFrame, events: DataFrame, books: Iterable[Book]) -> DataFrame:
    known = events.select(
        "event_id", F.col("source_file").alias("_file"), F.unix_micros("ingested_at").alias("_ingested_us")
    )
    joined = sound.join(known, "event_id", "left")
    own = F.col("_file") == F.col("source_file")
    rows = [(book.path, book.content_sha256, book.ingested_us) for book in books]
    if rows:
        booked = sound.sparkSession.createDataFrame(rows, "_path STRING, _sha STRING, _booked_us BIGINT")
        other = (F.col("_path") == F.col("source_file")) & (F.col("_sha") != F.col("content_sha256"))
        files = judged_files(sound).join(F.broadcast(booked), other).groupBy("source_file", "content_sha256")
        older = files.agg(F.max("_booked_us").alias("_older_us"))
        joined = joined.join(F.broadcast(older), ["source_file", "content_sha256"], "left")
        own = own & (F.col("_older_us").isNull() | (F.col("_ingested_us") > F.col("_older_us")))
    return joined.withColumns({"_known": F.col("_file").isNotNull(), "_own": F.coalesce(own, F.lit(False))})


def judged_files(rows: DataFrame) -> DataFrame:
    """Return the files the rows come from, one row per path and content."""
    return rows.select("source_file", "content_sha256").distinct()


def events_of(decided: DataFrame, run_id: str, ingested_at: datetime) -> DataFrame:
    """Return the EVENTS rows to add: accepted and not stored yet."""
    new = decided.where((F.col("verdict") == "accepted") & ~F.col("stored"))
    return EVENTS.conform(
        new.withColumns(
            {"source_line": F.col("line"), "run_id": F.lit(run_id), "ingested_at": F.lit(ingested_at).cast("timestamp")}
        )
    )


def quarantine_of(decided: DataFrame, run_date: date, run_id: str) -> DataFrame:
    """Return the EVENTS_QUARANTINE rows of a run; the text of a row stands in raw, of a whole file nothing."""
    refused = decided.where(F.col("verdict") == "quarantined")
    return EVENTS_QUARANTINE.conform(refused.withColumns({"run_date": F.lit(run_date), "run_id": F.lit(run_id)}))


@dataclass(slots=True)
class Count:
    """The rows of one file content, by verdict and reason."""

    accepted: int = 0
    duplicate: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    stored: int = 0

    @property
    def num_quarantined(self) -> int:
        """Return the quarantined rows of all reasons."""
        return sum(self.quarantined.values())

    @property
    def num_read(self) -> int:
        """Return all rows."""
        return self.accepted + self.duplicate + self.num_quarantined


def count_rows(decided: DataFrame, files: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Count]:
    """Count the rows by file; one Spark action.

    Args:
        decided: rows with their verdict.
        files: (path, content_sha256) of every file that was read; those without rows count 0.
    """
    counts = {file: Count() for file in sorted(files)}
    example = F.min(F.struct(F.coalesce("line", F.lit(0)).alias("line"), "detail"))
    groups = decided.groupBy("source_file", "content_sha256", "verdict", "reason", "stored")
    for row in groups.agg(F.count("*").alias("rows"), example.alias("example")).collect():
        count = counts[row.source_file, row.content_sha256]
        if row.verdict == "quarantined":
            count.quarantined[row.reason] = count.quarantined.get(row.reason, 0) + row.rows
            count.examples[row.reason] = _example(row)
        else:
            setattr(count, row.verdict, getattr(count, row.verdict) + row.rows)
            count.stored += row.rows if row.stored else 0
    return counts


def _example(row: Row) -> str:
    place = f"{row.source_file}:{row.example.line}" if row.example.line else row.source_file
    return f"{place}: {row.example.detail}"


def refuse_too_many(counts: Mapping[tuple[str, str], Count], most: float, most_of_file: float) -> None:
    """Refuse a run of whose rows, or of one of whose files, too many were quarantined.

    Args:
        counts: by (path, content_sha256).
        most: greatest share of the rows of all files.
        most_of_file: greatest share of one file's rows; only reasons count that speak against the file or its mapping,
            and only from ten rows on: one bad line in a file of one is no slip of the mapping.

    Raises:
        InputError: a share is above its limit; names the most frequent reasons with an example each.
    """
    for (path, _), count in counts.items():
        wrong = {reason: rows for reason, rows in count.quarantined.items() if reason not in _NO_SLIP}
        refused = sum(wrong.values())
        if refused > max(most_of_file * count.num_read, _FEW):
            raise InputError(
                f"input.events: {path}: {refused:,} of {count.num_read:,} rows refused, wanted at most "
                f"{most_of_file:.2%}: {_told(wrong, count.examples)}. Correct the file or the mapping, or raise "
                "input.max_rejected_share_of_file; no table was changed"
            )
    several = [*counts.values()]
    read = sum(count.num_read for count in several)
    reasons: dict[str, int] = {}
    examples: dict[str, str] = {}
    for count in several:
        for reason, rows in count.quarantined.items():
            reasons[reason] = reasons.get(reason, 0) + rows
            examples.setdefault(reason, count.examples[reason])
    refused = sum(reasons.values())
    if refused <= most * read:
        return
    raise InputError(
        f"input.events: {refused:,} of {read:,} rows refused ({refused / read:.2%}), wanted at most {most:.2%}: "
        f"{_told(reasons, examples)}. Correct the files or the mapping, or raise input.max_rejected_share; "
        "no table was changed"
    )


def _told(reasons: Mapping[str, int], examples: Mapping[str, str]) -> str:
    top = sorted(reasons, key=lambda reason: (-reasons[reason], reason))[:_REASONS_TOLD]
    return "; ".join(f"{reason} {reasons[reason]:,} ({examples[reason]})" for reason in top)


def balance(
    counts: Mapping[tuple[str, str], Count], sizes: Mapping[str, tuple[int, datetime]],
    run_dates: Mapping[tuple[str, str], date], run_id: str, ingested_at: datetime,
) -> list[tuple[object, ...]]:  # fmt: skip
    """Return the rows of INGESTED_FILES for the files that were read, sorted by path.

    Args:
        counts: by (path, content_sha256).
        sizes: path: bytes and time of change as listed.
        run_dates: the run date that read each content; the newest one, of what is replayed for an older date.
        run_id: the run that read them.
        ingested_at: aware, UTC.
    """
    return [
        (
            path, sha256, sizes[path][0], sizes[path][1], count.num_read, count.accepted, count.duplicate,
            count.num_quarantined, run_dates[path, sha256], run_id, ingested_at,
        )
        for (path, sha256), count in counts.items()
    ]  # fmt: skip


def count_new_rows(counts: Mapping[tuple[str, str], Count], books: Iterable[Book]) -> int:
    """Return the rows of contents that no run has read before: a replay or a rebuild brings no volume."""
    before = {(book.path, book.content_sha256) for book in books}
    return sum(count.num_read for file, count in counts.items() if file not in before)


def counters_of(counts: dict[tuple[str, str], Count]) -> dict[str, int]:
    """Sum up the counts of all files, quarantined rows by reason as well."""
    several = counts.values()
    counters = {
        "files_read": len(counts),
        "rows_read": sum(count.num_read for count in several),
        "rows_accepted": sum(count.accepted for count in several),
        "rows_duplicate": sum(count.duplicate for count in several),
        "rows_quarantined": sum(count.num_quarantined for count in several),
    }
    for count in several:
        for reason, rows in count.quarantined.items():
            counters[f"quarantined_{reason}"] = counters.get(f"quarantined_{reason}", 0) + rows
    return counters
