from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.cluster.worlds import FIELDS, artifact_of, histories_of

from intentrec.baselines import Additive
from intentrec.cluster import candidates
from intentrec.cluster.candidates import candidates_of
from intentrec.cluster.judging import JudgedDay, JudgedUsers
from intentrec.cluster.priors import Prior
from intentrec.cluster.recommenders import ModelRecommender, encoded
from intentrec.metrics import Relevant, ranking_metrics
from intentrec.model.inference import Scorer

NUM_ITEMS, LIVES = 30, (0.5, 12.0)


@pytest.fixture
def world():
    random = np.random.default_rng(4)
    scorer = Scorer(artifact_of(NUM_ITEMS))
    scorer.bias_V = torch.from_numpy(random.random(NUM_ITEMS + 1).astype(np.float32))
    histories = histories_of([1, 3, 2, 5, 4, 6], NUM_ITEMS, num_values=2)
    # 31 came after the model; -1 is in no list
    relevant = Relevant.of([[3], [4, 5, 31], [9], [-1], [7, 8], [2]])
    seen = [np.array(items, dtype=np.int64) for items in ([9], [], [9], [1, 31], [], [])]
    counts = {1: random.integers(0, 9, NUM_ITEMS + 2), 24: random.integers(9, 30, NUM_ITEMS + 2)}
    allowed = np.arange(NUM_ITEMS + 2) % 11 > 0
    day = JudgedDay(JudgedUsers(np.arange(6), histories, seen, relevant), counts, allowed)
    rows, columns = np.repeat(np.arange(6), 3), np.tile([2, 5, 31], 6)
    said = Additive(rows, columns, random.random(18).astype(np.float32))
    return scorer, day, {"after": said}


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weight": 0.7, "shrink_events": 2.0},
        {"weight": 0.3, "half_life_hours": 0.5, "centered": True},
        {"evidence": (("after", 2.0),)},
        {"weight": 1.5, "evidence": (("after", 0.5),), "centered": True, "shrink_events": 4.0},
    ],
)
def test_a_mix_is_judged_as_the_exact_engine_would_rank_it(world, changes, k):
    scorer, day, evidence = world
    queries = encoded(scorer, FIELDS, day.users)
    around = Prior(12.0, 0.0).around(queries)
    some = candidates_of(scorer, day, queries, evidence, (around, LIVES), k)
    prior = replace(Prior(12.0, 0.0), center=around.center if changes.pop("centered", False) else ())
    prior = replace(prior, **changes)
    lists = ModelRecommender("m", scorer, FIELDS, prior).best(day, queries, evidence, k)
    assert some.ndcg(prior, k) == pytest.approx(ranking_metrics(lists, day.users.relevant, k)["ndcg"])


def test_a_tie_counts_against_what_is_relevant(world):
    scorer, day, _ = world
    scorer.items_VD, scorer.bias_V = torch.zeros(NUM_ITEMS + 1, 8), None
    some = candidates_of(scorer, day, torch.zeros(6, 8), {}, (Prior(12.0, 0.0, center=(0.0,) * 8), LIVES), 5)
    assert some.ndcg(Prior(12.0, 0.0), 5).tolist() == [0.0] * 6


def test_long_lists_have_as_many_candidates(world, monkeypatch):
    monkeypatch.setattr(candidates, "_KEPT", 2)
    scorer, day, _ = world
    prior = Prior(12.0, 9.0, shrink_events=1e9)  # popularity alone
    queries = encoded(scorer, FIELDS, day.users)
    some = candidates_of(scorer, day, queries, {}, (prior.around(queries), LIVES), 12)
    lists = ModelRecommender("m", scorer, FIELDS, prior).best(day, queries, {}, 12)
    assert some.ndcg(prior, 12) == pytest.approx(ranking_metrics(lists, day.users.relevant, 12)["ndcg"])
