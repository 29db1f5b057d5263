"""encoded events -> users to judge a model on: what they did before a day, and what they did in it."""

from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.examples.seen import seen_items
from intentrec.examples.sequences import Shape, history_columns, latest_events

JUDGED_COLUMNS = (
    "day INT, user_id STRING, items ARRAY<INT>, times ARRAY<BIGINT>, features ARRAY<INT>, seen ARRAY<INT>, "
    "relevant ARRAY<INT>"
)
_LIST = ("day", "user_id")


def judged_users(
    events: DataFrame,
    seen: DataFrame,
    bounds: Sequence[datetime],
    shape: Shape,
    max_lists: int,
) -> DataFrame:
    """Collect, day by day, users with a history before the day and an item of their own choice in it.

    Every day stands for a night: its lists are made of what lies before it, and judged by what it brings.

    Args:
        events: rows of ``encode``.
        seen: rows of ``seen_events``; what is seen as of the day counts for nobody.
        bounds: aware, ascending; day d lies in [``bounds[d]``, ``bounds[d + 1]``).
        shape: of the histories.
        max_lists: most rows kept, those with the smallest hash of their user_id; the choice never depends on a model.

    Returns:
        JUDGED_COLUMNS, one row per day and user, in their order; relevant is ascending and never empty.

    Source: rolling forecasting origin, Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed.),
    section 5.10.
    """
    occurred_at = F.col("occurred_at")
    judged = events.where((occurred_at >= F.lit(bounds[0])) & (occurred_at < F.lit(bounds[-1])))
    judged = judged.where((F.col("weight") > 0) & (F.col("item_index") > 0))
    day = sum(((occurred_at >= F.lit(bound)).cast("int") for bound in bounds[1:-1]), F.lit(0))
    chosen = judged.groupBy(day.alias("day"), "user_id").agg(F.collect_set("item_index").alias("chosen"))
    starts = F.array(*map(F.lit, bounds[:-1]))
    wanted = chosen.select(*_LIST, F.element_at(starts, F.col("day") + 1).alias("since"))

    def before(rows: DataFrame) -> DataFrame:
        return rows.join(wanted, "user_id").where(occurred_at < F.col("since"))

    found = chosen.join(latest_events(before(events), _LIST, shape.history_length), list(_LIST))
    fresh = F.col("days").isNull() | (occurred_at >= F.col("since") - F.make_dt_interval(F.col("days")))
    found = found.join(seen_items(before(seen).where(fresh), _LIST), list(_LIST), "left")
    left_out = F.coalesce("seen", F.array().cast("array<int>"))
    relevant = F.array_sort(F.array_except("chosen", left_out)).alias("relevant")
    rows = found.select(*_LIST, *history_columns(shape), left_out.alias("seen"), relevant)
    some = rows.where(F.size("relevant") > 0).orderBy(F.xxhash64("user_id"), "user_id", "day").limit(max_lists)
    return some.orderBy(*_LIST)
