from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.cluster.worlds import ONE_USER, artifact_of, lists_of, plan_of

from intentrec.model.inference import Scorer

pytestmark = pytest.mark.usefixtures("spark")  # types become Arrow's only where a session is active


def test_intents_are_the_heads_labels_and_each_row_names_its_own_likeliest_category(tmp_path):
    one_user = replace(ONE_USER, items=[np.array([2, 4])])
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


def test_a_model_without_heads_names_no_intent(tmp_path):
    (row,) = lists_of(plan_of(8, 2, artifact_of(8, "sasrec"), tmp_path / "m"), ONE_USER, [[]])
    assert [item["intent"] for item in row["items"]] == [None, None]
    assert (row["heads"], row["head_weights"], row["embedding"]) == ([], [], [])
