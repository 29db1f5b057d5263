import numpy as np
import pytest
import torch

from intentrec.model import topk
from intentrec.model.ragged import Ragged
from intentrec.model.topk import top_k

NEVER = float("-inf")


def by_sorting(scores_BV, k):
    """The same by sorting everything: greater score first, then smaller index."""
    scores_BV = scores_BV.clone()
    scores_BV[:, 0] = NEVER
    scores, items = scores_BV.sort(dim=1, descending=True, stable=True)
    scores, items = scores[:, :k], items[:, :k].masked_fill(scores[:, :k] == NEVER, 0)
    missing = k - scores.shape[1]
    if missing > 0:
        pad = torch.nn.functional.pad
        scores, items = pad(scores, (0, missing), value=NEVER), pad(items, (0, missing))
    return scores, items


def assert_exact(found, scores_BV, k):
    scores, items = by_sorting(scores_BV, k)
    assert found.items_BK.tolist() == items.tolist()
    torch.testing.assert_close(found.scores_BK, scores, rtol=1e-5, atol=1e-5)  # matrices of other sizes round otherwise


@pytest.mark.parametrize("num_items", [2, 5, 31, 32, 33, 100, 1000, 4097])
@pytest.mark.parametrize("k", [1, 7, 20, 100])
def test_the_best_are_those_of_a_full_sort(num_items, k):
    torch.manual_seed(num_items + k)
    queries_BD, items_VD = torch.randn(9, 16), torch.randn(num_items, 16)
    assert_exact(top_k(queries_BD, items_VD, k), queries_BD @ items_VD.T, k)


@pytest.mark.parametrize("levels", [1, 2, 5, 50])
@pytest.mark.parametrize("k", [1, 3, 40])
def test_equal_scores_go_by_the_smaller_index(levels, k):
    torch.manual_seed(levels)
    items_VD = torch.randint(0, levels, (700, 1)).float()  # with one level all 700 scores are equal
    queries_BD = torch.tensor([[1.0], [2.0], [-1.0]])
    assert_exact(top_k(queries_BD, items_VD, k), queries_BD @ items_VD.T, k)


def test_a_literal_table():
    items_VD = torch.tensor([[9.0], [1.0], [3.0], [2.0], [3.0]])
    found = top_k(torch.tensor([[1.0], [-1.0]]), items_VD, 3)
    assert found.items_BK.tolist() == [[2, 4, 3], [1, 3, 2]]  # item 0 scores best and is never returned
    assert found.scores_BK.tolist() == [[3.0, 3.0, 2.0], [-1.0, -2.0, -3.0]]


def test_excluded_items_are_never_returned_and_short_rows_are_marked():
    items_VD = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    excluded = Ragged.of([np.array([3]), np.array([], int), np.array([1, 2, 3])])
    found = top_k(torch.ones(3, 1), items_VD, 2, excluded=excluded)
    assert found.items_BK.tolist() == [[2, 1], [3, 2], [0, 0]]
    assert found.scores_BK.tolist() == [[2.0, 1.0], [3.0, 2.0], [NEVER, NEVER]]


def test_bias_and_additions_join_the_scores_before_the_choice():
    items_VD = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    bias_V = torch.tensor([0.0, 5.0, 0.0, NEVER])
    additive = Ragged.of([np.array([2]), np.array([1, 2])], [np.array([10.0]), np.array([-9.0, 0.5])])
    found = top_k(torch.ones(2, 1), items_VD, 2, bias_V=bias_V, additive=additive)
    assert found.items_BK.tolist() == [[2, 1], [2, 1]]
    assert found.scores_BK.tolist() == [[12.0, 6.0], [2.5, -3.0]]


def test_an_excluded_item_stays_out_whatever_is_added_to_it():
    found = top_k(
        torch.ones(1, 1),
        torch.tensor([[0.0], [1.0], [2.0]]),
        1,
        excluded=Ragged.of([np.array([1])]),
        additive=Ragged.of([np.array([1])], [np.array([100.0])]),
    )
    assert found.items_BK.tolist() == [[2]]


def test_everything_together_over_several_chunks_equals_a_full_sort(monkeypatch):
    monkeypatch.setattr(topk, "CHUNK", 16)
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    queries_BD, items_VD, bias_V = torch.randn(50, 8), torch.randn(333, 8), torch.randn(333)
    seen = [random.choice(333, size=size, replace=False) for size in random.integers(0, 30, 50)]
    added = [random.choice(333, size=size, replace=False) for size in random.integers(0, 9, 50)]
    values = [random.normal(size=len(items)) for items in added]
    scores_BV = torch.addmm(bias_V, queries_BD, items_VD.T)
    for row in range(50):
        scores_BV[row, torch.from_numpy(added[row])] += torch.from_numpy(values[row]).float()
        scores_BV[row, torch.from_numpy(seen[row])] = NEVER
    found = top_k(queries_BD, items_VD, 10, bias_V=bias_V, excluded=Ragged.of(seen), additive=Ragged.of(added, values))
    assert_exact(found, scores_BV, 10)


