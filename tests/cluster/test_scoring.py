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

pytestmark = pytest.mark.usefixtures("spark")  # types become Arrow's only where a session is active
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
    arrays = [
        pa.array([np.asarray(own).tolist() for own in rows])
        for rows in (histories.items, histories.times, histories.features, seen)
    ]
    batch = pa.Table.from_arrays([pa.array(users), *arrays], USERS.names).cast(USERS).to_batches()[0]
    task = scoring._task(SimpleNamespace(value=plan), to_arrow_schema(CANDIDATES.schema))
    return [row for made in task([batch.slice(0, 0), batch]) for row in made.to_pylist()]


def scores_BV(artifact, histories, plan):
    """The network's scores with the prior, by plain matrix products; -inf where an item may not be recommended."""
    scorer = Scorer(artifact)
    num_known = artifact.shape.num_items + 1
    scores = (scorer.encode(histories).queries_BQD[:, 0] @ scorer.items_VD.T).numpy() + plan.bias_V[:num_known]
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
    frame = spark.createDataFrame(rows, HISTORIES.schema)
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


def test_a_short_list_is_filled_with_what_is_popular_and_scores_go_on_falling(tmp_path, one_user):
    artifact = artifact_of(8)  # tonight has 12 items; 9 to 12 are new to the model
    filler = np.array([9, 4, 11, 1, 10])
    plan = plan_of(
        12, 5, artifact, tmp_path / "m", allowed=np.isin(np.arange(13), filler), filler=filler,
        filler_scores=np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32),
    )  # fmt: skip
    wanted = scores_BV(artifact, one_user, plan)[0]
    (row,) = lists_of(plan, one_user, [[4, 11]])
    ours, *filled = row["items"]
    assert (ours["item_id"], ours["source"]) == ("i01", "model")
    assert ours["score"] == pytest.approx(wanted[1], abs=1e-6)
    assert [(item["item_id"], item["source"], item["intent"], item["because_item_id"]) for item in filled] == [
        ("i09", "fallback", None, None), ("i10", "fallback", None, None),
    ]  # fmt: skip
    drop = min(0.0, ours["score"] - np.float32(0.9))
    assert [item["score"] for item in filled] == pytest.approx([0.9 + drop, 0.5 + drop], abs=1e-6)


@pytest.mark.parametrize("last", [-1e-10, -20.0, 0.3, 5.0])
def test_no_filled_row_stands_above_the_models_last(last, tmp_path):
    plan = plan_of(3, 3, filler_scores=np.array([0.9, 0.9, 0.1], np.float32))
    lists = scoring._Lists(plan, None)
    filled = lists._filled([{"score": last}], np.zeros(0, np.int64))
    scores = [item["score"] for item in filled]
    assert scores == sorted(scores, reverse=True)
    assert len(filled) == 3


def test_without_a_model_lists_are_popularity_and_no_intent_is_named(one_user):
    (row,) = lists_of(plan_of(6, 3), one_user, [[1, 3]])
    names = [(item["item_id"], item["source"], item["intent"], item["because_item_id"]) for item in row["items"]]
    assert names == [(name, "fallback", None, None) for name in ("i02", "i04", "i05")]
    assert [item["score"] for item in row["items"]] == pytest.approx([0.74, 0.42, 0.26])  # 0.9 falling by 0.16
    assert (row["heads"], row["head_weights"], row["embedding"]) == ([], [], [])


def test_a_list_stays_short_where_nothing_is_left(one_user):
    (row,) = lists_of(plan_of(4, 3), one_user, [[1, 3]])
    assert [item["item_id"] for item in row["items"]] == ["i02", "i04"]


def test_an_item_that_the_network_alone_would_not_have_listed_is_the_priors(tmp_path, one_user):
    artifact = artifact_of(8)
    alone = np.argsort(-scores_BV(artifact, one_user, plan_of(8, 3))[0], kind="stable")[:8]
    bias_V = np.zeros(9, np.float32)
    bias_V[alone[5]] = 50.0  # far down without the prior
    bias_V[alone[1]] = 40.0  # listed without it too
    (row,) = lists_of(plan_of(8, 3, artifact, tmp_path / "m", bias_V=bias_V), one_user, [[]])
    listed = [(item["item_id"], item["source"]) for item in row["items"]]
    names = ("", *ids(8))
    assert listed == [(names[alone[5]], "prior"), (names[alone[1]], "model"), (names[alone[0]], "model")]
    (row,) = lists_of(plan_of(8, 3, artifact, tmp_path / "m"), one_user, [[]])
    assert [item["source"] for item in row["items"]] == ["model"] * 3


