"""INGESTED_FILES tells of rows that are there: after some have gone its numbers are brought down to them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from pyspark.sql import functions as F

from intentrec.io.upkeep import change_rows
from intentrec.ledger import Run
from intentrec.tables import EVENTS, EVENTS_QUARANTINE, INGESTED_FILES


@dataclass(frozen=True, slots=True)
class Entry:
    """The numbers of one file content."""

    path: str
    content_sha256: str
    rows_accepted: int
    rows_duplicate: int
    rows_quarantined: int

    @property
    def rows_read(self) -> int:
        """Return all rows: the books balance."""
        return self.rows_accepted + self.rows_duplicate + self.rows_quarantined


def restated(
    entries: Iterable[Entry], accepted: Mapping[str, int], quarantined: Mapping[tuple[str, str], int]
) -> list[Entry]:
    """Return the entries whose numbers are above what is there, brought down to it.

    Args:
        entries: of all files, the oldest first.
        accepted: path: rows of EVENTS.
        quarantined: path and content: rows of EVENTS_QUARANTINE.

    Returns:
        What is to be written, in order. EVENTS knows paths and no contents: of several contents of one path the newest
        gives up its rows first.
    """
    of_path: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        of_path[entry.path].append(entry)
    changed = []
    for path, several in of_path.items():
        missing = sum(entry.rows_accepted for entry in several) - accepted.get(path, 0)
        for entry in reversed(several):
            less = min(max(missing, 0), entry.rows_accepted)
            missing -= less
            left = min(entry.rows_quarantined, quarantined.get((path, entry.content_sha256), 0))
            now = replace(entry, rows_accepted=entry.rows_accepted - less, rows_quarantined=left)
            if now != entry:
                changed.append(now)
    return changed


def waiting_contents(run: Run) -> frozenset[tuple[str, str]]:
    """Return the contents (path, SHA-256) that ingest will read again: fewer refused rows are left than are booked."""
    if not all(run.warehouse.exists(table) for table in (INGESTED_FILES, EVENTS_QUARANTINE)):
        return frozenset()
    booked = run.warehouse.read(INGESTED_FILES).select("path", "content_sha256", "rows_quarantined")
    refused = run.warehouse.read(EVENTS_QUARANTINE).withColumnRenamed("source_file", "path")
    rows = refused.groupBy("path", "content_sha256").count()
    missing = F.col("rows_quarantined") > F.coalesce("count", F.lit(0))
    found = booked.join(rows, ["path", "content_sha256"], "left").where(missing).collect()
    return frozenset((row["path"], row["content_sha256"]) for row in found)


def restate_books(run: Run, waiting: Collection[tuple[str, str]]) -> None:
    """Bring INGESTED_FILES down to the rows that EVENTS and EVENTS_QUARANTINE hold; a second time changes nothing.

    Args:
        run: holds the lock.
        waiting: contents (path, SHA-256) that ingest is to read again: of them the refused rows stay as booked.
    """
    warehouse = run.warehouse
    if not all(warehouse.exists(table) for table in (INGESTED_FILES, EVENTS, EVENTS_QUARANTINE)):
        return
    names = ("path", "content_sha256", "rows_accepted", "rows_duplicate", "rows_quarantined")
    rows = warehouse.read(INGESTED_FILES).orderBy("ingested_at").select(*names).collect()
    accepted = warehouse.read(EVENTS).groupBy("source_file").count().collect()
    refused = warehouse.read(EVENTS_QUARANTINE).groupBy("source_file", "content_sha256").count().collect()
    changed = restated(
        [Entry(*row) for row in rows],
        {row["source_file"]: row["count"] for row in accepted},
        {(row["source_file"], row["content_sha256"]): row["count"] for row in refused}
        | {(row["path"], row["content_sha256"]): row["rows_quarantined"] for row in rows if row[:2] in waiting},
    )
    if not changed:
        return
    new = [
        (entry.path, entry.content_sha256, entry.rows_read, entry.rows_accepted, entry.rows_quarantined)
        for entry in changed
    ]
    found = run.spark.createDataFrame(
        new, "path STRING, content_sha256 STRING, now_read BIGINT, now_accepted BIGINT, now_quarantined BIGINT"
    )
    values = {f"rows_{name}": F.col(f"found.now_{name}") for name in ("read", "accepted", "quarantined")}
    change_rows(warehouse, INGESTED_FILES, found, values)
