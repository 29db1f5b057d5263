"""candidates -> recommendations, user_intents, segment_recommendations."""

from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.tables import CANDIDATES, RECOMMENDATIONS_STAGED, SEGMENT_RECOMMENDATIONS, USER_INTENTS

EVERYBODY = "all"  # the segment that every user belongs to


@dataclass(frozen=True, slots=True)
class Origin:
    """What every row of a night's lists has in common."""

    run_date: date
    model_id: str
    run_id: str


def ranked_lists(candidates: DataFrame, k: int, origin: Origin) -> DataFrame:
    """Number the items of every list; a user with fewer than ``k`` is left out, to be counted by the checks.

    Args:
        candidates: CANDIDATES rows, lists best first.
        k: items of every list.
        origin: of the rows.

    Returns:
        RECOMMENDATIONS_STAGED rows.
    """
    items = F.transform(
        F.slice("items", 1, k),
        lambda item, place: F.struct(
            (place + 1).alias("rank"),
            item["item_id"].alias("item_id"),
            item["score"].alias("score"),
            item["source"].alias("source"),
            item["intent"].alias("intent"),
            item["because_item_id"].alias("because_item_id"),
            item["propensity"].alias("propensity"),
        ),
    )
    full = CANDIDATES.conform(candidates).where(F.size("items") >= k)
    return RECOMMENDATIONS_STAGED.conform(_of(full.select("user_id", items.alias("items"), "made_from"), origin))


def user_intents(candidates: DataFrame, origin: Origin) -> DataFrame:
    """Keep what the model says of each user's intents; the primary head has the greatest weight, ties by name.

    Args:
        candidates: CANDIDATES rows.
        origin: of the rows.

    Returns:
        USER_INTENTS rows; none for a user of whom a model without heads said nothing.
    """
    by_weight = F.array_sort(
        F.transform(
            "head_weights", lambda entry: F.struct((-entry["weight"]).alias("order"), entry["head"].alias("head"))
        )
    )
    rows = CANDIDATES.conform(candidates).where(F.size("heads") > 0)
    primary = F.get(by_weight, F.lit(0))["head"].alias("primary_head")
    return USER_INTENTS.conform(
        _of(rows.select("user_id", "heads", "head_weights", primary, "embedding", "made_from"), origin)
    )


def segment_lists(candidates: DataFrame, k: int, origin: Origin) -> DataFrame:
    """Number the items of every segment's list; a segment with fewer than ``k`` is left out.

    Args:
        candidates: one row per segment: segment, items ARRAY<STRUCT<item_id, score, source>>, best first.
        k: items of every list.
        origin: of the rows.

    Returns:
        SEGMENT_RECOMMENDATIONS rows.
    """
    nothing = F.lit(None).cast("string")
    items = F.transform(
        F.slice("items", 1, k),
        lambda item, place: F.struct(
            (place + 1).alias("rank"),
            item["item_id"].alias("item_id"),
            item["score"].alias("score"),
            item["source"].alias("source"),
            nothing.alias("intent"),
            nothing.alias("because_item_id"),
            F.lit(None).cast("double").alias("propensity"),
        ),
    )
    full = candidates.where(F.size("items") >= k)
    return SEGMENT_RECOMMENDATIONS.conform(_of(full.select("segment", items.alias("items")), origin))


def _of(rows: DataFrame, origin: Origin) -> DataFrame:
    return rows.select(
        F.lit(origin.run_date).alias("run_date"),
        "*",
        F.lit(origin.model_id).alias("model_id"),
        F.lit(origin.run_id).alias("run_id"),
    )
