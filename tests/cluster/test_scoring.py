from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyspark.sql.pandas.types import to_arrow_schema
from tests.cluster.worlds import DAY, FIELDS, artifact_of, histories_of, ids, plan_of

from intentrec.cluster import scoring
from intentrec.cluster.scoring import load_scorer, score
from intentrec.errors import InputError
from intentrec.model.inference import Histories, Scorer
from intentrec.model.shape import Field
from intentrec.tables import CANDIDATES, HISTORIES

USERS = pa.schema(
    [
        ("user_id", pa.string()),
        ("items", pa.list_(pa.int32())),
        ("times", pa.list_(pa.int64())),
        ("features", pa.list_(pa.int32())),
        ("seen", pa.list_(pa.int32())),
    ]
)


def lists_of(plan, histories, seen):
    """Run what Spark runs in a task, here."""
    users = [f"u{row}" for row in range(len(seen))]
    arrays = [pa.array([np.asarray(own).tolist() for own in rows]) for rows in (histories.items, histories.times, histories.features, seen)]
    batch = pa.Table.from_arrays([pa.array(users), *arrays], USERS.names).cast(USERS).to_batches()[0]
    task = scoring._task(SimpleNamespace(value=plan), to_arrow_schema(CANDIDATES.schema))
    return [row for made in task([batch.slice(0, 0), batch]) for row in made.to_pylist()]


def scores_BV(artifact, histories, plan):
    """The network's scores with the prior, by plain matrix products; -inf where an item may not be recommended."""
    scorer = Scorer(artifact)
    num_known = artifact.shape.num_items + 1
    scores = (scorer.encode(histories).queries_BD @ scorer.items_VD.T).numpy() + plan.bias_V[:num_known]
    return np.where(plan.allowed[:num_known], scores, -np.inf)


@pytest.fixture
def one_user():
    return Histories([np.array([2, 5])], [np.array([1_700_100_000, 1_700_100_060])], [np.ones(6, np.int64)])


def test_spark_scores_as_torch_does_and_lists_nothing_seen_or_unavailable(spark, tmp_path):
    artifact, lengths = artifact_of(30), [1 + row % 7 for row in range(40)]
    histories = histories_of(lengths, 33)  # 31 to 33 came after the model's vocabulary
    random = np.random.default_rng(5)
    seen = [np.unique(random.integers(1, 34, 6)) for _ in lengths]
    allowed = np.arange(34) % 4 > 0
    bias_V = random.random(34).astype(np.float32)
    plan = plan_of(33, 10, artifact, tmp_path / "m", allowed=allowed, bias_V=bias_V, filler=np.flatnonzero(allowed))
    known = Histories([np.where(own > 30, 0, own) for own in histories.items], histories.times, histories.features)
    limits = [2] + [3, 3]
    known.features[:] = [
        np.where(own > np.repeat(limits, length), 0, own) for own, length in zip(known.features, lengths, strict=True)
    ]
    wanted = scores_BV(artifact, known, plan)
    rows = [
        (DAY, f"u{row:02d}", histories.items[row].tolist(), histories.times[row].tolist(),
         histories.features[row].tolist(), seen[row].tolist(), lengths[row], datetime(2024, 5, 1, tzinfo=UTC))
        for row in range(len(lengths))
    ]  # fmt: skip
    frame = spark.createDataFrame(rows, HISTORIES.schema)
    shared = spark.sparkContext.broadcast(plan)
    lists = {row["user_id"]: row for row in score(frame.repartition(3), shared).collect()}
    assert len(lists) == 40
    for row, own in enumerate(seen):
        scores = wanted[row].copy()
        scores[own[own <= 30]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:10]
        listed = lists[f"u{row:02d}"]["items"]
        assert [item["item_id"] for item in listed] == [plan.items[index] for index in best]
        assert [item["score"] for item in listed] == pytest.approx(scores[best], abs=1e-5)
    assert {row["user_id"]: row for row in score(frame.coalesce(1), shared).collect()} == lists
