"""Sessions as an earlier instant saw them: what came later makes nobody a bot before it came."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from intentrec.sessions.bots import BotRules
from intentrec.tables import BOT_FLAG


def flagged_as_of(sessions: DataFrame, until: datetime, rules: BotRules) -> DataFrame:
    """Judge sessions that go on beyond an instant by their events before it, as the night of that instant had to.

    Args:
        sessions: SESSIONS rows.
        until: aware; the first instant that is not seen.
        rules: that ``flags`` were made with.

    Returns:
        The same rows; ``flags`` of those sessions are new, all else is as it was.
    """
    goes_on = (F.col("started_at") < F.lit(until)) & (F.col("ended_at") >= F.lit(until))
    seen = F.filter("events", lambda event: event["occurred_at"] < F.lit(until))
    times = F.transform(seen, lambda event: F.unix_micros(event["occurred_at"]))
    items = F.transform(seen, lambda event: event["item_id"])
    others = F.filter("flags", lambda flag: ~flag.startswith(BOT_FLAG))
    judge: Any = pandas_udf  # its stubs know no iterators of pairs
    own = judge(_judge_of(rules), "array<string>")(times, items)
    # Two reads, but the second opens no file in whose statistics every session ends before the instant.
    return sessions.where(~goes_on).unionByName(sessions.where(goes_on).withColumn("flags", F.concat(own, others)))


def _judge_of(rules: BotRules) -> Any:
    def judge(pairs: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        for times, items in pairs:
            yield pd.Series(
                [
                    rules.flags(np.asarray(own_times, dtype=np.int64), pd.factorize(np.asarray(own_items))[0])
                    for own_times, own_items in zip(times, items, strict=True)
                ],
                dtype=object,
            )

    return judge
