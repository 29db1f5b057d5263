from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.cluster.worlds import artifact_of
from tests.model.synthetic import write_shard

from intentrec.cluster import heads
from intentrec.cluster.heads import fit_calibrations, head_chances, some_rows
from intentrec.metrics import calibrated, label_figures
from intentrec.model.inference import Scorer

NUM_ROWS = 60


@pytest.fixture(scope="module")
def sure(tmp_path_factory):
    """A model whose action head says view with 0.982, and rows in which two of three targets are views."""
    artifact = artifact_of(3)
    counts = {head: [1.0] * len(names) for head, names in artifact.labels().items()}
    artifact = replace(artifact, facts={**artifact.facts, "label_counts": counts})
    weights = dict(artifact.weights)
    weights["intents.heads.action.weight"] = torch.zeros_like(weights["intents.heads.action.weight"])
    weights["intents.heads.action.bias"] = torch.tensor([4.0, 0.0])
    rows = [
        {
            "row_id": number, "length": 4, "items": [1, 2, 3, 1], "times": [*range(1_700_100_000, 1_700_100_004)],
            "weights": [0.0, 1.0, 1.0, 1.0], "features": [1, 1, 1, 2, *[0] * 8],
        }
        for number in range(NUM_ROWS)
    ]  # fmt: skip
    shard = write_shard(tmp_path_factory.mktemp("rows"), "validation", 4, rows, [NUM_ROWS])
    return replace(artifact, weights=weights), (shard,)


def chances_of(artifact, shards):
    return head_chances(Scorer(artifact), artifact.catalogue, shards)


def test_every_target_gives_what_the_head_says_and_what_was_true(sure):
    chances_NC, truth_NC = chances_of(*sure)["action"]
    assert chances_NC.shape == truth_NC.shape == (3 * NUM_ROWS, 2)
    assert chances_NC[:, 0] == pytest.approx(np.full(3 * NUM_ROWS, 1 / (1 + np.exp(-4))))
    assert truth_NC.sum(axis=0).tolist() == [2 * NUM_ROWS, NUM_ROWS]


def test_a_head_that_is_too_sure_is_made_as_sure_as_it_is_right(sure):
    found = fit_calibrations(*sure)["action"]
    chances_NC, truth_NC = chances_of(*sure)["action"]
    assert calibrated(chances_NC, found) == pytest.approx(np.tile([2 / 3, 1 / 3], (3 * NUM_ROWS, 1)), abs=1e-2)
    assert label_figures(calibrated(chances_NC, found), truth_NC).ece == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("most", [30, 90])
def test_of_many_targets_an_even_part_is_taken(sure, monkeypatch, most):
    monkeypatch.setattr(heads, "_MOST_CHANCES", 2 * most)  # the head has two labels
    chances_NC, truth_NC = chances_of(*sure)["action"]
    assert chances_NC.shape == (most, 2)
    # of [view, view, buy] after [view, view, buy] ... every sixth or second one
    assert truth_NC[:, 1].tolist() == [place * 180 // most % 3 == 2 for place in range(most)]


@pytest.mark.parametrize(("most", "read"), [(100, [30, 60]), (90, [30, 60]), (9, [3, 6]), (1, [1, 1])])
def test_of_many_rows_the_same_share_of_every_length_is_read(tmp_path, most, read):
    def rows(count, length):
        return [
            {
                "row_id": number, "length": length, "items": [1] * length, "times": [1_700_100_000] * length,
                "weights": [1.0] * length, "features": [0] * 3 * length,
            }
            for number in range(count)
        ]  # fmt: skip

    shards = (
        write_shard(tmp_path, "validation", 4, rows(30, 4), [30]),
        write_shard(tmp_path, "validation", 8, rows(60, 8), [30, 30]),
    )
    found = [(batch.items_BL.shape[1], batch.row_ids_B.tolist()) for batch in some_rows(shards, most)]
    assert [sum(len(ids) for length, ids in found if length == own) for own in (4, 8)] == read
    again = [(batch.items_BL.shape[1], batch.row_ids_B.tolist()) for batch in some_rows(shards, most)]
    assert again == found


def test_without_rows_there_is_no_calibration(sure):
    assert fit_calibrations(sure[0], ()) == {}
