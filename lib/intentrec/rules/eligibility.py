"""Which items may be recommended. One answer for model, prior and fallback alike."""

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.tables import ITEMS


def eligible_items(items: DataFrame, until: datetime) -> DataFrame:
    """Keep the items that are available and were published before the cut-off.

    Args:
        items: ITEMS rows of one run date.
        until: aware; the end of that date.

    Returns:
        One row per item: item_id.
    """
    published = F.col("published_at").isNull() | (F.col("published_at") < F.lit(until))
    return ITEMS.conform(items).where(F.col("available") & published).select("item_id")
