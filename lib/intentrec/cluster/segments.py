"""events of each segment -> its list for users without history, under the same rules as all lists, on Spark.

V items + 1 (0 is padding)   K places   N candidates
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from intentrec.cluster.judging import Indices
from intentrec.cluster.scoring import ScoringPlan
from intentrec.rules import Rules, View, pinned, repair, take

SEGMENT_COLUMNS = "segment STRING, items ARRAY<STRUCT<item_id: STRING, score: DOUBLE, source: STRING>>"
_GIVEN = "segment STRING, own ARRAY<STRUCT<order: BIGINT, item_id: STRING, item_index: INT>>"


def segment_candidates(
    counts: DataFrame, vocabulary: DataFrame, plan: Broadcast[ScoringPlan], everybody: str
) -> DataFrame:
    """Rank each segment's items by its own events; what everybody likes follows.

    Args:
        counts: one row per segment and item with an event: segment, item_id, num_events.
        vocabulary: VOCABULARY rows of the night.
        plan: its rules, and its filler, which is what everybody likes.
        everybody: the segment that every user belongs to; it has no events of its own, those of a segment that users
            call so do not count.

    Returns:
        SEGMENT_COLUMNS, ``everybody`` among them, ties by item_id; fewer than K items where fewer can be had. A row's
        score is the segment's number of events times boosts, that of the filler, or 0 for a pinned item.
    """
    item = F.struct(F.negative("num_events").alias("order"), "item_id", "item_index")
    known = counts.where(F.col("segment") != everybody).join(vocabulary.select("item_id", "item_index"), "item_id")
    own = known.groupBy("segment").agg(F.array_sort(F.collect_list(item)).alias("own"))
    rows = own.unionByName(counts.sparkSession.createDataFrame([(everybody, [])], _GIVEN))
    schema = StructType.fromDDL(SEGMENT_COLUMNS)
    assert isinstance(schema, StructType)
    return rows.mapInArrow(_task(plan, everybody, to_arrow_schema(schema)), schema)


def _task(
    plan: Broadcast[ScoringPlan], everybody: str, schema: pa.Schema
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            lists = [
                {"segment": row["segment"], "items": segment_list(plan.value, row["segment"], everybody, row["own"])}
                for row in batch.to_pylist()
            ]
            yield pa.RecordBatch.from_pylist(lists, schema=schema)

    return run


def segment_list(plan: ScoringPlan, segment: str, everybody: str, own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the items of one segment's list, best first.

    Args:
        plan: rules and filler.
        segment: its name.
        everybody: the name of the one that is read by anybody.
        own: order (events, negative), item_id, item_index of its own items, best first.
    """
    rules = plan.rules if plan.rules is not None else Rules((), plan.allowed, plan.k)
    view = rules.view(rules.reader_of(None if segment == everybody else segment))
    events_N = np.array([-entry["order"] for entry in own], dtype=np.int64)
    items_N = np.array([entry["item_index"] for entry in own], dtype=np.int64)
    items_N, scores_N = _candidates(plan, view, items_N, events_N)
    lists = pinned(view, [np.zeros(0, np.int64)], len(rules.listed))
    take(view, lists, items_N[None], scores_N[None])
    repair(view, lists, np.array([0]), items_N[None], scores_N[None])
    return [
        {"item_id": plan.items[item], "score": score, "source": "pinned" if is_pinned else "fallback"}
        for item, score, is_pinned in zip(
            lists.items_BK[0].tolist(), lists.scores_BK[0].tolist(), lists.pinned_BK[0].tolist(), strict=True
        )
        if item
    ]


def _candidates(
    plan: ScoringPlan, view: View, items_N: Indices, events_N: Indices
) -> tuple[Indices, NDArray[np.float64]]:
    """Return what may stand in the places that are free: the segment's own, then what everybody likes."""
    counts_V = np.zeros(len(plan.items), dtype=np.int64)
    counts_V[items_N] = events_N
    own_N = view.popular(items_N, counts_V)
    assert plan.filler_counts is not None
    filler_N = view.popular(plan.filler, plan.filler_counts)
    free_N = ~np.isin(filler_N, own_N)
    falling_N = plan.filler_scores[np.isin(plan.filler, filler_N)].astype(np.float64)
    events_V = counts_V.astype(np.float64) if view.factors_V is None else counts_V * view.factors_V
    return np.concatenate([own_N, filler_N[free_N]]), np.concatenate([events_V[own_N], falling_N[free_N]])
