"""The rows of some users leave every table; those of others stay as they are, to the row."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.events import Erased, is_of_erased
from intentrec.io.upkeep import change_rows, remove_rows
from intentrec.keeping.books import restate_books, waiting_contents
from intentrec.ledger import Run
from intentrec.sessions import Built
from intentrec.tables import (
    ALL,
    ERASURE_REQUESTS,
    EVENTS,
    EVENTS_QUARANTINE,
    EXAMPLES,
    FEATURE_VOCABULARY,
    GATE_DECISIONS,
    HISTORIES,
    ITEMS,
    RULES,
    RUNS,
    SESSIONS,
    USER_ID,
    Table,
)

REDACTED = "(this named a user who was erased)"
RENAMED = "erased "  # a feature value that was an id, before its number
_FEWEST_BLOCKS = 1000  # rows of examples that are looked for, however few events of a user are left
_UNKNOWN_GENERATION = -1  # of no EVENTS table: build_sessions builds all sessions again


def tables_with_users() -> list[Table]:
    """List the tables with a row per user or more, EVENTS last: what is looked for elsewhere is counted in it."""
    named = [table for table in ALL if "user_id" in table.schema.names and table is not ERASURE_REQUESTS]
    return sorted(named, key=lambda table: table is EVENTS)


def tables_to_purge() -> list[Table]:
    """List every table whose old versions may hold a user."""
    others = (RULES, EXAMPLES, EVENTS_QUARANTINE, FEATURE_VOCABULARY, RUNS, GATE_DECISIONS, ERASURE_REQUESTS)
    return [*tables_with_users(), *others]


def remove_users(run: Run, user_ids: Iterable[str], erased: Erased) -> dict[str, int]:
    """Delete or redact every row of the users; killed on the way and run again, the rest.

    Args:
        run: holds the lock.
        user_ids: of the users, byte-exact.
        erased: recognises the same users in texts.

    Returns:
        Table: rows that are gone or changed, without those where there was none.
    """
    users = _ids(run, user_ids)
    removed = {EXAMPLES: _remove(run, EXAMPLES, _training_rows(run, users))}
    with sessions_follow(run):
        for table in tables_with_users():
            removed[table] = _remove(run, table, users)
    of_users = users.select(F.lit(USER_ID).alias("user_field"), F.col("user_id").alias("user_value"))
    removed[RULES] = _remove(run, RULES, of_users)
    removed[EVENTS_QUARANTINE] = _remove(run, EVENTS_QUARANTINE, _refused_rows(run, erased))
    # A text may name somebody's item by the same number. Where the books tell of more rows than are left, the next
    # night reads the file again, knows the user of every row that can be taken apart, and keeps what is not theirs.
    restate_books(run, waiting_contents(run))
    removed[RUNS] = _redact_texts(run, RUNS, "message", erased) + _redact_counters(run, erased)
    removed[GATE_DECISIONS] = _redact_texts(run, GATE_DECISIONS, "reason", erased)
    return {table.name: rows for table, rows in removed.items() if rows}


def _ids(run: Run, user_ids: Iterable[str]) -> DataFrame:
    return run.spark.createDataFrame([(user_id,) for user_id in sorted(user_ids)], "user_id STRING")


@contextmanager
def sessions_follow(run: Run) -> Iterator[None]:
    """Let SESSIONS know EVENTS under its new version, if it had taken all of it in; else all sessions are built again.

    Inside, rows of EVENTS go and none comes.
    """
    if not (run.warehouse.exists(SESSIONS) and run.warehouse.exists(EVENTS)):
        yield
        return
    built = Built.from_text(run.warehouse.layout(SESSIONS))
    whole = built is not None and built.events_version == run.warehouse.version(EVENTS)
    yield
    if built is not None:
        generation = built.generation if whole else _UNKNOWN_GENERATION
        now = replace(built, events_version=run.warehouse.version(EVENTS), generation=generation)
        if now != built:
            run.warehouse.set_layout(SESSIONS, now.text())


def _remove(run: Run, table: Table, gone: DataFrame) -> int:
    """Delete the rows named by ``gone``; without one there is no commit."""
    if not run.warehouse.exists(table):
        return 0
    rows = run.warehouse.read(table).alias("held")
    wanted = gone.alias("gone")
    same = F.lit(True)
    for name in gone.columns:
        same = same & F.col(f"held.{name}").eqNullSafe(F.col(f"gone.{name}"))
    count = rows.join(wanted, same, "left_semi").count()
    if count:
        remove_rows(run.warehouse, table, gone)
        run.log(f"{table.name}: {count:,} rows removed")
    return count


def _training_rows(run: Run, users: DataFrame) -> DataFrame:
    """Return the row_ids that EXAMPLES can have for the users: hashes of user and block, counted from the newest event.

    A user has at most as many blocks as events.
    """
    blocks = users.withColumn("events", F.lit(_FEWEST_BLOCKS).cast("bigint"))
    counts = ((EVENTS, F.count("*")), (SESSIONS, F.sum("num_events")), (HISTORIES, F.max("num_events")))
    for table, events in counts:
        if run.warehouse.exists(table):
            rows = run.warehouse.read(table).join(F.broadcast(users), "user_id", "left_semi")
            counted = rows.groupBy("user_id").agg(events.alias("more"))
            most = F.greatest("events", F.coalesce("more", F.lit(0).cast("bigint"))).alias("events")
            blocks = blocks.join(F.broadcast(counted), "user_id", "left").select("user_id", most)
    numbered = blocks.select("user_id", F.explode(F.sequence(F.lit(0).cast("bigint"), F.col("events"))).alias("block"))
    return numbered.select(F.xxhash64("user_id", "block").alias("row_id")).distinct()


def _refused_rows(run: Run, erased: Erased) -> DataFrame:
    """Return the keys of the rows in quarantine whose text names one of the users."""
    run.warehouse.create([EVENTS_QUARANTINE])
    text = F.concat_ws("\n", "raw", "detail")
    named = is_of_erased(erased, F.lit(None).cast("string"), text)
    rows = run.warehouse.read(EVENTS_QUARANTINE).where(named)
    return rows.select("source_file", "content_sha256", "line", "reason").distinct().localCheckpoint()


def _redact_texts(run: Run, table: Table, column: str, erased: Erased) -> int:
    """Replace what was written by people or errors and names one of the users; return how many texts."""
    run.warehouse.create([table])
    told = run.warehouse.read(table).select(column).where(F.col(column).isNotNull()).groupBy(column).count().collect()
    named = {row[column]: row["count"] for row in told if erased.named_in_prose(row[column])}
    if named:
        found = run.spark.createDataFrame([(text,) for text in sorted(named)], f"{column} STRING")
        change_rows(run.warehouse, table, found, {column: F.lit(REDACTED)})
    return sum(named.values())


def _redact_counters(run: Run, erased: Erased) -> int:
    """Rename the counters of rules that are called after one of the users; return how many there were."""
    counted = run.warehouse.read(RUNS).select("run_id", "stage", F.explode("counters.key").alias("key"))
    of_rules = counted.where(F.col("key").startswith("rule_"))
    keys = [row["key"] for row in of_rules.select("key").distinct().collect()]
    named = of_rules.where(F.col("key").isin([key for key in keys if erased.named_in_prose(key.partition(":")[2])]))
    found = named.groupBy("run_id", "stage").agg(F.collect_set("key").alias("hidden")).localCheckpoint()
    count = found.agg(F.sum(F.size("hidden"))).collect()[0][0] or 0
    if count:
        change_rows(run.warehouse, RUNS, found, {"counters": F.transform("held.counters", _without_name)})
    return int(count)


def _without_name(entry: Column) -> Column:
    key = F.when(F.array_contains("found.hidden", entry["key"]), F.lit(REDACTED)).otherwise(entry["key"])
    return F.struct(key.alias("key"), entry["value"].alias("value"))


def shared_values(run: Run, user_ids: Iterable[str]) -> frozenset[tuple[str, str]]:
    """Return what looks like the id of an erased user and stands in rows of others: a device 5 beside the user 5.

    To be asked once the users' own rows are gone.

    Returns:
        Fields, as in FEATURE_VOCABULARY, and values.
    """
    values = _ids(run, user_ids).withColumnRenamed("user_id", "value")
    items = run.spark.createDataFrame([], "key STRING, value STRING")
    if run.warehouse.exists(EVENTS):
        action = F.array(F.struct(F.lit("action").alias("key"), F.col("action").alias("value")))
        items = run.warehouse.read(EVENTS).select(F.inline(F.concat("context", action)))
    if run.warehouse.exists(ITEMS):
        categories = run.warehouse.read(ITEMS).select(F.explode("categories").alias("value"))
        items = items.unionByName(categories.withColumn("key", F.lit("categories")))
    found = items.join(F.broadcast(values), "value", "left_semi").distinct().collect()
    return frozenset((row["key"], row["value"]) for row in found)


def rename_values(run: Run, user_ids: Iterable[str], shared: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Rename feature values that are the id of a user, and not ``shared``; numbers stay, and models with them.

    Returns:
        Table: rows that are changed, if there was one.
    """
    if not run.warehouse.exists(FEATURE_VOCABULARY):
        return {}
    kept = run.spark.createDataFrame(sorted(shared), "field STRING, value STRING")
    held = run.warehouse.read(FEATURE_VOCABULARY).select("field", "value")
    named = held.join(F.broadcast(_ids(run, user_ids).withColumnRenamed("user_id", "value")), "value", "left_semi")
    theirs = named.join(F.broadcast(kept), ["field", "value"], "left_anti").select("field", "value")
    count = theirs.count()
    if count:
        renamed = F.concat(F.lit(RENAMED), F.col("held.value_index"))
        change_rows(run.warehouse, FEATURE_VOCABULARY, theirs.distinct().localCheckpoint(), {"value": renamed})
    return {FEATURE_VOCABULARY.name: count} if count else {}
