import numpy as np
import pytest
import torch
from tests.cluster.worlds import FIELDS, artifact_of, histories_of

from intentrec.baselines import TRANSITIONS, LastItems, TransitionTable
from intentrec.cluster import recommenders
from intentrec.cluster.judging import JudgedDay, JudgedUsers
from intentrec.cluster.priors import Prior
from intentrec.cluster.recommenders import CountingRecommender, ModelRecommender, encoded, known_to, masked
from intentrec.metrics import Relevant
from intentrec.model.inference import Histories, Scorer
from intentrec.model.shape import Field

COUNTS = {1: np.array([0, 0, 3, 0, 3, 0]), 24: np.array([0, 7, 9, 0, 5, 7])}  # best first: 2, 4, 1, 5, 3
# what follows: 1 -> 2 (3 of 4), 1 -> 3 (1 of 4); 2 -> 3 (always)
FOLLOWERS = TransitionTable.of(
    np.array([2, 1, 1]), np.array([3, 3, 2]), np.array([60, 60, 180]), np.array([60, 240, 240]), num_items=5
)
ALL_OF_FIVE = (1, 2, 3, 4, 5)


def arrays(*rows):
    return [np.array(row, dtype=np.int64) for row in rows]


def day_of(items, seen, allowed=ALL_OF_FIVE):
    nothing = arrays(*[[] for _ in items])
    histories = Histories(arrays(*items), nothing, nothing)
    users = JudgedUsers(np.arange(len(items)), histories, arrays(*seen), Relevant.of([[9]] * len(items)))
    return JudgedDay(users, COUNTS, np.isin(np.arange(6), allowed))


@pytest.mark.parametrize("chunk", [2048, 2])
def test_popularity_lists_what_is_counted_most_without_what_is_seen_or_not_allowed(monkeypatch, chunk):
    monkeypatch.setattr(recommenders, "_CHUNK", chunk)
    asked = ([[1], [2], [3]], [[], [2, 1], [4]])
    recommender = CountingRecommender.popular(1)
    assert recommender.name == "popularity_1h"
    assert recommender.recommend(day_of(*asked), 3).tolist() == [[2, 4, 1], [4, 5, 3], [2, 1, 5]]
    without_2 = day_of(*asked, allowed=(1, 3, 4, 5))
    assert recommender.recommend(without_2, 4).tolist() == [[4, 1, 5, 3], [4, 5, 3, 0], [1, 5, 3, 0]]  # 0: none is left
    decayed = CountingRecommender.decayed(1000.0)  # hardly fades: 9, then 7 and 7, then 5
    assert decayed.name == "decayed_popularity_1000h"
    assert decayed.recommend(day_of([[1]], [[]]), 4).tolist() == [[2, 1, 5, 4]]


@pytest.mark.parametrize("chunk", [2048, 2])
def test_transitions_list_what_followed_the_last_known_item_then_what_is_popular(monkeypatch, chunk):
    monkeypatch.setattr(recommenders, "_CHUNK", chunk)
    asked = ([[4, 1], [1, 2, 0], [1, 5], [0]], [[4, 1], [], [], []])
    recommender = CountingRecommender.by_evidence(TRANSITIONS, LastItems(FOLLOWERS), 1)
    assert recommender.name == "transitions_1"
    assert recommender.recommend(day_of(*asked), 3).tolist() == [[2, 3, 5], [3, 2, 4], [2, 4, 1], [2, 4, 1]]
    assert recommender.recommend(day_of(*asked, allowed=(1, 2, 4, 5)), 3).tolist()[1] == [2, 4, 1]


def test_nobody_gets_no_list():
    model = ModelRecommender("m", Scorer(artifact_of(5)), FIELDS, Prior(1.0, 1.0))
    for recommender in (CountingRecommender.popular(1), model):
        assert recommender.recommend(day_of([], []), 3).shape == (0, 3)


