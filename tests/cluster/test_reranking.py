from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.cluster.worlds import artifact_of, catalogue_of

from intentrec.cluster.catalogue import Newcomers, no_newcomers
from intentrec.cluster.reranking import Asking, NewItems, Reranking, rerank, reranking_of
from intentrec.config import PoliciesConfig
from intentrec.model.inference import Encoded, Histories, Scorer
from intentrec.policies import user_seeds

END = datetime(2024, 5, 3, tzinfo=UTC)
POOL = np.array([[1, 4, 2, 5, 3, 6]]), np.array([[6.0, 5.5, 5, 4.5, 4, 3.5]])
NOBODY = np.zeros((1, 0), np.int64), np.zeros((1, 0))
CATEGORIES_VC = np.array([[0], [1], [2], [3], [1], [2], [3], [1], [2]])


def how_of(**policies):
    nothing_V = np.zeros(9, np.float32)
    young_V = np.isin(np.arange(9), [6, 7, 8])
    return Reranking(
        policies=PoliciesConfig(**policies), categories_VC=CATEGORIES_VC, young_V=young_V, offset_V=nothing_V,
        gap_s=60, night="2024-05-03",
    )  # fmt: skip


def user(items, chances=None):
    """One user with these past items, one a day, and what the category head says of him."""
    items = np.array(items)
    past = Histories([items], [np.arange(len(items)) * 86_400], [items])
    heads = {} if chances is None else {"category": torch.tensor([chances])}
    return Asking(past, Encoded(torch.zeros(1, 1, 2), torch.zeros(1, 2), torch.zeros(1, 1), heads), user_seeds("u", ""))


def listed(users, new=NOBODY, k=4, **policies):
    return rerank(POOL, new, users, how_of(**policies), k)


def test_with_all_at_zero_the_order_is_that_of_the_scores_bit_for_bit():
    found = listed(user([1, 2]))
    assert found.items_BK.tolist() == [[1, 4, 2, 5]]
    assert found.scores_BK.tobytes() == POOL[1][:, :4].tobytes()
    assert np.isnan(found.propensity_BK).all()


def test_diversity_serves_the_intents_of_the_head_or_without_one_of_the_history():
    strong = {"diversity": 20.0, "diversity_by_novelty": False}
    assert listed(user([1], [0.1, 0.1, 0.8]), **strong).items_BK[0, :2].tolist() == [3, 6]  # both of category 3
    assert listed(user([2, 2, 1]), **strong).items_BK[0, 0] == 2
    assert listed(user([2, 2, 1]), **strong).scores_BK[0, 0] == 5.0  # its score stays what it was


def test_a_user_who_tries_new_categories_gets_more_diversity():
    chances = [0.3, 0.65, 0.05]  # 0.5 or 1.5 times ln(0.65 / 0.3) = 0.77, where 2 lacks 1.0 to the first
    by_novelty = [listed(user(own, chances), diversity=1.0).items_BK.tolist() for own in ([1] * 400, [1, 2, 3])]
    # One new category of 400 events, none in the last session; and nothing but new ones.
    alone = [
        listed(user([1], chances), diversity=strength, diversity_by_novelty=False).items_BK.tolist()
        for strength in (0.5 + 1 / 800, 1.5)
    ]
    assert by_novelty == alone
    assert [lists[0][0] for lists in by_novelty] == [1, 2]


def test_calibration_follows_the_users_own_mix():
    found = listed(user([2, 5, 2, 3]), calibration=0.99)
    assert CATEGORIES_VC[found.items_BK[0], 0].tolist().count(2) == 2  # all there are, before anything better scored
    assert set(CATEGORIES_VC[found.items_BK[0][:3], 0].tolist()) == {2, 3}


def test_new_items_and_what_is_drawn_take_the_last_places():
    new = np.array([[8, 7, 6]]), np.array([[3.0, 2, 1]])
    found = listed(user([1]), new=new, new_item_share=0.25, explore_places=2, explore_temperature=1e-3)
    assert found.items_BK.tolist() == [[1, 8, 4, 2]]  # of two places one is for the best new item; then by chance
    assert found.scores_BK.tolist() == [[6.0, 3.0, 5.5, 5.0]]
    assert np.isnan(found.propensity_BK[0, :2]).all()
    assert found.propensity_BK[0, 2:] == pytest.approx([1, 1])


def test_empty_places_are_the_last_wherever_new_items_and_draws_left_them():
    pool = np.array([[1, 4, 0, 0, 0, 0]]), np.array([[6.0, 5.5, *[-np.inf] * 4]])
    new = np.array([[8]]), np.array([[3.0]])
    how = how_of(new_item_share=0.25, explore_places=2, explore_temperature=1e-3)
    found = rerank(pool, new, user([1]), how, 4)
    assert found.items_BK.tolist() == [[1, 8, 4, 0]]  # 8 displaced 4, which was drawn then; nothing else was left
    assert found.scores_BK.tolist() == [[6.0, 3.0, 5.5, -np.inf]]
    assert np.isnan(found.propensity_BK).tolist() == [[True, True, False, True]]
    early = rerank((pool[0][:, [0, 2, 3, 4]], pool[1][:, [0, 2, 3, 4]]), new, user([1]), how_of(new_item_share=0.5), 4)
    assert early.items_BK.tolist() == [[8, 0, 0, 0]]


