import numpy as np
import pytest
import torch
from tests.cluster.worlds import artifact_of, plan_of

from intentrec.cluster.similarity import nearest_items
from intentrec.errors import InputError


def test_the_nearest_allowed_items_come_first_and_an_item_is_never_its_own(spark, tmp_path):
    artifact = artifact_of(5)
    artifact.weights["items.categories.weight"].zero_()
    directions = [[0, 0], [1, 0], [2, 2], [0, 3], [3, 0], [1, 0]]  # 4 and 5 point where 1 does; 2 lies half-way to 3
    artifact.weights["items.ids.weight"] = torch.tensor([[*pair, *[0] * 6] for pair in directions]).float()
    allowed = np.array([False, True, True, True, True, False, True])  # 5 may not be listed; 6 is new to the model
    plan = plan_of(6, 2, artifact, tmp_path / "m", allowed=allowed)
    rows = nearest_items(spark, spark.sparkContext.broadcast(plan), 2).collect()
    half = pytest.approx(0.5**0.5)
    found = {row["item_id"]: [(item["rank"], item["item_id"], item["score"]) for item in row["items"]] for row in rows}
    assert found == {
        "i01": [(1, "i04", pytest.approx(1)), (2, "i02", half)],
        "i02": [(1, "i01", half), (2, "i03", half)],  # of three equals the smaller numbers
        "i03": [(1, "i02", half), (2, "i01", pytest.approx(0, abs=1e-6))],
        "i04": [(1, "i01", pytest.approx(1)), (2, "i02", half)],
        "i05": [(1, "i01", pytest.approx(1)), (2, "i04", pytest.approx(1))],
    }


def test_an_item_without_a_neighbour_has_no_row_and_a_damaged_model_is_named(spark, tmp_path):
    only_1 = plan_of(2, 1, artifact_of(2), tmp_path / "m", allowed=np.array([False, True, False]))
    rows = nearest_items(spark, spark.sparkContext.broadcast(only_1), 5).collect()
    assert [(row["item_id"], [item["item_id"] for item in row["items"]]) for row in rows] == [("i02", ["i01"])]
    gone = plan_of(2, 1, artifact_of(2), tmp_path / "gone")
    (tmp_path / "gone" / "vocabulary.json").unlink()
    with pytest.raises(InputError, match=r"gone/vocabulary.json: is missing; restore the folder .* or train again"):
        nearest_items(spark, spark.sparkContext.broadcast(gone), 5)
