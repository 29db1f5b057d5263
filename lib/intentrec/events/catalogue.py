"""Snapshot files or the events themselves -> items and users as of a run date."""

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.config import Derived, Snapshot
from intentrec.errors import InputError
from intentrec.events.reasons import pairs, required, sound_id, wrong_type
from intentrec.events.times import instant_us
from intentrec.tables import ITEMS, USERS

_ITEM_FIELDS = ("item_id", "title", "categories", "published_at", "available")
_USER_FIELDS = ("user_id", "segment")
_JUDGED = ("kind", "source_file", "content_sha256", "line", "raw", "reason", "detail")


def columns_of_snapshot(snapshot: Snapshot, kind: str) -> dict[str, str | Derived]:
    """Return our name: where its text comes from; attributes are named ``attribute_0``, ... by sorted name.

    Raises:
        InputError: the id is not mapped.
    """
    wanted = f"{kind.removesuffix('s')}_id"
    if wanted not in snapshot.columns:
        raise InputError(f"input.{kind}.columns: {wanted} is not mapped, wanted the column that holds it")
    mapped = snapshot.columns[wanted]
    if isinstance(mapped, Derived) and mapped.constant is not None:
        raise InputError(f"input.{kind}.columns: {wanted} is constant, wanted the column that holds it")
    fields = _ITEM_FIELDS if kind == "items" else _USER_FIELDS
    columns = {ours: theirs for ours, theirs in snapshot.columns.items() if ours in fields}
    extra = sorted(snapshot.columns.keys() - columns.keys())
    return columns | {f"attribute_{number}": snapshot.columns[name] for number, name in enumerate(extra)}


def _attributes(snapshot: Snapshot, fields: tuple[str, ...]) -> Column:
    extra = sorted(snapshot.columns.keys() - set(fields))
    return pairs({name: F.col(f"attribute_{number}") for number, name in enumerate(extra)})


def judge_items(rows: DataFrame, snapshot: Snapshot, timezone: str) -> DataFrame:
    """Type the rows of a catalogue and name the first problem of each.

    Args:
        rows: kind, source_file, content_sha256, line, raw, reason, detail and the texts of
            ``columns_of_snapshot(snapshot, "items")``.
        snapshot: mapping, unit of published_at, separator of categories.
        timezone: of iso times without an offset.

    Returns:
        kind, source_file, content_sha256, line, raw, reason, detail; item_id, title, categories,
        published_at, available, attributes.
    """
    mapped = snapshot.columns
    published = instant_us("published_at", snapshot.time_unit, timezone, partial=True)
    available = F.col("available").try_cast("boolean")
    problems = [required("item_id"), sound_id("item_id")]
    if "published_at" in mapped:
        bad = F.col("published_at").isNotNull() & published.isNull()
        problems.append(F.when(bad, wrong_type("published_at", f"a time in {snapshot.time_unit}")))
    if "available" in mapped:
        bad = F.col("available").isNotNull() & available.isNull()
        problems.append(F.when(bad, wrong_type("available", "true or false")))
    nothing = F.lit(None)
    return _judged(rows, problems).select(
        *_JUDGED,
        "item_id",
        (F.col("title") if "title" in mapped else nothing.cast("string")).alias("title"),
        _categories(snapshot).alias("categories"),
        (F.timestamp_micros(published) if "published_at" in mapped else nothing.cast("timestamp")).alias(
            "published_at"
        ),
        (F.coalesce(available, F.lit(True)) if "available" in mapped else F.lit(True)).alias("available"),
        _attributes(snapshot, _ITEM_FIELDS).alias("attributes"),
    )


def judge_users(rows: DataFrame, snapshot: Snapshot) -> DataFrame:
    """Type the rows of a users file: as ``judge_items``, with user_id, segment, attributes."""
    segment = F.col("segment") if "segment" in snapshot.columns else F.lit(None).cast("string")
    return _judged(rows, [required("user_id"), sound_id("user_id")]).select(
        *_JUDGED, "user_id", segment.alias("segment"), _attributes(snapshot, _USER_FIELDS).alias("attributes")
    )


def _judged(rows: DataFrame, problems: list[Column]) -> DataFrame:
    met = F.when(F.col("reason").isNotNull(), F.struct("reason", "detail"))
    found = F.when(F.col("kind") == "row", F.coalesce(met, *problems))
    texts = [name for name in rows.columns if name not in _JUDGED]
    raw = F.when(F.col("line").isNotNull(), F.substring(F.coalesce("raw", F.to_json(F.struct(*texts))), 1, 64 * 1024))
    judged = rows.withColumn("_found", found).withColumns(
        {"raw": raw, "reason": F.col("_found.reason"), "detail": F.coalesce("_found.detail", "detail")}
    )
    return judged.drop("_found")


def _categories(snapshot: Snapshot) -> Column:
    """Split the text; a JSON list is one already. Empty names and repeats are dropped, the order stays."""
    if "categories" not in snapshot.columns:
        return F.expr("CAST(array() AS ARRAY<STRING>)")
    text = F.col("categories")
    separator = snapshot.category_separator
    plain = F.array(text) if separator is None else F.split(text, f"\\Q{separator}\\E")
    listed = F.when(text.startswith("["), F.from_json(text, "ARRAY<STRING>"))
    named = F.filter(F.coalesce(listed, plain), lambda name: name.isNotNull() & (F.trim(name) != ""))
    return F.array_distinct(F.coalesce(named, F.expr("CAST(array() AS ARRAY<STRING>)")))


