from math import isnan

import numpy as np
import pytest
import torch
from tests.cluster.worlds import FIELDS, artifact_of, histories_of

from intentrec.cluster import priors
from intentrec.cluster.judging import JudgedUsers
from intentrec.cluster.priors import Prior, fit_prior, prior_of, save_prior
from intentrec.metrics import Relevant
from intentrec.model.checkpoint import load_artifact, save_artifact
from intentrec.model.inference import Scorer

ALLOWED = np.array([False, True, True, True])
# log(1 + 8) = 2 log(1 + 2): in the day item 2 has half the score of item 3; the last hour has nothing but item 1
DAY, HOUR = np.array([0, 0, 2, 8]), np.array([0, 5, 0, 0])


def scorer_of(*logits):
    """A model of three items that gives everybody these scores."""
    scorer = Scorer(artifact_of(3))
    scorer.items_VD = torch.zeros(4, 8)
    scorer.bias_V = torch.tensor([0.0, *logits])
    return scorer


def users_who_chose(*items):
    return JudgedUsers(
        histories_of([2] * len(items), 3),
        [np.zeros(0, np.int64) for _ in items],
        Relevant.of([[item] for item in items]),
    )


@pytest.mark.parametrize(
    ("chosen", "prior"),
    [
        (1, Prior(1, 64.0, 64.0)),  # the last hour has nothing but item 1
        (2, Prior(24, 4.0, 64.0)),  # 2 + w/2 is above 3 from w > 2, and above w - 1 up to w < 6
        (3, Prior(24, 64.0, 64.0)),  # w - 1 is above 2 + w/2 from w > 6
    ],
)
def test_the_window_and_the_weight_that_rank_what_users_chose_on_top_are_found(chosen, prior):
    found, quality = fit_prior(
        scorer_of(3.0, 2.0, -1.0), users_who_chose(chosen, chosen), {1: HOUR, 24: DAY}, ALLOWED, 1
    )
    assert (found, quality) == (prior, 1.0)


def test_popularity_is_taken_where_the_network_is_no_better_and_the_quality_is_the_mean_over_users():
    users = users_who_chose(1, 3)  # no prior serves both
    popular = Prior(24, 64.0, 64.0)
    assert fit_prior(scorer_of(3.0, 2.0, -1.0), users, {24: DAY}, ALLOWED, 1) == (popular, 0.5)
    nothing = {1: np.zeros(4, np.int64), 24: np.zeros(4, np.int64)}
    assert fit_prior(scorer_of(3.0, 2.0, -1.0), users, nothing, ALLOWED, 1) == (Prior(1, 64.0, 64.0), 0.5)


@pytest.mark.parametrize(
    ("popular", "mixed", "chosen"),
    [
        # behind by 0.25 on average, standard error sqrt(0.6875) / 2 = 0.41: no evidence for the network
        ([0, 1, 1, 0], [1, 1, 0, 1], 0),
        # behind by 0.5, standard error 0.5 / 2 = 0.25: the network has earned its share
        ([0, 1, 0, 1], [1, 1, 1, 1], 1),
    ],
)
def test_the_network_has_to_be_better_by_a_standard_error(popular, mixed, chosen):
    tried = [Prior(1, 64.0, 64.0), Prior(1, 1.0)]
    qualities = [np.array(popular, np.float64), np.array(mixed, np.float64)]
    expected = (tried[chosen], qualities[chosen].mean())
    assert priors._nearest_to_popularity(tried, qualities) == expected


def test_an_item_that_may_not_be_listed_or_was_seen_is_passed_over():
    users = users_who_chose(3)
    without_2 = np.array([False, True, False, True])
    # item 2 stood in the way: now w - 1 need be above 3 alone
    assert fit_prior(scorer_of(3.0, 9.0, -1.0), users, {24: DAY}, without_2, 1) == (Prior(24, 64.0, 64.0), 1.0)
    seen = JudgedUsers(users.histories, [np.array([1, 2])], users.relevant)
    assert fit_prior(scorer_of(3.0, 9.0, -1.0), seen, {24: DAY}, ALLOWED, 1) == (Prior(24, 64.0, 64.0), 1.0)


def test_without_users_there_is_no_prior():
    prior, quality = fit_prior(scorer_of(3.0, 2.0, -1.0), users_who_chose(), {24: DAY, 1: HOUR}, ALLOWED, 1)
    assert prior == Prior(1, 0.0)
    assert isnan(quality)


def test_no_more_users_are_asked_than_are_needed(monkeypatch):
    monkeypatch.setattr(priors, "_MAX_USERS", 1)
    users = users_who_chose(3, 1, 1, 1)
    assert fit_prior(scorer_of(3.0, 2.0, -1.0), users, {24: DAY}, ALLOWED, 1) == (Prior(24, 64.0, 64.0), 1.0)


def test_the_bias_is_the_weight_times_the_windows_scores():
    bias = Prior(24, 3.0).bias({1: HOUR, 24: DAY})
    assert bias.dtype == np.float32
    assert bias == pytest.approx([0.0, 0.0, 1.5, 3.0])
    assert Prior(1, 3.0).bias({1: HOUR, 24: DAY}) == pytest.approx([0.0, 3.0, 0.0, 0.0])


def test_a_prior_is_kept_in_the_model_beside_unchanged_weights(tmp_path):
    artifact = artifact_of(3, fields=FIELDS, label_counts={"action": [1.0, 2.0]})
    before = {name: sha for name, sha, _ in save_artifact(tmp_path / "m", artifact)}
    files = save_prior(tmp_path / "m", Prior(24, 4.0))
    loaded = load_artifact(tmp_path / "m", files)
    assert prior_of(loaded) == Prior(24, 4.0)
    assert loaded.facts["label_counts"] == {"action": [1.0, 2.0]}
    after = {name: sha for name, sha, _ in files}
    assert {name for name in after if after[name] != before[name]} == {"network.json", "manifest.json"}
    save_prior(tmp_path / "m", Prior(1, 0.0))
    assert prior_of(load_artifact(tmp_path / "m")) == Prior(1, 0.0)