def test_the_reason_is_the_nearest_item_of_the_users_own_history(tmp_path):
    artifact = artifact_of(4)
    artifact.weights["categories.weight"] = artifact.weights.pop("items.categories.weight") * 0
    artifact.weights["items.categories.weight"] = artifact.weights.pop("categories.weight")
    vectors = torch.zeros(5, 8)
    vectors[1, 0] = vectors[2, 1] = 1.0
    vectors[3, :2] = torch.tensor([0.9, 0.1])  # beside 1
    vectors[4, :2] = torch.tensor([0.1, 0.9])  # beside 2
    artifact.weights["items.ids.weight"] = vectors
    past = [np.array([2, 1]), np.array([2]), np.array([0])]
    histories = Histories(
        past, [1_700_100_000 + np.arange(len(own)) for own in past], [np.ones(3 * len(own), int) for own in past]
    )
    rows = lists_of(plan_of(4, 2, artifact, tmp_path / "m"), histories, [[1, 2], [1, 2], [1, 2]])
    because = [{item["item_id"]: item["because_item_id"] for item in row["items"]} for row in rows]
    assert because == [{"i03": "i01", "i04": "i02"}, {"i03": "i02", "i04": "i02"}, {"i03": None, "i04": None}]


def test_intents_are_the_heads_labels_and_each_row_names_its_own_likeliest_category(tmp_path, one_user):
    one_user = replace(one_user, items=[np.array([2, 4])])
    artifact = artifact_of(4)
    two_VC = torch.tensor([[0, 0], [1, 3], [2, 0], [0, 0], [3, 2]])
    artifact = replace(artifact, catalogue=replace(artifact.catalogue, categories_VC=two_VC))
    said = Scorer(artifact).encode(one_user)
    (row,) = lists_of(plan_of(4, 4, artifact, tmp_path / "m"), one_user, [[]])
    chances = dict(zip(("red", "green", "blue"), said.heads["category"][0].tolist(), strict=True))
    own = {"i01": ("red", "blue"), "i02": ("green",), "i03": (), "i04": ("blue", "green")}
    likeliest = {item: max(names, key=chances.get) if names else None for item, names in own.items()}
    assert {item["item_id"]: item["intent"] for item in row["items"]} == {
        item: name and f"category: {name}" for item, name in likeliest.items()
    }
    heads = {head["head"]: head["labels"] for head in row["heads"]}
    assert list(heads) == ["action", "category", "novelty", "item_age"]
    best_first = sorted(chances.items(), key=lambda pair: -pair[1])
    assert [(label["label"], label["probability"]) for label in heads["category"]] == [
        (name, pytest.approx(chance)) for name, chance in best_first
    ]
    assert [len(labels) for labels in heads.values()] == [2, 3, 2, 5]  # of 8 ages the likeliest 5
    assert [pair["head"] for pair in row["head_weights"]] == list(heads)
    assert sum(pair["weight"] for pair in row["head_weights"]) == pytest.approx(1)
    assert row["embedding"] == pytest.approx(said.intents_BD[0].tolist())


def test_a_model_without_heads_names_no_intent(tmp_path, one_user):
    (row,) = lists_of(plan_of(8, 2, artifact_of(8, "sasrec"), tmp_path / "m"), one_user, [[]])
    assert [item["intent"] for item in row["items"]] == [None, None]
    assert (row["heads"], row["head_weights"], row["embedding"]) == ([], [], [])


def test_a_model_of_other_event_features_reads_those_that_it_knows(tmp_path, one_user):
    artifact = artifact_of(8, fields=(Field("device", 2), Field("action", 2)))
    tonight = plan_of(8, 3, artifact, tmp_path / "m", fields=FIELDS)
    own = Histories(one_user.items, one_user.times, [np.array([0, 0, 1, 1])])  # no device, the action
    wanted = np.argsort(-scores_BV(artifact, own, tonight)[0], kind="stable")[:3]
    (row,) = lists_of(tonight, one_user, [[]])
    assert [item["item_id"] for item in row["items"]] == [tonight.items[index] for index in wanted]


def test_rows_are_split_by_their_number_alone():
    assert [scoring.num_tasks(rows) for rows in (0, 80_000, 80_001, 1_000_000)] == [8, 8, 9, 100]


def test_a_damaged_model_is_named_before_any_task_starts(spark, tmp_path):
    plan = plan_of(8, 2, artifact_of(8), tmp_path / "damaged")
    weights = tmp_path / "damaged" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(InputError, match=r"damaged/weights.safetensors: has other bytes .*; restore .* or train again"):
        load_scorer(plan)
    nobody = spark.createDataFrame([], HISTORIES.schema)
    with pytest.raises(InputError, match=r"damaged/weights.safetensors: has other bytes"):
        score(nobody, spark.sparkContext.broadcast(plan), 0)
