from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.cluster.worlds import FIELDS, artifact_of, histories_of, reranking_for

from intentrec.baselines import LastItems, TransitionTable
from intentrec.cluster import tradeoff
from intentrec.cluster.catalogue import Numbers
from intentrec.cluster.judging import JudgedDay, JudgedUsers
from intentrec.cluster.priors import Prior
from intentrec.cluster.recommenders import ModelRecommender
from intentrec.cluster.tradeoff import PolicyRecommender, lists_with_policies, traded
from intentrec.config import PoliciesConfig
from intentrec.metrics import Relevant
from intentrec.model.inference import Scorer

COUNTS = {1: np.arange(9)[::-1].copy(), 24: np.arange(9)}


@pytest.fixture(scope="module")
def model():
    return ModelRecommender("m", Scorer(artifact_of(8)), FIELDS, Prior(6.0, 0.3))


def day_of(num_users, allowed=None):
    relevant = Relevant.of([[1 + user % 8] for user in range(num_users)])
    seen = [np.array([1 + (user + 3) % 8]) for user in range(num_users)]
    users = JudgedUsers(
        np.arange(num_users), histories_of([1 + user % 4 for user in range(num_users)], 8), seen, relevant
    )
    return JudgedDay(users, COUNTS, np.arange(9) > 0 if allowed is None else allowed)


def test_with_all_policies_at_zero_the_lists_are_the_models_own(model):
    day = day_of(20)
    raw = model.recommend(day, 4)
    off = PolicyRecommender(model, reranking_for(8))
    assert off.name == "m"
    assert off.recommend(day, 4).tolist() == raw.tolist()
    assert off.recommend(day_of(0), 4).shape == (0, 4)


def test_evidence_joins_the_candidates_as_at_night(model):
    table = TransitionTable.of(*(np.array(row) for row in ([1, 2, 3, 4, 5], [8, 8, 8, 8, 8], [1] * 5, [1] * 5)), 8)
    prior = replace(model.prior, evidence=(("after", 5.0), ("off", 0.0)))
    day = replace(day_of(20), sources={"after": LastItems(table)})
    knowing = replace(model, prior=prior)
    raw = knowing.recommend(day, 4)
    assert raw.tolist() != model.recommend(day, 4).tolist()
    assert PolicyRecommender(knowing, reranking_for(8)).recommend(day, 4).tolist() == raw.tolist()


def test_policies_choose_from_what_may_be_listed_that_day(model):
    allowed = np.arange(9) % 2 == 0
    day = day_of(20, allowed & (np.arange(9) > 0))
    for policies in ({"diversity": 5.0}, {"calibration": 0.9}, {"explore_places": 2}, {"new_item_share": 0.5}):
        items_UK = PolicyRecommender(model, reranking_for(8, **policies)).recommend(day, 3)
        assert items_UK.tolist() != model.recommend(day, 3).tolist()
        for listed, seen in zip(items_UK, day.users.seen, strict=True):
            assert set(listed[listed > 0].tolist()) <= {2, 4, 6, 8} - set(seen.tolist())


def test_popular_items_leave_by_the_offset(model):
    how = reranking_for(8, popularity_offset=1.0)
    offset_V = np.where(np.arange(9) == 5, -100, 0).astype(np.float32)
    items_UK = PolicyRecommender(model, replace(how, offset_V=offset_V)).recommend(day_of(8), 7)
    assert not (items_UK[:, :6] == 5).any()


def test_every_day_is_re_ranked_by_what_was_new_and_popular_at_its_begin(model, monkeypatch):
    given, real = [], tradeoff.reranking_of
    monkeypatch.setattr(tradeoff, "reranking_of", lambda *those: given.append(those) or real(*those))
    artifact = artifact_of(8)
    published_V = artifact.catalogue.published_V.numpy()
    numbers = Numbers(artifact.vocabulary, FIELDS, artifact.catalogue, published_V, np.arange(9) > 0)
    begins = [datetime.fromtimestamp(int(published_V[item]) + 60, UTC) for item in (8, 4)]
    begins[1] += timedelta(days=1)  # items 1 to 4 have just ceased to be new
    other = {24: np.ones(9, np.int64)}
    days = [*zip((day_of(4), replace(day_of(4), counts=other)), begins, strict=True)]
    policies, gap = PoliciesConfig(new_item_share=1.0, new_item_days=1), timedelta(minutes=30)
    made = lists_with_policies(model, days, policies, numbers, gap, 3)
    assert [those[3:] for those in given] == [(COUNTS, (begins[0], gap)), (other, (begins[1], gap))]
    assert [day for day, _ in made] == [day for day, _ in days]
    for listed, seen in zip(made[1][1], days[1][0].users.seen, strict=True):
        assert set(listed.tolist()) <= {5, 6, 7, 8} - set(seen.tolist())
    assert set(made[0][1].flatten().tolist()) & {1, 2, 3, 4}


def test_what_is_traded_is_measured_on_the_lists_as_they_are(model):
    day = day_of(2)
    past = [np.array([1]), np.array([2, 3])]  # categories 2; 3 and 1
    day = replace(day, users=replace(day.users, histories=replace(day.users.histories, items=past)))
    categories_VC = np.array([[0], [2], [3], [1], [2], [3], [1], [2], [3]])
    items_UK = np.array([[1, 4], [4, 2]])  # twice category 2; 2 and 3
    nobody = (day_of(0), items_UK[:0])
    figures = {figure.metric: figure for figure in traded([(day, items_UK), nobody], categories_VC, 2, 1)}
    assert figures["ndcg"].value == pytest.approx((1 + 1 / np.log2(3)) / 2)  # hits on top, and on the second place
    assert figures["intent_coverage"].value == pytest.approx((1 + 0.5) / 2)
    assert figures["intra_list_diversity"].value == pytest.approx((0 + 1) / 2)
    assert figures["coverage"].value == pytest.approx(3 / 8)
    assert {figure.num_users for figure in figures.values()} == {2}
    assert traded([nobody], categories_VC, 2, 1) == []


@pytest.mark.parametrize("categories_VC", [np.zeros((9, 2), np.int64), np.zeros((9, 0), np.int64)])
def test_without_categories_nothing_is_said_of_them(categories_VC):
    figures = traded([(day_of(2), np.array([[1, 4], [4, 2]]))], categories_VC, 2, 1)
    assert [figure.metric for figure in figures] == ["ndcg", "coverage"]