@pytest.mark.parametrize("own_bias", [False, True])
@pytest.mark.parametrize("center", [(), (0.5,) * 8])
def test_a_model_lists_the_greatest_of_its_scores_and_the_prior(monkeypatch, own_bias, center):
    monkeypatch.setattr(recommenders, "_CHUNK", 4)
    scorer = Scorer(artifact_of(8))
    random = np.random.default_rng(2)
    if own_bias:
        scorer.bias_V = torch.from_numpy(random.random(9).astype(np.float32))
    histories = histories_of([1, 3, 2, 5, 4, 6], 8, num_values=2)
    seen = arrays([1, 2], [], [8], [3, 10], [5], [9])
    allowed = np.arange(11) != 4
    allowed[0] = False
    counts = {24: random.integers(0, 9, 11)}  # tonight has 10 items; 9 and 10 are new to the model
    prior = Prior(12.0, 0.3, 2.0, center)
    day = JudgedDay(JudgedUsers(np.arange(6), histories, seen, Relevant.of([[1]] * 6)), counts, allowed)
    lists = ModelRecommender("m", scorer, FIELDS, prior).recommend(day, 3)
    queries = scorer.encode(histories).queries_BQD[:, 0] - torch.tensor(center or (0.0,) * 8)
    trust = np.array([[n / (n + 2)] for n in (1, 3, 2, 5, 4, 6)])
    scores = trust * (queries @ scorer.items_VD.T).numpy() + prior.bias(counts)[:9]
    scores += scorer.bias_V.numpy() if own_bias and not center else 0  # the mean takes the items' own scores with it
    scores[:, [0, 4]] = -np.inf
    for row, own in enumerate(seen):
        scores[row, own[own < 9]] = -np.inf
    assert lists.tolist() == np.argsort(-scores, axis=1, kind="stable")[:, :3].tolist()


def test_all_users_are_encoded_in_their_order(monkeypatch):
    monkeypatch.setattr(recommenders, "_CHUNK", 2)
    scorer, histories = Scorer(artifact_of(8)), histories_of([1, 3, 2], 8, num_values=2)
    users = JudgedUsers(np.arange(3), histories, arrays([], [], []), Relevant.of([[1]] * 3))
    assert torch.allclose(encoded(scorer, FIELDS, users), scorer.encode(histories).queries_BQD, atol=1e-6)


def test_what_came_after_a_models_vocabularies_is_unknown_to_it():
    shape = artifact_of(5).shape  # action of 2 values, categories of 3 in two columns
    given = Histories(arrays([5, 6, 1], [7]), arrays([1, 2, 3], [4]), arrays([1, 2, 3, 3, 4, 0, 1, 3, 9], [3, 1, 4]))
    known = known_to(shape, (Field("action", 3), Field("categories", 9, columns=2)), given)
    assert [own.tolist() for own in known.items] == [[5, 0, 1], [0]]
    assert [own.tolist() for own in known.features] == [[1, 2, 0, 3, 0, 0, 1, 3, 0], [0, 1, 0]]
    assert known.times is given.times


def test_a_models_event_features_are_found_by_name_wherever_tonight_has_them():
    shape = artifact_of(5).shape
    tonight = (Field("device", 4), Field("categories", 3), Field("action", 2))  # one category less, one field more
    known = known_to(shape, tonight, Histories(arrays([5, 1]), arrays([1, 2]), arrays([4, 4, 3, 1, 2, 1])))
    assert known.features[0].tolist() == [2, 1, 3, 1, 0, 0]
    none_left = known_to(shape, (), Histories(arrays([5, 1]), arrays([1, 2]), arrays([])))
    assert none_left.features[0].tolist() == [0] * 6
    none_wanted = known_to(
        artifact_of(5, "sasrec", fields=()).shape, FIELDS, Histories(arrays([5]), arrays([1]), arrays([1, 2, 3]))
    )
    assert none_wanted.features[0].tolist() == []


def test_a_mask_leaves_the_bias_of_what_is_allowed():
    bias_V = masked(np.array([1.0, 2.0, 3.0], np.float32), np.array([False, True, False]))
    assert bias_V.tolist() == [float("-inf"), 2.0, float("-inf")]
    assert bias_V.dtype == torch.float32
