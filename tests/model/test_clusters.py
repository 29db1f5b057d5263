import numpy as np
import pytest
import torch
from tests.model.ranks import in_ranks
from tests.model.synthetic import batch_of

from intentrec.model.clusters import cluster_items, item_contexts
from intentrec.model.ranks import OneRank

NUM_ITEMS = 12


def batches_of(num_rows=40, seed=0):
    """Every row walks among items 1 to 4, 5 to 8 or 9 to 11; item 12 is never met."""
    random, rows = np.random.default_rng(seed), []
    for row in range(num_rows):
        kind = row % 3
        items = random.permutation(np.arange(4 * kind + 1, min(4 * kind + 5, 12)))
        pad = 6 - len(items)
        rows.append(
            {
                "row_id": row,
                "items": [0] * pad + items.tolist(),
                "times": [0] * pad + list(range(1, len(items) + 1)),
                "weights": [0.0] * pad + [1.0] * len(items),
                "features": [],
            }
        )
    return [batch_of(part) for part in (rows[:20], rows[20:]) if part]


def test_items_that_are_met_together_share_a_cluster():
    clusters_V = cluster_items(*item_contexts(batches_of(), NUM_ITEMS, OneRank(), 1), 3, 1)
    assert clusters_V[0] == clusters_V[12] == 0
    groups = [set(clusters_V[1:5].tolist()), set(clusters_V[5:9].tolist()), set(clusters_V[9:12].tolist())]
    assert sorted(map(len, groups)) == [1, 1, 1]
    assert set.union(*groups) == {1, 2, 3}


def test_events_and_neighbours_are_counted_once_each():
    contexts_VE, counts_V = item_contexts(batches_of(6), NUM_ITEMS, OneRank(), 1)
    assert counts_V.tolist() == [0.0] + [2.0] * 11 + [0.0]
    lengths = contexts_VE.norm(dim=1)
    torch.testing.assert_close(lengths[1:12], torch.ones(11))
    assert lengths[[0, 12]].tolist() == [0.0, 0.0]


def test_ranks_see_the_contexts_of_all_rows():
    batches = batches_of()
    together = in_ranks(2, lambda ranks: item_contexts(batches[ranks.rank : ranks.rank + 1], NUM_ITEMS, ranks, 1))
    alone = item_contexts(batches, NUM_ITEMS, OneRank(), 1)
    for contexts_VE, counts_V in together:
        torch.testing.assert_close(contexts_VE, alone[0], rtol=1e-4, atol=1e-5)
        assert torch.equal(counts_V, alone[1])


def test_what_has_no_weight_is_not_met():
    batch = batches_of(3)[0]
    batch.weights_BL.zero_()
    contexts_VE, counts_V = item_contexts([batch], NUM_ITEMS, OneRank(), 1)
    assert counts_V.sum() == 0
    assert cluster_items(contexts_VE, counts_V, 3, 1).tolist() == [0] * 13


def test_clusters_of_an_older_model_stay_and_new_items_join_the_nearest():
    contexts_VE, counts_V = item_contexts(batches_of(), NUM_ITEMS, OneRank(), 1)
    known_V = torch.tensor([0, 2, 2, 1, 0, 3, 3])  # item 3 has gone astray and stays there; 4 had none
    clusters_V = cluster_items(contexts_VE, counts_V, 3, 1, known_V)
    assert clusters_V[:4].tolist() == [0, 2, 2, 1]
    assert clusters_V[4].item() in (1, 2)  # with those it is met with
    assert clusters_V[5:9].tolist() == [3, 3, 3, 3]
    assert clusters_V[12] == 0


@pytest.mark.parametrize("num_clusters", [2, 30])
def test_any_number_of_clusters_may_be_asked_for(num_clusters):
    clusters_V = cluster_items(*item_contexts(batches_of(), NUM_ITEMS, OneRank(), 1), num_clusters, 1)
    assert clusters_V[1:12].min() >= 1
    assert clusters_V.max() <= num_clusters
