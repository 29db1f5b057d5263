"""raw logs -> events, events_quarantine, items, users, rules, ingested_files. Safe again: a file is read once."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec import events as stage
from intentrec.config import EventSource, RulesSource, Snapshot
from intentrec.errors import InputError
from intentrec.ledger import Run, Stage, counted, erased_users, run_job, tonight
from intentrec.logs import Asked, LogFile, find_files, read_rows, read_rules
from intentrec.tables import EVENTS, EVENTS_QUARANTINE, INGESTED_FILES, ITEMS, RULES, USERS, Table

_DATES_PER_WRITE = 8  # beyond that each date is written by one task, or every task would leave a file for each date

Snapshots = dict[str, tuple[Snapshot, DataFrame]]


def ingest_events(run: Run) -> dict[str, int]:
    """Read what is new, check all of it, then write; INGESTED_FILES comes last, so a crash reads the files again."""
    booked = stage.read_books(run.warehouse.read(INGESTED_FILES))
    layout, found = _checked_layout(run), _found(run, booked)
    books = [] if run.rebuild else booked
    bounds = stage.bounds_of(
        run.cutoff, run.run_date, stage.watermark_of(books), run.config.input.late_days, run.config.input.future_days
    )
    files = {file.path: file for _, listed in found for file in listed}
    quarantine, latest_us = run.warehouse.read(EVENTS_QUARANTINE), stage.micros_of(bounds.latest)
    rejected = [] if run.rebuild else stage.read_rejected(quarantine, latest_us)
    plan = stage.plan_reading([*files.values()], books, rejected, run.replay_quarantine)
    if not plan.paths:
        run.warn(f"no new file among {len(files):,} that match input.events")
    erased = erased_users(run)
    judged = _judged(run, found, plan, (bounds, erased))
    rules = read_rules(run.spark, run.config.input, run.run_date, run.config.timezone, erased)
    with _kept(judged), _snapshots(run, erased) as snapshots, nullcontext() if rules is None else _kept(rules):
        read, dates, rows_erased = _opened(judged)
        named = any("event_id" in source.columns for source in run.config.input.events)
        known = None if run.rebuild else stage.may_be_met(run.warehouse.read(EVENTS), dates, bounds, named)
        with _decided(judged.where(F.col("kind") == "row"), known, books) as decided:
            counts = stage.count_rows(decided, read)
            settings = run.config.input
            stage.refuse_too_many(counts, settings.max_rejected_share, settings.max_rejected_share_of_file)
            rows_new = stage.count_new_rows(counts, booked)
            if not run.rebuild:
                nights = counted(run, STAGE.name, "rows_new")
                stage.refuse_odd_volume(rows_new, run.run_date, nights, settings.volume)
            counters, bad_snapshots = _count_snapshots(run, snapshots)
            if rules is not None:
                counters["rules_rows"] = stage.refuse_bad_rules(rules)
            _compare_items(run, snapshots, stage.watermark_of(books))
            _write_events(run, layout, decided, dates)
            contents = {sha256 for _, sha256 in read} | bad_snapshots
            refused = _refused(run, decided, snapshots)
            if not plan.leftover.isdisjoint(contents):
                left = stage.left_in_quarantine(run.warehouse.read(EVENTS_QUARANTINE), read, plan.lines)
                run.warehouse.replace(EVENTS_QUARANTINE, refused.unionByName(left), content_sha256=sorted(contents))
            elif bad_snapshots or any(count.quarantined for count in counts.values()):
                run.warehouse.append(EVENTS_QUARANTINE, refused)
        _write_items(run, snapshots)
        _write_users(run, snapshots)
        counters |= _write_rules(run, rules)
    _write_books(run, counts, files, plan)
    kept_out = {"rows_erased": rows_erased} if rows_erased else {}
    return stage.counters_of(counts) | {"rows_new": rows_new} | kept_out | counters


def _checked_layout(run: Run) -> str:
    remembered = run.warehouse.layout(EVENTS)
    generation = run.warehouse.version(EVENTS) if run.rebuild else stage.generation_of(remembered)
    layout = stage.layout_of(run.config.input.events, generation)
    if remembered is not None and not run.rebuild:
        stage.compare_layout(remembered, layout)
    return layout


def _found(run: Run, booked: Sequence[stage.Book]) -> list[tuple[EventSource, tuple[LogFile, ...]]]:
    """List the files of every source."""
    found = [(source, find_files(run.spark, source, run.run_date)) for source in run.config.input.events]
    listed = [[file.path for file in files] for _, files in found]
    if run.rebuild:
        paths = {path for paths in listed for path in paths}
        stage.refuse_lost_files(paths, booked, run.config.input.max_files_gone_share)
    else:
        stage.refuse_read_files(run.warehouse.layout(EVENTS), listed, booked)
    return found


def _judged(
    run: Run,
    found: Sequence[tuple[EventSource, tuple[LogFile, ...]]],
    plan: stage.Plan,
    limits: tuple[stage.Bounds, stage.Erased | None],
) -> DataFrame:
    parts = []
    bounds, erased = limits
    for source, listed in found:
        columns = stage.columns_of(source)
        nested = [name for name in columns if name.startswith("context_")]
        wanted = [file for file in listed if file.path in set(plan.paths)]
        asked = Asked.of(source.format, columns, nested, source.options)
        rows = read_rows(run.spark, wanted, asked, plan.known, plan.lines)
        rows = stage.mark_erased(rows, erased)
        parts.append(stage.judge(rows, source, run.config.input.actions, bounds))
    return reduce(DataFrame.unionByName, parts)


@contextmanager
def _kept(rows: DataFrame) -> Iterator[DataFrame]:
    try:
        yield rows.persist()
    finally:
        rows.unpersist()


@contextmanager
def _decided(rows: DataFrame, known: DataFrame | None, books: Sequence[stage.Book]) -> Iterator[DataFrame]:
    """Decide about every row; only what is met again is kept once more."""
    with _kept(stage.met_ids(rows, known)) as met:
        met.count()  # joins are planned by its size: mostly it is small enough to be sent to all tasks
        with _kept(stage.decide_compared(rows, met, known, books)) as compared:
            yield stage.decide_alone(rows, met).unionByName(compared)


@contextmanager
def _snapshots(run: Run, erased: stage.Erased | None) -> Iterator[Snapshots]:
    kept: Snapshots = {}
    try:
        for kind in ("items", "users"):
            snapshot: Snapshot | None = getattr(run.config.input, kind)
            if snapshot is not None:
                columns = stage.columns_of_snapshot(snapshot, kind)
                nested = [name for name in columns if name == "categories" or name.startswith("attribute_")]
                files = find_files(run.spark, snapshot, run.run_date)
                rows = read_rows(run.spark, files, Asked.of(snapshot.format, columns, nested, snapshot.options), {})
                judged = (
                    stage.judge_items(rows, snapshot, run.config.timezone)
                    if kind == "items"
                    else stage.judge_users(stage.mark_erased(rows, erased), snapshot)
                )
                kept[kind] = (snapshot, judged.persist())
        yield kept
    finally:
        for _, rows in kept.values():
            rows.unpersist()


def _opened(judged: DataFrame) -> tuple[list[tuple[str, str]], list[date], int]:
    """Read everything once: which files were read, which dates their events have, how many rows are kept out."""
    about_file = ~F.col("kind").isin("row", stage.ERASED)
    notice = F.when(about_file, F.struct("kind", "source_file", "content_sha256", "detail"))
    notices, dates = F.collect_list(notice).alias("notices"), F.collect_set("event_date").alias("dates")
    told = judged.agg(notices, dates, F.count_if(F.col("kind") == stage.ERASED).alias("erased")).collect()[0]
    for row in told.notices:
        if row.kind == "foreign":
            raise InputError(f"{row.source_file}: {row.detail}; correct the file or input.events, no table was changed")
    read = [(row.source_file, row.content_sha256) for row in told.notices if row.kind == "file"]
    return read, sorted(told.dates), told.erased


def _count_snapshots(run: Run, snapshots: Snapshots) -> tuple[dict[str, int], set[str]]:
    """Check the snapshots; return what was counted, and the contents that hold refused rows."""
    most = run.config.input.max_rejected_share
    counters: dict[str, int] = {}
    bad: set[str] = set()
    for kind, (snapshot, judged) in snapshots.items():
        counted, contents = stage.refuse_bad_snapshot(judged, kind, snapshot.path, most)
        counters |= {f"{kind}_{name}": rows for name, rows in counted.items()}
        bad |= contents
    return counters, bad


def _compare_items(run: Run, snapshots: Snapshots, before: date | None) -> None:
    """Compare the catalogue with that of the newest night before, if tonight is newer."""
    if "items" in snapshots and before is not None and before < run.run_date:
        snapshot, judged = snapshots["items"]
        items = run.warehouse.read(ITEMS).where(F.col("run_date") == F.lit(before))
        stage.refuse_lost_items(judged, items, snapshot.path, run.config.input.max_items_gone_share)


def _write_events(run: Run, layout: str, decided: DataFrame, dates: list[date]) -> None:
    new = stage.events_of(decided, run.run_id, run.started_at)
    if len(dates) > _DATES_PER_WRITE:
        new = new.repartition("event_date")
    if run.rebuild:
        run.warehouse.set_layout(EVENTS, stage.REBUILDING)
        run.warehouse.empty(INGESTED_FILES)
        old = [row.event_date for row in run.warehouse.read(EVENTS).select("event_date").distinct().collect()]
        run.warehouse.replace(EVENTS, new, event_date=sorted({*dates, *old}))
        run.warehouse.empty(EVENTS_QUARANTINE)
        run.warehouse.set_layout(EVENTS, layout)
        return
    if run.warehouse.layout(EVENTS) != layout:
        run.warehouse.set_layout(EVENTS, layout)  # before the first row, so that no row stands there without it
    if dates:
        run.warehouse.append(EVENTS, new)


def _refused(run: Run, decided: DataFrame, snapshots: Snapshots) -> DataFrame:
    refused = stage.quarantine_of(decided, run.run_date, run.run_id)
    for _, judged in snapshots.values():
        bad = judged.where((F.col("kind") == "row") & F.col("reason").isNotNull())
        bad = bad.withColumn("verdict", F.lit("quarantined"))
        refused = refused.unionByName(stage.quarantine_of(bad, run.run_date, run.run_id))
    return refused


def _visible_events(run: Run) -> DataFrame:
    end = run.cutoff.end_of(run.run_date)
    visible = F.unix_micros("occurred_at") < stage.micros_of(end)
    return run.warehouse.read(EVENTS).where((F.col("event_date") <= F.lit(end.date())) & visible)


def _write_items(run: Run, snapshots: Snapshots) -> None:
    events = _visible_events(run)
    if "items" in snapshots:
        items = stage.items_from_catalogue(snapshots["items"][1], events, run.run_date, run.run_id)
    else:
        items = stage.items_from_events(events, run.run_date, run.run_id)
    run.warehouse.replace(ITEMS, items, run_date=run.run_date)


def _write_users(run: Run, snapshots: Snapshots) -> None:
    if "users" in snapshots:
        users = stage.users_from_snapshot(snapshots["users"][1], run.run_date, run.run_id)
        run.warehouse.replace(USERS, users, run_date=run.run_date)
    else:
        _clear(run, USERS)


def _write_rules(run: Run, judged: DataFrame | None) -> dict[str, int]:
    """Write the rules; return how many of them speak of what nobody knows."""
    if judged is None:
        _clear(run, RULES)
        return {}
    run.warehouse.replace(RULES, stage.rules_of(judged, run.run_date, run.run_id), run_date=run.run_date)
    rules, items, users = (tonight(run, table) for table in (RULES, ITEMS, USERS))
    unknown = stage.count_unknown(rules, items, users, _visible_events(run))
    if any(unknown.values()):
        run.warn(f"table rules: some match nothing: {', '.join(f'{name} {rows:,}' for name, rows in unknown.items())}")
    return unknown


def _clear(run: Run, table: Table) -> None:
    if tonight(run, table).inputFiles():
        run.warehouse.delete(table, run_date=run.run_date)


def _write_books(
    run: Run, counts: dict[tuple[str, str], stage.Count], files: dict[str, LogFile], plan: stage.Plan
) -> None:
    """Book the files that were read; the books of replayed contents are replaced, others of equal content kept."""
    if not counts:
        return
    sizes = {path: (file.size, file.modified_at) for path, file in files.items()}
    contents = sorted({sha256 for _, sha256 in counts})
    replayed = not run.rebuild and not plan.replayed.isdisjoint(counts)
    same = (
        run.warehouse.read(INGESTED_FILES).where(F.col("content_sha256").isin(contents)).collect() if replayed else []
    )
    whole = stage.with_unread_rows(counts, same, plan.lines)
    dates = stage.newest_dates(whole, same, run.run_date)
    rows = stage.balance(whole, sizes, dates, run.run_id, run.started_at)
    new = run.spark.createDataFrame(rows, INGESTED_FILES.schema)
    if replayed:
        others = [row for row in same if (row.path, row.content_sha256) not in counts]
        kept = run.spark.createDataFrame(others, INGESTED_FILES.schema)
        run.warehouse.replace(INGESTED_FILES, new.unionByName(kept), content_sha256=contents)
    else:
        run.warehouse.append(INGESTED_FILES, new)


def _fingerprint(run: Run) -> str:
    """Hash path, size and time of change of every file that matches, but those that a later run date has read."""
    books = stage.read_books(run.warehouse.read(INGESTED_FILES))
    later = {(book.path, book.size, book.modified_us) for book in books if book.run_date > run.run_date}
    sources: list[EventSource | Snapshot | RulesSource] = [*run.config.input.events, *run.config.input.rules]
    sources += [snapshot for snapshot in (run.config.input.items, run.config.input.users) if snapshot]
    listed = (file for source in sources for file in find_files(run.spark, source, run.run_date))
    seen = ((file.path, file.size, stage.micros_of(file.modified_at)) for file in listed)
    return hashlib.sha256(repr(sorted({*seen} - later)).encode()).hexdigest()


STAGE = Stage(
    name="ingest_events",
    body=ingest_events,
    reads=(),
    writes=(EVENTS, EVENTS_QUARANTINE, ITEMS, USERS, RULES, INGESTED_FILES),
    fingerprint=_fingerprint,
)

if __name__ == "__main__":
    sys.exit(run_job(STAGE))