def refuse_bad_snapshot(judged: DataFrame, kind: str, path: str, most: float) -> tuple[dict[str, int], set[str]]:
    """Count the rows of a snapshot and refuse one that cannot be trusted; one Spark action, two if it is refused.

    Args:
        judged: of ``judge_items`` or ``judge_users``.
        kind: items or users.
        path: as in the config, for errors.
        most: greatest share of refused rows.

    Returns:
        rows and rows refused by reason; the SHA-256 of the files that hold refused rows.

    Raises:
        InputError: a column is missing, there is no row, too many rows are refused, or an id stands twice.
    """
    key = f"{kind.removesuffix('s')}_id"
    where = f"input.{kind}: {path}"
    example = F.min(F.struct("source_file", "line", "detail")).alias("example")
    ids = F.count_distinct(F.when(F.col("reason").isNull(), F.col(key))).alias("ids")
    hashes = F.collect_set("content_sha256").alias("hashes")
    groups = judged.groupBy("kind", "reason").agg(F.count("*").alias("rows"), ids, example, hashes).collect()
    for group in groups:
        if group.kind == "foreign":
            told = f"{group.example.source_file}: {group.example.detail}"
            raise InputError(f"{told}; correct input.{kind}.columns or the file")
    refused = {group.reason: group.rows for group in groups if group.kind == "row" and group.reason}
    good = next((group for group in groups if group.kind == "row" and not group.reason), None)
    total = sum(refused.values()) + (good.rows if good else 0)
    if sum(refused.values()) > most * total or (refused and not good):
        worst = max((group for group in groups if group.reason), key=lambda group: (group.rows, group.reason))
        place = f"{worst.example.source_file}:{worst.example.line or 'whole file'}: {worst.example.detail}"
        raise InputError(
            f"{where}: {sum(refused.values()):,} of {total:,} rows refused, wanted at most {most:.2%}: "
            f"{worst.reason} {worst.rows:,} ({place}); correct the file, no table was changed"
        )
    if good is None:
        raise InputError(f"{where}: holds no row, wanted every one of the {kind}; deliver the file again")
    if good.ids != good.rows:
        _raise_duplicate(judged, key, where)
    return {"rows": good.rows, **refused}, {sha256 for group in groups if group.reason for sha256 in group.hashes}


def _raise_duplicate(judged: DataFrame, key: str, where: str) -> None:
    found = judged.where((F.col("kind") == "row") & F.col("reason").isNull()).groupBy(key)
    places = F.sort_array(F.collect_list(F.struct("source_file", "line"))).alias("places")
    twice = found.agg(F.count("*").alias("rows"), places).where("rows > 1").orderBy(key).first()
    assert twice is not None
    told = ", ".join(f"{place.source_file}:{place.line}" for place in twice.places[:2])
    raise InputError(f"{where}: {key} {twice[key]!r} stands {twice.rows} times ({told}), wanted once; correct the file")


def refuse_lost_items(judged: DataFrame, before: DataFrame, path: str, most: float) -> None:
    """Refuse a catalogue that lacks too many of the items that could be had before; one Spark action.

    Args:
        judged: of ``judge_items``.
        before: ITEMS rows of the night before.
        path: as in the config, for errors.
        most: greatest share of items that are gone or not available any more.

    Raises:
        InputError: more are gone.
    """
    now = judged.where((F.col("kind") == "row") & F.col("reason").isNull() & F.col("available"))
    old = before.where("available").join(now.select("item_id", F.lit(True).alias("there")), "item_id", "left")
    lost = F.col("there").isNull()
    found = old.agg(
        F.count("*").alias("old"), F.sum(lost.cast("int")).alias("lost"), F.min(F.when(lost, F.col("item_id")))
    )
    num_old, num_lost, example = found.collect()[0]
    if num_old and num_lost > most * num_old:
        raise InputError(
            f"input.items: {path}: {num_lost:,} of the {num_old:,} items that could be had the night before are gone, "
            f"{example!r} for one, wanted at most {most:.2%}; deliver the whole catalogue, or raise "
            "input.max_items_gone_share; no table was changed"
        )


def items_from_catalogue(judged: DataFrame, first_events: DataFrame, run_date: date, run_id: str) -> DataFrame:
    """Return the ITEMS rows of a run date from a catalogue.

    Args:
        judged: of ``judge_items``.
        first_events: EVENTS rows before the cut-off; published_at falls back to an item's first one.
        run_date: as of its end.
        run_id: the run.
    """
    items = judged.where((F.col("kind") == "row") & F.col("reason").isNull())
    first = first_events.groupBy("item_id").agg(F.min("occurred_at").alias("_first_at"))
    dated = items.join(first, "item_id", "left").withColumn("published_at", F.coalesce("published_at", "_first_at"))
    return ITEMS.conform(dated.withColumns({"run_date": F.lit(run_date), "run_id": F.lit(run_id)}))


def items_from_events(events: DataFrame, run_date: date, run_id: str) -> DataFrame:
    """Return the ITEMS rows of a run date where there is no catalogue: every item that the events name.

    Args:
        events: EVENTS rows before the cut-off.
        run_date: as of its end.
        run_id: the run.
    """
    named = events.where(F.col("item_id").isNotNull()).groupBy("item_id")
    items = named.agg(F.min("occurred_at").alias("published_at"))
    return ITEMS.conform(
        items.withColumns(
            {
                "run_date": F.lit(run_date),
                "title": F.lit(None).cast("string"),
                "categories": F.expr("CAST(array() AS ARRAY<STRING>)"),
                "available": F.lit(True),
                "attributes": pairs({}),
                "run_id": F.lit(run_id),
            }
        )
    )


def users_from_snapshot(judged: DataFrame, run_date: date, run_id: str) -> DataFrame:
    """Return the USERS rows of a run date from the rows of ``judge_users``."""
    users = judged.where((F.col("kind") == "row") & F.col("reason").isNull())
    return USERS.conform(users.withColumns({"run_date": F.lit(run_date), "run_id": F.lit(run_id)}))