@pytest.mark.parametrize(
    ("pinned", "items", "num_drawn"),
    [(0, [1, 8, 4, 2], 2), (1, [8, 1, 4, 0], 2), (2, [1, 4, 0, 0], 2), (3, [1, 0, 0, 0], 1), (4, [0, 0, 0, 0], 0)],
)
def test_new_and_drawn_items_keep_their_places_beside_pinned_ones(pinned, items, num_drawn):
    new = np.array([[8, 7, 6]]), np.array([[3.0, 2, 1]])
    how = how_of(new_item_share=0.25, explore_places=2, explore_temperature=1e-3)
    found = rerank(POOL, new, user([1]), how, 4, pinned)
    assert found.items_BK.tolist() == [items]
    assert (~np.isnan(found.propensity_BK)).sum() == num_drawn


def test_at_the_limit_every_place_is_drawn():
    found = listed(user([1]), explore_places=4, explore_temperature=50.0)
    assert len(set(found.items_BK[0].tolist())) == 4
    assert (found.propensity_BK < 0.6).all()


@pytest.mark.parametrize(
    ("policies", "pool", "num_new"),
    [
        ({}, 4, 0),
        ({"diversity": 1.0}, 20, 0),
        ({"explore_places": 1, "pool": 3}, 12, 0),
        ({"new_item_share": 0.3}, 4, 2),
    ],
)
def test_a_larger_pool_is_fetched_only_where_something_is_chosen_from_it(policies, pool, num_new):
    assert (how_of(**policies).pool(4), how_of(**policies).num_new(4)) == (pool, num_new)


def numbers_of(published_V, eligible):
    catalogue = SimpleNamespace(
        categories_VC=torch.from_numpy(CATEGORIES_VC[:4]), published_V=torch.tensor(published_V)
    )
    return SimpleNamespace(eligible=np.array(eligible), catalogue=catalogue)


def test_a_nights_policies_know_the_young_items_newcomers_and_what_is_popular():
    day = int((END - timedelta(days=1)).timestamp())
    numbers = numbers_of([0, day, day - 1, day], [False, True, True, False])
    new = Newcomers(("hat",), np.array([[3]]))
    counts = {1: np.array([0, 9, 9, 9]), 24: np.array([0, 1, 0, 7])}
    policies = PoliciesConfig(popularity_offset=0.5, new_item_share=0.1, new_item_days=1)
    how = reranking_of(policies, numbers, new, counts, (END, timedelta(minutes=30)))
    assert how.young_V.tolist() == [False, True, False, False, True]  # published at the bound; not the ineligible one
    assert how.offset_V == pytest.approx([0, -0.5 * np.log(2), 0, -0.5 * np.log(8), 0])
    assert how.categories_VC.tolist() == [[0], [1], [2], [3], [3]]
    assert how.gap_s == 1800
    off = reranking_of(PoliciesConfig(), numbers, no_newcomers(1), counts, (END, timedelta(minutes=30)))
    assert off is None


def test_an_item_that_nobody_met_is_scored_by_its_features_and_a_known_one_by_its_own_vector():
    scorer = Scorer(artifact_of(4))
    queries_BQD = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(1))
    categories_VC = torch.cat([catalogue_of(4).categories_VC, torch.tensor([[2, 3], [2, 3], [99, 0]])]).numpy()
    young_V = np.array([False, False, True, False, True, True, True, True])
    how = Reranking(
        policies=PoliciesConfig(new_item_share=0.5), categories_VC=categories_VC, young_V=young_V,
        offset_V=np.zeros(8, np.float32), gap_s=60, night="",
    )  # fmt: skip
    bias_V = np.linspace(0, 0.7, 8, dtype=np.float32)
    bias_V[4] = -np.inf  # may not be listed today
    table = scorer.network.items
    torch.nn.init.normal_(table.categories.weight, generator=torch.Generator().manual_seed(2))
    nobody = table.ids.weight[0]
    vectors = torch.stack([scorer.items_VD[2], nobody + table.categories.weight[[2, 3]].sum(dim=0), nobody])
    wanted = (queries_BQD[:, 0] @ vectors.T).numpy() + bias_V[[2, 5, 7]]
    found, scores = NewItems(scorer, how, bias_V).best(queries_BQD, [np.array([1, 6]), np.array([6])], 4)
    for row in range(2):
        order = np.argsort(-wanted[row])
        assert found[row].tolist() == [*np.array([2, 5, 7])[order].tolist(), 0]
        assert scores[row, :3] == pytest.approx(wanted[row][order], abs=1e-6)
    # What a user has seen is left out; without places for new items nothing is computed.
    assert 5 not in NewItems(scorer, how, bias_V).best(queries_BQD, [np.array([5])] * 2, 4)[0]
    assert NewItems(scorer, how, bias_V).best(queries_BQD, [np.array([5])] * 2, 0)[0].shape == (2, 0)
