from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from pyspark.sql.types import ArrayType, IntegerType, StructField, StructType
from tests.cluster.worlds import DAY, artifact_of, histories_of, plan_of, scores_BV

from intentrec.cluster.scoring import load_scorer, score, with_origin
from intentrec.errors import InputError
from intentrec.model.inference import Histories
from intentrec.rules import RuleRow, Rules
from intentrec.tables import HISTORIES

NOON = datetime(2024, 5, 2, 12, tzinfo=UTC)


def test_spark_scores_as_torch_does_and_lists_nothing_seen_or_unavailable(spark, tmp_path):
    artifact, lengths = artifact_of(30), [1 + row % 7 for row in range(40)]
    histories = histories_of(lengths, 33)  # 31 to 33 came after the model's vocabulary
    random = np.random.default_rng(5)
    seen = [np.unique(random.integers(1, 34, 6)) for _ in lengths]
    allowed = np.arange(34) % 4 > 0
    bias_V = random.random(34).astype(np.float32)
    plan = plan_of(33, 10, artifact, tmp_path / "m", allowed=allowed, bias_V=bias_V, filler=np.flatnonzero(allowed))
    known = Histories([np.where(own > 30, 0, own) for own in histories.items], histories.times, histories.features)
    limits = [2, 3, 3]
    known.features[:] = [
        np.where(own > np.repeat(limits, length), 0, own) for own, length in zip(known.features, lengths, strict=True)
    ]
    wanted = scores_BV(artifact, known, plan)
    rows = [
        (DAY, f"u{row:02d}", histories.items[row].tolist(), histories.times[row].tolist(),
         histories.features[row].tolist(), seen[row].tolist(), lengths[row], datetime(2024, 5, 1, tzinfo=UTC))
        for row in range(len(lengths))
    ]  # fmt: skip
    frame = with_origin(spark.createDataFrame(rows, HISTORIES.schema), "plan")
    shared = spark.sparkContext.broadcast(plan)
    lists = {row["user_id"]: row for row in score(frame.repartition(3), shared, 40).collect()}
    assert len(lists) == 40
    for row, own in enumerate(seen):
        scores = wanted[row].copy()
        scores[own[own <= 30]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:10]
        listed = lists[f"u{row:02d}"]["items"]
        assert [item["item_id"] for item in listed] == [plan.items[index] for index in best]
        assert [item["score"] for item in listed] == pytest.approx(scores[best], abs=1e-5)
    assert {row["user_id"]: row for row in score(frame.coalesce(1), shared, 40).collect()} == lists


def test_users_of_a_kind_come_together_where_there_are_rules_and_get_the_lists_of_their_kind(spark, monkeypatch):
    rules = Rules(
        (RuleRow(rule="kids", kind="exclude", items_N=np.array([1, 2]), audience=0),), np.arange(9) > 0, 3,
        (("segment", "kids"), ("country", "DE")),
    )  # fmt: skip
    plan = replace(plan_of(8, 3, filler_counts=np.zeros(9, np.int64)), rules=rules)
    kinds = ([], [0], [1], [0, 1])
    rows = [(DAY, f"u{row:02d}", [1], [0], [], [], 1, NOON, kinds[row % 4]) for row in range(32)]
    schema = StructType([*HISTORIES.schema, StructField("audiences", ArrayType(IntegerType()))])
    frame = with_origin(spark.createDataFrame(rows, schema), "plan")
    monkeypatch.setattr("intentrec.cluster.scoring.tasks.num_tasks", lambda num_users: 1)
    size = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = spark.conf.get(size)
    spark.conf.set(size, "4")  # in the order of ids each batch would have all four kinds
    shared = spark.sparkContext.broadcast(plan)
    lists = [(row["user_id"], [item["item_id"] for item in row["items"]]) for row in score(frame, shared, 32).collect()]
    spark.conf.set(size, before)
    assert [user for user, _ in lists] == [f"u{row:02d}" for kind in (0, 1, 3, 2) for row in range(kind, 32, 4)]
    assert {tuple(items) for user, items in lists if int(user[1:]) % 4 in (0, 2)} == {("i01", "i02", "i03")}
    assert {tuple(items) for user, items in lists if int(user[1:]) % 4 in (1, 3)} == {("i03", "i04", "i05")}
    again = [(row["user_id"], [item["item_id"] for item in row["items"]])
             for row in score(frame.repartition(3), shared, 32).collect()]  # fmt: skip
    assert again == lists


def test_a_damaged_model_is_named_before_any_task_starts(spark, tmp_path):
    plan = plan_of(8, 2, artifact_of(8), tmp_path / "damaged")
    weights = tmp_path / "damaged" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(InputError, match=r"damaged/weights.safetensors: has other bytes .*; restore .* or train again"):
        load_scorer(plan)
    nobody = with_origin(spark.createDataFrame([], HISTORIES.schema), "plan")
    with pytest.raises(InputError, match=r"damaged/weights.safetensors: has other bytes"):
        score(nobody, spark.sparkContext.broadcast(plan), 0)
