import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intentrec.model import halves, topk
from intentrec.model.halves import Asked, Blocks, best_by_halves, blocks_in
from intentrec.model.ragged import Ragged
from intentrec.model.topk import top_k

NEVER = float("-inf")
ONE_BLOCK = Blocks(16, 4096)


@pytest.fixture
def always(monkeypatch):
    """Halves wherever there are no several queries; they are right without the processor's help, only slower."""
    monkeypatch.setattr(topk, "worth_halves", lambda items_VD: True)


def by_halves(queries_BD, items_VD, k, bias_V=None, extra=(None, None), blocks=ONE_BLOCK):
    bias_V = torch.zeros(len(items_VD)) if bias_V is None else bias_V.clone()
    bias_V[0] = NEVER
    return best_by_halves(Asked(queries_BD, items_VD, bias_V, *extra), k, blocks)


def in_doubles(queries_BD, items_VD, k, bias_V=None, excluded=None, additive=None):
    """The k best scores_BK by sorting all of them, in float64."""
    scores_BV = queries_BD.double() @ items_VD.double().T
    scores_BV += 0 if bias_V is None else bias_V.double()
    for row in range(len(queries_BD)):
        if additive is not None:
            own = slice(int(additive.starts_B[row]), int(additive.starts_B[row + 1]))
            scores_BV[row, additive.items_N[own]] += additive.values_N[own].double()
        if excluded is not None:
            scores_BV[row, excluded.items_N[int(excluded.starts_B[row]) : int(excluded.starts_B[row + 1])]] = NEVER
    scores_BV[:, 0] = NEVER
    return scores_BV, scores_BV.topk(k, dim=1).values


def drawn(rows, num_items, width, seed=0):
    """Queries, items of very different lengths, a bias, what is excluded and what is added."""
    random = np.random.default_rng(seed)
    lengths = np.exp(random.normal(size=num_items))
    items = random.normal(size=(num_items, width)) * lengths[:, None]
    picked = [random.choice(num_items, size=size, replace=False) for size in random.integers(0, 40, 2 * rows)]
    values = [random.normal(size=len(own)) * 3 for own in picked[:rows]]
    bias = np.where(random.random(num_items) < 0.1, NEVER, random.normal(size=num_items) - 4)
    return (
        *(torch.tensor(own, dtype=torch.float32) for own in (random.normal(size=(rows, width)), items, bias)),
        Ragged.of(picked[rows:]),
        Ragged.of(picked[:rows], values),
    )


@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("what", ["alone", "biased", "excluded", "added", "all"])
@pytest.mark.parametrize("blocks", [Blocks(16, 3072), Blocks(56, 1024)], ids=["one", "three"])
def test_proven_rows_hold_the_best_and_most_rows_are_proven(k, what, blocks):
    queries_BD, items_VD, bias_V, excluded, additive = drawn(50, 3000, 24)
    bias_V = bias_V if what in ("biased", "all") else None
    extra = (excluded if what in ("excluded", "all") else None, additive if what in ("added", "all") else None)
    found, sure_B = by_halves(queries_BD, items_VD, k, bias_V, extra, blocks)
    scores_BV, wanted_BK = in_doubles(queries_BD, items_VD, k, bias_V, *extra)
    assert int(sure_B.sum()) > 45
    torch.testing.assert_close(found.scores_BK[sure_B].double(), wanted_BK[sure_B], rtol=1e-5, atol=1e-5)
    assert torch.equal(scores_BV.gather(1, found.items_BK)[sure_B], wanted_BK[sure_B])


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1e-4, 1.0, 1e4]),
    bias=st.sampled_from([0.0, 1.0, 1e4]),
    added=st.sampled_from([None, 1.0, 1e4]),
)
def test_what_is_left_off_the_shortlist_never_reaches_more_than_is_said(seed, scale, bias, added):
    generator = torch.Generator().manual_seed(seed)
    width = 1 + seed % 9
    queries_BD = torch.randn(8, width, generator=generator) * scale
    items_VD = torch.randn(400, width, generator=generator)
    bias_V = torch.randn(400, generator=generator) * bias
    values = torch.randn(8, 30, generator=generator) * (added or 0.0)
    additive = None if added is None else Ragged.of([np.arange(30)] * 8, list(values.numpy()))
    found, sure_B = by_halves(queries_BD, items_VD, 5, bias_V, (None, additive), Blocks(8, 128))
    _, wanted_BK = in_doubles(queries_BD, items_VD, 5, bias_V, None, additive)
    size = float(wanted_BK.abs().max())
    torch.testing.assert_close(found.scores_BK[sure_B].double(), wanted_BK[sure_B], rtol=1e-5, atol=1e-6 * size)


def test_rows_to_which_nothing_is_added_are_as_without():
    queries_BD, items_VD, *_ = drawn(20, 3000, 24)
    nothing = Ragged.of([np.zeros(0, int)] * 20, [np.zeros(0)] * 20)
    (found, sure_B), (plain, plain_B) = (
        by_halves(queries_BD, items_VD, 5, extra=(None, own)) for own in (nothing, None)
    )
    assert torch.equal(found.scores_BK, plain.scores_BK)
    assert torch.equal(sure_B, plain_B)


