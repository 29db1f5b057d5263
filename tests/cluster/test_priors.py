from math import log

import numpy as np
import pytest
import torch
from tests.cluster.worlds import FIELDS, artifact_of

from intentrec.baselines import Additive
from intentrec.cluster.priors import Prior, half_lives, prior_of, save_prior
from intentrec.metrics import Calibration
from intentrec.model.checkpoint import load_artifact, save_artifact

DAY, HOUR = np.array([0, 0, 2, 8]), np.array([0, 0, 0, 8])


def test_the_bias_is_the_weight_times_the_logarithm_of_tenths_of_faded_events():
    bias = Prior(12.0, 3.0).bias({24: DAY})  # all events lie 12 hours back, one half-life
    assert bias.dtype == np.float32
    assert bias == pytest.approx([0.0, 0.0, 3 * log(1 + 10 * 1), 3 * log(1 + 10 * 4)])
    # with the last hour known, item 3 is half an hour old and item 2 (1 + 24) / 2 = 12.5 hours
    faded = Prior(12.5, 1.0).bias({24: DAY, 1: HOUR})
    assert faded == pytest.approx([0.0, 0.0, log(1 + 10), log(1 + 80 * 0.5 ** (0.5 / 12.5))])


def test_what_is_personal_is_the_distance_from_the_mean_and_shrinks_with_short_histories():
    queries = torch.tensor([[[1.5, 2.5], [0.5, 1.5]]] * 3)  # two queries of each user, the second at the mean
    items = [np.zeros(length, np.int64) for length in (1, 4, 12)]
    personal = Prior(1.0, 1.0, 4.0, (0.5, 1.5)).personal(queries, items)
    assert torch.allclose(personal[:, 0], torch.tensor([[0.2] * 2, [0.5] * 2, [0.75] * 2]))
    assert personal[:, 1].abs().sum() == 0
    assert torch.equal(Prior(1.0, 1.0).personal(queries, items), queries)


def test_the_center_is_the_mean_query():
    prior = Prior(1.0, 2.0, 3.0)
    assert prior.around(torch.tensor([[[1.0, 4.0]], [[2.0, 6.0]]])) == Prior(1.0, 2.0, 3.0, (1.5, 5.0))
    assert prior.around(torch.tensor([[[0.0, 4.0], [3.0, 6.0]]])) == Prior(1.0, 2.0, 3.0, (1.5, 5.0))
    assert prior.around(torch.zeros(0, 1, 2)) == prior


def test_the_items_own_scores_leave_with_the_mean():
    own = torch.tensor([0.0, 1.0, 2.0])
    assert Prior(1.0, 1.0).item_scores(own, 3) is own
    assert Prior(1.0, 1.0).item_scores(None, 3).tolist() == [0.0] * 3
    assert Prior(1.0, 1.0, 0.0, (1.0,)).item_scores(own, 3).tolist() == [0.0] * 3


def test_a_prior_is_kept_in_the_model_beside_unchanged_weights(tmp_path):
    artifact = artifact_of(3, fields=FIELDS, label_counts={"action": [1.0, 2.0]})
    before = {name: sha for name, sha, _ in save_artifact(tmp_path / "m", artifact)}
    kept = Prior(24.0, 4.0, 16.0, (0.1, 0.7))
    files = save_prior(tmp_path / "m", kept, {"action": Calibration(1.5, 0.1, (0.4, 0.6))})
    loaded = load_artifact(tmp_path / "m", files)
    assert prior_of(loaded) == kept
    assert loaded.facts["label_counts"] == {"action": [1.0, 2.0]}
    assert loaded.calibrations() == {"action": Calibration(1.5, 0.1, (0.4, 0.6))}
    after = {name: sha for name, sha, _ in files}
    assert {name for name in after if after[name] != before[name]} == {"network.json", "manifest.json"}
    save_prior(tmp_path / "m", Prior(1.0, 0.0))
    assert prior_of(load_artifact(tmp_path / "m")) == Prior(1.0, 0.0)


def test_half_of_every_window_is_tried_as_half_life():
    assert half_lives((24, 1)) == (0.5, 12.0)


def test_sources_are_what_has_a_weight():
    assert Prior(1.0, 1.0, evidence=(("after", 0.0), ("near", 0.5))).sources == ("near",)


def test_evidence_is_weighed_and_what_the_model_does_not_know_is_left_out():
    found = {
        "after": Additive(np.array([0, 0, 1]), np.array([2, 9, 3]), np.array([1.0, 2.0, 4.0], np.float32)),
        "near": Additive(np.array([0, 1]), np.array([2, 1]), np.array([1.0, 1.0], np.float32)),
    }
    prior = Prior(12.0, 1.0, evidence=(("after", 0.5), ("near", 2.0)))
    rows, columns, values = prior.additive(found, 8)
    assert (rows.tolist(), columns.tolist(), values.tolist()) == ([0, 1, 1], [2, 1, 3], [0.5 + 2.0, 2.0, 2.0])
    assert Prior(12.0, 1.0, evidence=(("after", 0.0),)).additive(found, 8) is None


def test_evidence_comes_back_with_the_model(tmp_path):
    prior = Prior(12.0, 1.0, evidence=(("after", 0.5),))
    save_artifact(tmp_path / "model", artifact_of(5))
    save_prior(tmp_path / "model", prior)
    assert prior_of(load_artifact(tmp_path / "model")) == prior


def test_a_model_from_before_there_was_evidence_is_still_read(tmp_path):
    old = {"half_life_hours": 12.0, "weight": 1.0, "shrink_events": 2.0, "center": [0.5]}
    save_artifact(tmp_path / "model", artifact_of(5, prior=old))
    assert prior_of(load_artifact(tmp_path / "model")) == Prior(12.0, 1.0, 2.0, (0.5,))