def test_no_queries_give_no_rows():
    found = top_k(torch.zeros(0, 4), torch.randn(9, 4), 3)
    assert found.items_BK.shape == found.scores_BK.shape == (0, 3)


@pytest.mark.parametrize("biased", [False, True])
def test_of_several_queries_an_item_gets_the_greatest_score(monkeypatch, biased):
    monkeypatch.setattr(topk, "CHUNK", 4)
    torch.manual_seed(1)
    queries_BQD, items_VD, bias_V = torch.randn(9, 3, 8), torch.randn(100, 8), torch.randn(100)
    scores_BV = (queries_BQD @ items_VD.T).amax(dim=1) + (bias_V if biased else 0)
    assert_exact(top_k(queries_BQD, items_VD, 7, bias_V=bias_V if biased else None), scores_BV, 7)


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("levels", [None, 1, 2])  # None: no two scores are equal; 1: all are
@pytest.mark.parametrize("what", ["queries", "items", "bias", "additive"])
def test_a_number_that_is_none_is_refused_and_named(monkeypatch, halves, levels, what):
    monkeypatch.setattr(topk, "worth_halves", lambda items_VD: halves)
    torch.manual_seed(5)
    drawn = (lambda *shape: torch.randint(1, levels + 1, shape).float()) if levels else torch.randn
    queries_BD, items_VD, bias_V = drawn(9, 4), drawn(700, 4), torch.zeros(700)
    additive = Ragged.of([np.array([70])] * 9, [np.ones(1)] * 9)
    items_VD[0] = np.nan  # padding is never returned
    assert top_k(queries_BD, items_VD, 5, bias_V=bias_V, additive=additive).scores_BK.isfinite().all()
    wrong = {"queries": queries_BD, "items": items_VD[600:], "bias": bias_V[600:], "additive": additive.values_N}[what]
    wrong[3] = np.nan
    with pytest.raises(ValueError, match=f"top_k: NaN in {what}, wanted numbers or -inf; look at the model's weights"):
        top_k(queries_BD, items_VD, 5, bias_V=bias_V, additive=additive)


@pytest.mark.parametrize("halves", [False, True])
def test_infinite_numbers_that_make_none_are_refused_and_masked_rows_are_not(monkeypatch, halves):
    monkeypatch.setattr(topk, "worth_halves", lambda items_VD: halves)
    queries_BD, items_VD, masked_V = torch.ones(2, 2), torch.randn(500, 2), torch.full((500,), NEVER)
    masked = top_k(queries_BD, items_VD, 3, bias_V=masked_V)
    assert (masked.scores_BK == NEVER).all()
    assert not masked.items_BK.any()
    items_VD[7] = torch.tensor([np.inf, -np.inf])
    with pytest.raises(ValueError, match="top_k: products or sums of infinite numbers are NaN, wanted numbers or -inf"):
        top_k(queries_BD, items_VD, 3)


def test_a_single_place_is_no_tie_and_takes_no_number_that_is_none():
    items_VD = torch.tensor([[9.0], [1.0], [1.0]])
    assert top_k(torch.ones(1, 1), items_VD, 1).items_BK.tolist() == [[1]]
    items_VD[2] = np.nan
    with pytest.raises(ValueError, match="NaN in items"):
        top_k(torch.ones(1, 1), items_VD, 1)


@pytest.mark.parametrize("name", ["excluded", "additive"])
@pytest.mark.parametrize("item", [4, -1])
def test_an_item_without_a_row_is_refused_and_not_taken_for_one_of_another_query(name, item):
    entries = (
        Ragged.of([np.array([item])], [np.ones(1, np.float32)]) if name == "additive" else Ragged.of([np.array([item])])
    )
    with pytest.raises(ValueError, match=f"{name}: items 0 to 3 wanted"):
        top_k(torch.ones(1, 1), torch.ones(4, 1), 2, **{name: entries})


@pytest.mark.parametrize(
    ("num_items", "k", "num_queries", "rows"),
    [
        (100_000, 100, 1, 176),
        (100_000, 100, 4, 112),  # 864 kB a user, his four queries one after the other
        (1_000_000, 100, 1, 16),  # 4.2 MB each: 23 would fit
        (100_000_000, 100, 1, 8),  # more than the budget, and no fewer
        (50, 10_000, 1, 176),
    ],
)
def test_no_more_users_are_scored_at_once_than_the_budget_holds(num_items, k, num_queries, rows):
    assert topk.chunk_rows(num_items, k, num_queries) == rows


@pytest.mark.parametrize("interests", [1, 3])
def test_what_is_made_stays_within_the_budget(interests, monkeypatch):
    monkeypatch.setattr(topk, "BUDGET", 4 * 2**20)
    queries, items = torch.randn(200, interests, 16), torch.randn(20_000, 16)
    with torch.profiler.profile(profile_memory=True) as profile:
        found = top_k(queries, items, 100)
    held = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    result = found.scores_BK.nbytes + found.items_BK.nbytes
    assert peak - result < topk.BUDGET
    assert_exact(found, (queries @ items.T).amax(dim=1), 100)
