"""encoded events -> users to judge a model on: what they did before a day, and what they did in it."""

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.examples.sequences import Shape, user_histories

JUDGED_COLUMNS = (
    "user_id STRING, items ARRAY<INT>, times ARRAY<BIGINT>, features ARRAY<INT>, seen ARRAY<INT>, relevant ARRAY<INT>"
)


def judged_users(
    events: DataFrame, seen: DataFrame, since: datetime, until: datetime, shape: Shape, max_users: int
) -> DataFrame:
    """Collect users with a history before ``since`` and an item of their own choice in [``since``, ``until``).

    Args:
        events: rows of ``encode``.
        seen: rows of ``seen_items`` as of ``since``: such items count for nobody.
        since: aware; the history ends right before it.
        until: aware; end of the judged days.
        shape: of the histories.
        max_users: most users kept, those with the smallest hash of their id; the choice never depends on a model.

    Returns:
        JUDGED_COLUMNS, one row per user, in user_id order; relevant is ascending and never empty.
    """
    days = events.where((F.col("occurred_at") >= F.lit(since)) & (F.col("occurred_at") < F.lit(until)))
    chosen = days.where(F.col("weight") > 0).groupBy("user_id").agg(F.collect_set("item_index").alias("chosen"))
    histories = user_histories(events.join(chosen.select("user_id"), "user_id", "left_semi"), seen, since, None, shape)
    relevant = F.array_sort(F.array_except("chosen", "seen")).alias("relevant")
    judged = histories.join(chosen, "user_id").select("user_id", "items", "times", "features", "seen", relevant)
    some = judged.where(F.size("relevant") > 0).orderBy(F.xxhash64("user_id"), "user_id").limit(max_users)
    return some.orderBy("user_id")
