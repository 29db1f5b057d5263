"""events -> sessions, around the events that are new. Safe to run again: a session is replaced as a whole."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.events import generation_of, micros_of
from intentrec.ledger import Run, Stage, run_job
from intentrec.sessions import REBUILDING, Built, Limits, compare_layout, sessionize, sessions_to_rebuild, settings_of
from intentrec.tables import EVENTS, SESSIONS


def build_sessions(run: Run) -> dict[str, int]:
    """Bring the table to the sessions of all events before the end of the newest run date, in one commit.

    Counted are the events taken in (on a rebuild all of them), and the sessions that went and came because of them.

    What was read is remembered after that commit: a crash in between takes the same events in again, and an event
    that is in a session already is dropped as a repeat.
    """
    settings = settings_of(run.config)
    built = Built.from_text(run.warehouse.layout(SESSIONS))
    if built is not None and not run.rebuild:
        compare_layout(built, settings)
    generation = generation_of(run.warehouse.layout(EVENTS))
    until = run.run_date if built is None else max(run.run_date, built.until)
    now = Built(settings, until, run.warehouse.version(EVENTS), generation)
    if built is None or run.rebuild or built.generation != generation:
        counters = _build_all(run, now)
    else:
        counters = _build_on(run, built, now)
    if now != built:
        run.warehouse.set_layout(SESSIONS, now.text())
    return counters


def _build_all(run: Run, now: Built) -> dict[str, int]:
    end = run.cutoff.end_of(now.until)
    events = run.warehouse.read(EVENTS, now.events_version).where(_between(None, end))
    sessions = sessionize(events, Limits.of(run.config.sessions), run.run_id)
    old = {row[0]: row[1] for row in run.warehouse.read(SESSIONS).groupBy("session_date").count().collect()}
    if old:
        dates = [row[0] for row in events.select("event_date").distinct().collect()]
        run.warehouse.set_layout(SESSIONS, REBUILDING)
        run.warehouse.replace(SESSIONS, sessions, session_date=sorted({*old, *dates}))
    else:
        run.warehouse.append(SESSIONS, sessions)
    # Two numbers of one small column of what was just written, rather than the events or their sessions once more.
    num_events, num_built = run.warehouse.read(SESSIONS).agg(F.sum("num_events"), F.count("*")).collect()[0]
    return {"events_new": num_events or 0, "sessions_replaced": sum(old.values()), "sessions_built": num_built}


def _build_on(run: Run, built: Built, now: Built) -> dict[str, int]:
    limits = Limits.of(run.config.sessions)
    with _kept(_touched(run, built, now)) as touched:
        first_us, num_touched = touched.agg(F.min(F.unix_micros("occurred_at")), F.count("*")).collect()[0]
        if not num_touched:
            return {"events_new": 0, "sessions_replaced": 0, "sessions_built": 0}
        reach = F.timestamp_micros(F.lit(first_us - limits.gap_us - limits.max_us))
        near = run.warehouse.read(SESSIONS).where(F.col("session_date") >= F.to_date(reach))
        with _kept(sessions_to_rebuild(near, touched, limits)) as marked:
            old = marked.where("rebuilt").drop("rebuilt")
            with _kept(sessionize(touched, limits, run.run_id, old)) as new:
                dated = old.select("session_date", F.lit(1).alias("old")).unionByName(
                    new.select("session_date", F.lit(0).alias("old"))
                )
                per_date = (
                    dated.groupBy("session_date").agg(F.sum("old").alias("old"), F.count("*").alias("all")).collect()
                )
                dates = sorted(row.session_date for row in per_date)
                kept = marked.where(~F.col("rebuilt") & F.col("session_date").isin(dates)).drop("rebuilt")
                run.warehouse.replace(SESSIONS, new.unionByName(kept), session_date=dates)
    replaced = sum(row.old for row in per_date)
    return {
        "events_new": num_touched,
        "sessions_replaced": replaced,
        "sessions_built": sum(row["all"] for row in per_date) - replaced,
    }


def _touched(run: Run, built: Built, now: Built) -> DataFrame:
    """Return the events that the table lacks: added since it was built, and visible since the newest run date moved."""
    before, end = run.cutoff.end_of(built.until), run.cutoff.end_of(now.until)
    events = run.warehouse.read(EVENTS, now.events_version)
    touched = events.where(_between(before, end))
    if now.events_version > built.events_version:
        added = run.warehouse.inserted_since(EVENTS, built.events_version)
        touched = touched.unionByName(added.where(_between(None, before)))
    return touched


def _between(first: datetime | None, end: datetime) -> Column:
    """Select events from ``first`` on, before ``end``; by date as well, so that only those partitions are read."""
    micros = F.unix_micros("occurred_at")
    found = (micros < micros_of(end)) & (F.col("event_date") <= F.lit(end.date()))
    if first is None:
        return found
    return found & (micros >= micros_of(first)) & (F.col("event_date") >= F.lit(first.date()))


@contextmanager
def _kept(rows: DataFrame) -> Iterator[DataFrame]:
    rows.persist()
    try:
        yield rows
    finally:
        rows.unpersist()


def _fingerprint(run: Run) -> str:
    """Hash the files of all events that tonight's run date can see."""
    end = run.cutoff.end_of(run.run_date) - timedelta(microseconds=1)
    files = run.warehouse.read(EVENTS).where(F.col("event_date") <= F.lit(end.date())).inputFiles()
    names = sorted("/".join(file.rsplit("/", 2)[1:]) for file in files)  # a warehouse that moves stays what it is
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


STAGE = Stage(
    name="build_sessions",
    body=build_sessions,
    reads=(EVENTS,),
    writes=(SESSIONS,),
    fingerprint=_fingerprint,
    remembers=(SESSIONS,),
)

if __name__ == "__main__":
    sys.exit(run_job(STAGE))
