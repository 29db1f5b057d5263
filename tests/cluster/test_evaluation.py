from dataclasses import dataclass, replace
from math import isnan, log2

import numpy as np
import pytest
import torch
from tests.cluster.worlds import artifact_of, histories_of
from tests.model.synthetic import write_shard

from intentrec.cluster.evaluation import judge, judge_heads
from intentrec.cluster.judging import JudgedDay, JudgedUsers
from intentrec.metrics import Relevant

ALLOWED = np.array([False, True, True, True, False, True])
LISTS = np.array([[3, 1], [2, 5]])


@dataclass
class Fixed:
    """Answers with the lists it was given."""

    lists_UK: np.ndarray
    name: str = "fixed"

    def recommend(self, day, k):
        return self.lists_UK[day.users.users_U, :k]


def day_of(*chosen, users=None):
    """A day in which users chose these items; their numbers are their rows in what ``Fixed`` answers."""
    users_U = np.arange(len(chosen)) if users is None else np.array(users)
    seen = [np.zeros(0, np.int64) for _ in chosen]
    users = JudgedUsers(users_U, histories_of([2] * len(chosen), 5), seen, Relevant.of(chosen))
    return JudgedDay(users, {}, ALLOWED)


def test_figures_are_means_over_users_at_every_length():
    judgement = judge(Fixed(LISTS), [day_of([3], [5, 6])], (1, 2), seed=1)
    found = {(figure.metric, figure.k): figure.value for figure in judgement.figures}
    second = (1 / log2(3)) / (1 + 1 / log2(3))  # one of two hits, on the second place
    assert found == {
        ("hit_rate", 1): 0.5, ("hit_rate", 2): 1.0,
        ("recall", 1): 0.5, ("recall", 2): 0.75,
        ("precision", 1): 0.5, ("precision", 2): 0.5,
        ("ndcg", 1): 0.5, ("ndcg", 2): pytest.approx((1 + second) / 2),
        ("mrr", 1): 0.5, ("mrr", 2): 0.75,
        ("map", 1): 0.5, ("map", 2): pytest.approx((1 + 0.25) / 2),
        ("coverage", 1): 0.5, ("coverage", 2): 1.0,  # of 1, 2, 3 and 5
    }  # fmt: skip
    assert judgement.name == "fixed"
    assert {figure.num_users for figure in judgement.figures} == {2}


def test_the_first_length_decides():
    days = [day_of([3], [5, 6])]
    assert judge(Fixed(LISTS), days, (1, 2), seed=1).deciding_U.tolist() == [1.0, 0.0]
    deciding_U = judge(Fixed(LISTS), days, (2, 1), seed=1).deciding_U
    assert deciding_U == pytest.approx([1.0, (1 / log2(3)) / (1 + 1 / log2(3))])


def test_intervals_depend_on_the_seed_alone_and_hold_the_mean():
    days = [day_of(*[[3, *range(6, 6 + more)] for more in range(40)])]  # recall 1, 1/2, 1/3, ... 1/40
    figures = [judge(Fixed(np.tile([[3, 1]], (40, 1))), days, (1,), seed).figures for seed in (1, 1, 2)]
    assert figures[0] == figures[1] != figures[2]
    (recall,) = (figure for figure in figures[0] if figure.metric == "recall")
    assert recall.value == pytest.approx(sum(1 / n for n in range(1, 41)) / 40)
    assert recall.low < recall.value < recall.high


def test_a_user_of_many_days_counts_once_with_the_mean_of_his_days():
    days = [day_of([3], [5, 6]), day_of([1], users=[0]), day_of()]
    judgement = judge(Fixed(LISTS), days, (1,), seed=1)
    assert judgement.deciding_U.tolist() == [0.5, 0.0]  # a hit, then a miss; one miss
    found = {figure.metric: (figure.value, figure.num_users) for figure in judgement.figures}
    assert found["hit_rate"] == (0.25, 2)
    assert found["coverage"] == (0.5, 2)


def test_without_users_nothing_is_measured():
    judgement = judge(Fixed(np.zeros((0, 2), np.int64)), [day_of(), day_of()], (1,), seed=1)
    assert [(figure.metric, figure.num_users) for figure in judgement.figures] == [("coverage", 0)]
    assert len(judgement.deciding_U) == 0


def test_heads_are_compared_with_the_label_that_was_most_frequent_in_training(tmp_path):
    counts = {"action": [1.0, 5.0], "category": [3.0, 1.0, 0.0], "novelty": [1.0, 0.0], "item_age": [1.0] + [0.0] * 7}
    artifact = artifact_of(3, label_counts=counts)
    weights = dict(artifact.weights)
    for name in ("action", "category"):
        weights[f"intents.heads.{name}.weight"] = torch.zeros_like(weights[f"intents.heads.{name}.weight"])
    weights["intents.heads.action.bias"] = torch.tensor([9.0, 0.0])  # always says view
    weights["intents.heads.category.bias"] = torch.tensor([0.0, 9.0, 0.0])  # always says the second
    items, actions = [0, 0, 0, 3, 1, 2, 3, 1], [0, 0, 0, 2, 1, 1, 2, 1]  # item i is of category 1 + i mod 3
    row = {
        "row_id": 1, "length": 5, "items": items, "times": [0, 0, 0, *range(1_700_100_000, 1_700_100_005)],
        "weights": [0.0] * 4 + [1.0] * 4, "features": [*actions, *[0] * 16],
    }  # fmt: skip
    heads = judge_heads(replace(artifact, weights=weights), (write_shard(tmp_path, "holdout", 8, [row], [1]),)).heads
    # targets: view, view, buy, view; buy is the majority of training
    assert (heads["action"].accuracy, heads["action"].majority_share) == (0.75, 0.25)
    # targets: items 1, 2, 3, 1 of categories 2, 3, 1, 2; category 1 is the majority of training
    assert (heads["category"].accuracy, heads["category"].majority_share) == (0.5, 0.25)
    assert heads["action"].num_events == 4


def test_heads_without_rows_have_no_figures():
    counts = {"action": [1.0, 5.0], "category": [3.0, 1.0, 0.0], "novelty": [1.0, 0.0], "item_age": [1.0] + [0.0] * 7}
    heads = judge_heads(artifact_of(3, label_counts=counts), ()).heads
    assert isnan(heads["action"].accuracy)
    assert heads["action"].num_events == 0
