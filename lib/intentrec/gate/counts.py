"""What a night's lists, intents, catalogue and events are counted by: ``gate.figures`` makes figures of it.

All counts are integers, so that neither partitions nor threads change a figure. All results have the same four columns,
so that one Spark action collects them together: what STRING, segment STRING, label STRING, num BIGINT.
"""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def list_counts(lists: DataFrame) -> DataFrame:
    """Count lists, the places of every source, and how many items stand in one list, in two, ...

    Args:
        lists: RECOMMENDATIONS rows of one run date.

    Returns:
        what = ``lists``: num lists; ``source``: label its name, num places; ``listed``: label a number of lists, num
        items that stand in so many.
    """
    places = lists.select(F.explode("items").alias("item"))
    by_item = places.groupBy("item.item_id").agg(F.count(F.lit(1)).alias("lists"))
    return (
        _counted(lists, "lists")
        .unionByName(_counted(places.select(F.col("item.source").alias("label")), "source", by="label"))
        .unionByName(_counted(by_item.select(F.col("lists").cast("string").alias("label")), "listed", by="label"))
    )


def overlap_counts(lists: DataFrame, before: DataFrame, name: str) -> DataFrame:
    """Count what lists have in common with those of a night before.

    Args:
        lists: RECOMMENDATIONS rows of one run date.
        before: RECOMMENDATIONS rows of another.
        name: begins the names of the counts.

    Returns:
        what = ``NAME_lists``: lists of before; ``NAME_users``: of their users those with a list now; ``NAME_places``:
        places of these users' lists now; ``NAME_kept``: of these places those whose item stood in the user's list
        before.
    """
    own = lists.select("user_id", F.col("items.item_id").alias("now"))
    both = before.select("user_id", F.col("items.item_id").alias("then")).join(own, "user_id", "left")
    there = F.col("now").isNotNull()
    sums = {
        "lists": F.count(F.lit(1)),
        "users": F.count_if(there),
        "places": F.sum(F.when(there, F.size("now")).otherwise(0)),
        "kept": F.sum(F.when(there, F.size(F.array_intersect("now", "then"))).otherwise(0)),
    }
    return _unpivoted(both, {f"{name}_{what}": column for what, column in sums.items()})


def intent_counts(intents: DataFrame, what: str) -> DataFrame:
    """Count the users of each head's likeliest label: segment = head, label = label.

    Args:
        intents: USER_INTENTS rows of one run date.
        what: the name of the counts.
    """
    heads = intents.select(F.inline("heads"))
    best = heads.select(F.col("head").alias("segment"), F.get("labels", F.lit(0))["label"].alias("label"))
    return _counted(best.where(F.col("label").isNotNull()), what, by=("segment", "label"))


def catalogue_counts(items: DataFrame, before: DataFrame) -> DataFrame:
    """Count the available items of two nights.

    Args:
        items: ITEMS rows of one run date.
        before: ITEMS rows of another.

    Returns:
        what = ``items_now``, ``items_then`` and ``items_both``.
    """
    now = items.where("available").select("item_id", F.lit(1).alias("now"))
    then = before.where("available").select("item_id", F.lit(1).alias("then"))
    sums = {
        "items_now": F.count("now"),
        "items_then": F.count("then"),
        "items_both": F.count(F.col("now") + F.col("then")),
    }
    return _unpivoted(now.join(then, "item_id", "full"), sums)


def event_counts(events: DataFrame, known: DataFrame | None, places: Mapping[str, int]) -> DataFrame:
    """Count the events with an unknown item, and those whose features have a known value.

    Args:
        events: rows of ``encode``, of the last day.
        known: VOCABULARY rows of the champion's night; an index above all of its own is unknown there. None: no
            champion.
        places: event feature -> its first place in ``features``.

    Returns:
        what = ``events``: num events; ``feature_events``: segment the feature, num events with a known value of it;
        with a champion ``item_events``: those with an item; ``unknown_events``: those with an item that ``known``
        lacks.
    """
    sums = {"events": F.count(F.lit(1))}
    chosen = events.select("item_index", "features")
    if known is not None:
        size = known.agg(F.coalesce(F.max("item_index"), F.lit(0)).alias("num_known"))
        chosen = chosen.crossJoin(F.broadcast(size))
        sums["item_events"] = F.count_if(F.col("item_index") > 0)
        sums["unknown_events"] = F.count_if(F.col("item_index") > F.col("num_known"))
    values = {name: F.count_if(F.get("features", F.lit(place)) > 0) for name, place in places.items()}
    return _unpivoted(chosen, sums, {"feature_events": values})


def _counted(rows: DataFrame, what: str, by: str | tuple[str, ...] = ()) -> DataFrame:
    groups = (by,) if isinstance(by, str) else by
    counts = rows.groupBy(*groups).agg(F.count(F.lit(1)).alias("num"))
    given = {name: F.col(name) if name in groups else F.lit("") for name in ("segment", "label")}
    return counts.select(F.lit(what).alias("what"), *(column.alias(name) for name, column in given.items()), "num")


def _unpivoted(
    rows: DataFrame, sums: dict[str, Column], of_segments: dict[str, dict[str, Column]] | None = None
) -> DataFrame:
    """Aggregate once; one row per sum."""
    wanted = [(what, "", column) for what, column in sums.items()]
    wanted += [(what, segment, column) for what, own in (of_segments or {}).items() for segment, column in own.items()]
    row = rows.agg(
        *(F.coalesce(column, F.lit(0)).cast("bigint").alias(f"n{n}") for n, (*_, column) in enumerate(wanted))
    )
    entries = [
        F.struct(
            F.lit(what).alias("what"),
            F.lit(segment).alias("segment"),
            F.lit("").alias("label"),
            F.col(f"n{n}").alias("num"),
        )
        for n, (what, segment, _) in enumerate(wanted)
    ]
    return row.select(F.inline(F.array(*entries)))
