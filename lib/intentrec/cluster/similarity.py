"""item vectors -> the nearest items of every item, on Spark.

B items of an Arrow batch   K neighbours   V items + 1 (0 is padding)   D width
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import torch
from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from intentrec.cluster.recommenders import masked
from intentrec.cluster.scoring import ScoringPlan, load_scorer, num_tasks
from intentrec.model.ragged import Ragged
from intentrec.model.topk import top_k

NEIGHBOUR_COLUMNS = "item_id STRING, items ARRAY<STRUCT<rank: INT, item_id: STRING, score: DOUBLE>>"


def nearest_items(spark: SparkSession, plan: Broadcast[ScoringPlan], n: int) -> DataFrame:
    """Find for every item of the model the nearest items that may be shown to anybody, by the cosine of their vectors.

    Args:
        spark: the session.
        plan: with a model.
        n: most neighbours of an item; it is never its own.

    Returns:
        NEIGHBOUR_COLUMNS, one row per item that has a neighbour, nearest first, ties by item index.

    Raises:
        InputError: a file of the model is missing or changed.
    """
    schema = StructType.fromDDL(NEIGHBOUR_COLUMNS)
    assert isinstance(schema, StructType)
    arrow_schema = to_arrow_schema(schema)

    def find(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        torch.set_num_threads(1)
        known = plan.value
        scorer = load_scorer(known)
        directions_VD = torch.nn.functional.normalize(scorer.items_VD, dim=1)
        allowed_V = known.allowed if known.rules is None else known.rules.view(known.rules.reader_of(None)).allowed_V
        bias_V = masked(np.zeros(len(directions_VD), np.float32), allowed_V[: len(directions_VD)])
        for batch in batches:
            indices_B = torch.from_numpy(batch.column("id").to_numpy().copy())
            itself = Ragged(torch.arange(len(indices_B) + 1), indices_B)
            found = top_k(directions_VD[indices_B], directions_VD, n, bias_V=bias_V, excluded=itself)
            rows = []
            for index, items, scores in zip(
                indices_B.tolist(), found.items_BK.tolist(), found.scores_BK.tolist(), strict=True
            ):
                near = [(known.items[item], score) for item, score in zip(items, scores, strict=True) if item]
                ranked = [{"rank": at, "item_id": name, "score": score} for at, (name, score) in enumerate(near, 1)]
                if ranked:
                    rows.append({"item_id": known.items[index], "items": ranked})
            yield pa.RecordBatch.from_pylist(rows, schema=arrow_schema)

    num_items = load_scorer(plan.value).shape.num_items
    return spark.range(1, num_items + 1, 1, num_tasks(num_items)).mapInArrow(find, schema)
