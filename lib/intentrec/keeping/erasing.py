"""Users are erased: kept out first, then removed from tables and files, then from old versions; a receipt says so."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyspark.sql import functions as F

from intentrec.errors import ConfigError
from intentrec.events import Erased, key_mark
from intentrec.io.upkeep import change_rows, purge, remove_rows
from intentrec.keeping.artifacts import remove_from_artifacts
from intentrec.keeping.rows import remove_users, rename_values, sessions_follow, shared_values, tables_to_purge
from intentrec.ledger import Run, erased_users, erasure_key
from intentrec.tables import ERASED_USERS, ERASURE_REQUESTS, EVENTS, Table


@dataclass(frozen=True, slots=True)
class Purged:
    """What the removal of old versions did: table: its files that are gone, and the users who are gone with them."""

    files: dict[str, list[str]]
    hashes: tuple[str, ...]


def asked_users(run: Run, named: Iterable[str], files: Iterable[Path]) -> frozenset[str]:
    """Return who is to be erased: named on the command line, in files with one id a line, or in ERASURE_REQUESTS.

    Raises:
        ConfigError: a file cannot be read, or an id is empty.
    """
    run.warehouse.create([ERASURE_REQUESTS, ERASED_USERS])
    requested = run.warehouse.read(ERASURE_REQUESTS).select("user_id").distinct().collect()
    asked = [*named, *(row["user_id"] for row in requested)]
    for file in files:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--user-file {file}: {' '.join(str(error).split())}") from None
        asked += [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    if not all(user_id.strip() for user_id in asked):
        raise ConfigError("--user: an id is blank, wanted the user_id as in events")
    return frozenset(asked)


def erase(run: Run, user_ids: frozenset[str]) -> tuple[dict[str, int], list[str]]:
    """Keep users out from now on, then remove their rows and what shows them in files; old versions stay.

    Returns:
        Table: rows that are gone; the files of the artifacts that are.

    Raises:
        SetupError: the key is missing, or is not the one of the users before.
    """
    key = erasure_key(run.config.erasure)
    erased_users(run)  # refuses another key before anything is written under it
    erased = Erased.of(key, user_ids)
    now = datetime.now(UTC)
    rows = [(user_hash, key_mark(key), run.run_date, now, None, run.run_id) for user_hash in sorted(erased.hashes)]
    known = run.spark.createDataFrame(rows, ERASED_USERS.schema)
    run.warehouse.claim(ERASED_USERS, known, F.lit(True))
    removed = remove_users(run, user_ids, erased)
    shared = shared_values(run, user_ids)
    renamed = rename_values(run, user_ids, shared)
    return removed | renamed, remove_from_artifacts(run, erased, shared)


def drop_requests(run: Run, user_ids: frozenset[str]) -> None:
    """Remove the requests that are done: the last of an erasure's commits, so that a crash before it repeats all."""
    requests = run.warehouse.read(ERASURE_REQUESTS).select("user_id").distinct()
    done = requests.where(F.col("user_id").isin(*user_ids))
    if not done.isEmpty():
        gone = run.spark.createDataFrame([(row["user_id"],) for row in done.collect()], "user_id STRING")
        remove_rows(run.warehouse, ERASURE_REQUESTS, gone)


def purge_erased(run: Run) -> Purged:
    """Remove the old versions of every table that may hold users whose erasure is older than the retention.

    Nothing is done while none is. All versions before the newest go, those of younger erasures too.
    """
    if not run.warehouse.exists(ERASED_USERS):
        return Purged({}, ())
    waiting = run.warehouse.read(ERASED_USERS).where(F.col("purged_at").isNull())
    due = datetime.now(UTC) - timedelta(hours=run.config.erasure.retention_hours)
    rows = waiting.select("user_hash", (F.col("erased_at") <= F.lit(due)).alias("due")).collect()
    if not any(row["due"] for row in rows):
        return Purged({}, ())
    files: dict[str, list[str]] = {}
    with sessions_follow(run):
        _purge(run, EVENTS, files)
    for table in tables_to_purge():
        if table is not EVENTS:
            _purge(run, table, files)
    hashes = tuple(sorted(row["user_hash"] for row in rows))
    found = run.spark.createDataFrame([(user_hash,) for user_hash in hashes], "user_hash STRING")
    change_rows(run.warehouse, ERASED_USERS, found, {"purged_at": F.lit(datetime.now(UTC)).cast("timestamp")})
    return Purged(files, hashes)


def _purge(run: Run, table: Table, files: dict[str, list[str]]) -> None:
    if run.warehouse.exists(table):
        files[table.name] = purge(run.warehouse, table)
        run.log(f"{table.name}: {len(files[table.name]):,} files of old versions removed")
