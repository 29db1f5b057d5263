"""Step by step: old nights leave, files are merged, old versions go; beside a night only what it cannot notice."""

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from intentrec.io.upkeep import Size, cluster, size_of, storage_of, vacuum
from intentrec.keeping.erasing import purge_erased
from intentrec.keeping.retention import check_names, remove_old_files, remove_old_rows
from intentrec.ledger import Run, brief_lock, record_errand, running_since
from intentrec.sessions import Built
from intentrec.tables import ALL, EVENTS, RECOMMENDATIONS, SESSIONS, USER_INTENTS, Table

CLUSTERED = (RECOMMENDATIONS, USER_INTENTS, SESSIONS)  # what consumers look up by user
_MIB = 2**20


def maintain(run: Run) -> tuple[dict[str, int], dict[str, Any]]:
    """Do what is due; what would write while another run holds the warehouse waits for the next time, with a warning.

    Returns:
        What was counted; what the receipt tells.

    Raises:
        ConfigError: ``maintenance.keep_days`` names what is no table.
    """
    check_names(run.config.maintenance)
    tables = [table for table in ALL if run.warehouse.exists(table)]
    before = {table: size_of(run.warehouse, table) for table in tables}
    facts: dict[str, Any] = {"dates_removed_of": {}, "folders_removed_of": [], "clustered_of": {}}
    with brief_lock(run) as held:
        if held:
            facts["dates_removed_of"] = remove_old_rows(run)
            facts["folders_removed_of"] = remove_old_files(run)
            purge_erased(run)
        else:
            run.warn("another run holds the warehouse: old nights and small files stay until the next time")
    for table in CLUSTERED:
        with brief_lock(run) as held:
            if held and table in before:
                facts["clustered_of"][table.name] = cluster_small_files(run, table)
    for table in tables:
        with brief_lock(run) as held:
            vacuum(run.warehouse, table, hours_to_keep(run, table, datetime.now(UTC), held=held))
    after = {table: size_of(run.warehouse, table) for table in tables}
    facts["tables"] = {table.name: {"before": asdict(before[table]), "after": asdict(after[table])} for table in tables}
    for table in tables:
        run.log(f"{table.name}: {_told(before[table])} -> {_told(after[table])}")
    counters = {
        "dates_removed": sum(facts["dates_removed_of"].values()),
        "folders_removed": len(facts["folders_removed_of"]),
        "partitions_clustered": sum(facts["clustered_of"].values()),
        "files_removed": sum(max(0, before[table].stored_files - after[table].stored_files) for table in tables),
        "stored_bytes": sum(size.stored_bytes for size in after.values()),
    }
    with brief_lock(run) as held:
        if held:
            record_errand(run, "maintain_tables", counters)
    return counters, facts


def hours_to_keep(run: Run, table: Table, now: datetime, *, held: bool) -> float:
    """Return for how many hours back no file that a version needed may go.

    A night under way reads versions that were current when it began or later, whatever it pins: the examples that the
    ranks read, the sessions, the model's tables. The next build_sessions reads what was added to EVENTS since the
    version that SESSIONS remembers.

    Args:
        run: of the maintenance.
        table: whose files are to go.
        now: aware.
        held: whether the maintenance holds the lock, so that no night is under way.
    """
    bounds = [now - timedelta(hours=run.config.maintenance.retention_hours)]
    if not held:
        bounds.append(running_since(run.warehouse) or now - timedelta(hours=1))
    if table is EVENTS:
        bounds += _unread_since(run)
    return max(0.0, (now - min(bounds)) / timedelta(hours=1)) + (1 / 60 if len(bounds) > 1 else 0)


def _unread_since(run: Run) -> list[datetime]:
    if not run.warehouse.exists(SESSIONS):
        return []
    built = Built.from_text(run.warehouse.layout(SESSIONS))
    if built is None or built.events_version >= run.warehouse.version(EVENTS):
        return []
    commits = run.warehouse.delta(EVENTS).history().where(f"version = {int(built.events_version)}")
    return [row["timestamp"].astimezone(UTC) for row in commits.select("timestamp").collect()]


def cluster_small_files(run: Run, table: Table) -> int:
    """Write partitions of several small files anew, ordered by user; return how many there were."""
    most = run.config.maintenance.small_file_mb * _MIB
    sizes = storage_of(run.warehouse, table).sizes()
    column = table.partition[0]
    found: dict[date, list[int]] = {}
    for url in run.warehouse.files(table):
        folder, _, name = url.rpartition("/")
        day = date.fromisoformat(folder.rpartition(f"{column}=")[2])
        found.setdefault(day, []).append(sizes.get(f"{column}={day}/{name}", 0))
    small = sorted(day for day, files in found.items() if len(files) > 1 and sum(files) < most * len(files))
    if small:
        cluster(run.warehouse, table, "user_id", {column: small})
    return len(small)


def _told(size: Size) -> str:
    return f"{size.files:,} files, {size.bytes / _MIB:,.1f} MiB ({size.stored_bytes / _MIB:,.1f} stored)"