def test_scores_closer_than_halves_can_tell_are_not_proven_and_found_all_the_same(always):
    items_VD = 1 + torch.randperm(2000, generator=torch.Generator().manual_seed(1))[:, None] * 1e-6
    queries_BD = torch.tensor([[1.0], [-2.0], [3.0]])
    _, sure_B = by_halves(queries_BD, items_VD, 7)
    assert not sure_B.any()
    found = top_k(queries_BD, items_VD, 7)
    order = items_VD[1:, 0].argsort(descending=True) + 1
    assert found.items_BK.tolist() == [order[:7].tolist(), order.flip(0)[:7].tolist(), order[:7].tolist()]


@pytest.mark.parametrize("levels", [1, 3, 40])
def test_equal_scores_go_by_the_smaller_index(always, levels):
    items_VD = torch.randint(0, levels, (900, 1), generator=torch.Generator().manual_seed(levels)).float()
    found = top_k(torch.tensor([[1.0], [-1.0]]), items_VD, 30)
    for sign, items in zip((1, -1), found.items_BK.tolist(), strict=True):
        assert items == sorted(range(1, 900), key=lambda item: (-sign * float(items_VD[item, 0]), item))[:30]


def test_rows_without_enough_items_are_marked(always):
    queries_BD, items_VD = torch.ones(3, 4), torch.ones(500, 4)
    excluded = Ragged.of([np.arange(500), np.arange(4, 500), np.zeros(0, int)])
    found = top_k(queries_BD, items_VD, 5, excluded=excluded)
    assert found.items_BK.tolist() == [[0] * 5, [1, 2, 3, 0, 0], [1, 2, 3, 4, 5]]
    assert found.scores_BK.tolist() == [[NEVER] * 5, [4.0] * 3 + [NEVER] * 2, [4.0] * 5]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 3e38])
def test_numbers_that_are_none_prove_nothing(wrong):
    queries_BD, items_VD, *_ = drawn(4, 800, 8)
    queries_BD[1, 0] = wrong
    _, sure_B = by_halves(queries_BD, items_VD, 5)
    assert sure_B.tolist() == [True, False, True, True]


def test_other_queries_change_no_bit(always):
    queries_BD, items_VD, bias_V, excluded, additive = drawn(100, 3000, 24)
    whole = top_k(queries_BD, items_VD, 20, bias_V=bias_V, excluded=excluded, additive=additive)
    for rows in (torch.tensor([7]), torch.arange(90, 40, -1)):
        own = (excluded.some(rows), additive.some(rows))
        some = top_k(queries_BD[rows], items_VD, 20, bias_V=bias_V, excluded=own[0], additive=own[1])
        assert torch.equal(some.scores_BK, whole.scores_BK[rows])
        assert torch.equal(some.items_BK, whole.items_BK[rows])


def test_what_is_made_stays_within_the_budget(always, monkeypatch):
    monkeypatch.setattr(topk, "BUDGET", 16 * 2**20)
    queries_BD, items_VD, bias_V, excluded, additive = drawn(300, 40_000, 16)
    blocks = blocks_in(topk.BUDGET, items_VD, 100)
    assert blocks.rows < 300
    assert blocks.items < 40_000
    with torch.profiler.profile(profile_memory=True) as profile:
        found = top_k(queries_BD, items_VD, 100, bias_V=bias_V, excluded=excluded, additive=additive)
    held = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    assert peak - found.scores_BK.nbytes - found.items_BK.nbytes < topk.BUDGET


@pytest.mark.parametrize(
    ("budget", "shape", "k", "blocks"),
    [
        (96 * 2**20, (100_000, 128), 100, Blocks(192, 100_096)),
        (96 * 2**20, (10_000_000, 64), 100, Blocks(192, 135_168)),
        (96 * 2**20, (5_000, 128), 10, Blocks(192, 5_120)),
        (96 * 2**20, (100_000, 128), 500, Blocks(192, 25_088)),
        (96 * 2**20, (100_000, 128), 2_000, None),  # the shortlists of 2,048 users alone would take 86 MB
        (16 * 2**20, (100_000, 128), 100, None),
    ],
)
def test_what_is_multiplied_at_once_fits_into_the_budget(budget, shape, k, blocks):
    assert blocks_in(budget, torch.empty(shape, device="meta"), k) == blocks


@pytest.mark.parametrize(
    ("can", "shape", "worth"),
    [
        ({"avx512_bf16": True}, (20_000, 100), True),
        ({"amx_bf16": True}, (20_000, 100), True),
        ({"avx512_bf16": False, "amx_bf16": False}, (20_000, 100), False),
        ({}, (20_000, 100), False),
        ({"avx512_bf16": True}, (19_999, 100), False),
    ],
)
def test_halves_are_for_large_matrices_on_processors_that_multiply_them(monkeypatch, can, shape, worth):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: can)
    assert halves.worth_halves(torch.empty(shape)) is worth
