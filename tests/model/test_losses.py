import math

import pytest
import torch
from torch.nn import functional as F

from intentrec.model import losses
from intentrec.model.losses import cross_entropy, label_loss, sampled_cross_entropy


def plain(hidden_ND, items_VD, targets_N, weights_N, bias_V=None):
    """The same by torch's own cross-entropy, with the whole matrix of logits."""
    logits_NV = hidden_ND @ items_VD.T
    if bias_V is not None:
        logits_NV = logits_NV + bias_V
    return (F.cross_entropy(logits_NV[:, 1:], targets_N - 1, reduction="none") * weights_N).sum()


def inputs(num_events, num_items=50, width=8):
    torch.manual_seed(num_events)
    hidden_ND = torch.randn(num_events, width, requires_grad=True)
    items_VD = torch.randn(num_items + 1, width, requires_grad=True)
    bias_V = torch.randn(num_items + 1, requires_grad=True)
    return hidden_ND, items_VD, torch.randint(1, num_items + 1, (num_events,)), torch.rand(num_events) * 3, bias_V


@pytest.mark.parametrize("num_events", [1, 256, 257, 700])  # one chunk, exactly one, two, three
@pytest.mark.parametrize("tile", [16, 25, 4096])  # of 50 items: four tiles, the last of two; two; one
@pytest.mark.parametrize("biased", [False, True])
def test_loss_and_all_gradients_are_those_of_plain_cross_entropy(num_events, biased, tile, monkeypatch):
    monkeypatch.setattr(losses, "_TILE", tile)
    hidden_ND, items_VD, targets_N, weights_N, bias_V = inputs(num_events)
    given = [hidden_ND, items_VD, bias_V] if biased else [hidden_ND, items_VD]
    ours = cross_entropy(hidden_ND, items_VD, targets_N, weights_N, bias_V if biased else None)
    theirs = plain(hidden_ND, items_VD, targets_N, weights_N, bias_V if biased else None)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    for own, other in zip(
        torch.autograd.grad(ours * 0.5, given), torch.autograd.grad(theirs * 0.5, given), strict=True
    ):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("biased", [False, True])
def test_where_the_network_computes_in_bfloat16_gradients_are_rounded_and_the_loss_is_not(biased):
    hidden_ND, items_VD, targets_N, weights_N, bias_V = inputs(700)
    given = [hidden_ND, items_VD, bias_V] if biased else [hidden_ND, items_VD]
    exact = cross_entropy(hidden_ND, items_VD, targets_N, weights_N, bias_V if biased else None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = cross_entropy(hidden_ND, items_VD, targets_N, weights_N, bias_V if biased else None)
    assert torch.equal(ours, exact)
    for own, other in zip(torch.autograd.grad(ours, given), torch.autograd.grad(exact, given), strict=True):
        assert own.dtype == torch.float32
        assert (own - other).norm() < 0.005 * other.norm()  # a rounded number is off by at most 0.004 of itself
        assert not torch.equal(own, other)


def test_tiles_whose_logits_lie_far_apart_make_one_softmax(monkeypatch):
    monkeypatch.setattr(losses, "_TILE", 2)
    scores_V = torch.tensor([[0.0], [-300.0], [-301.0], [500.0], [499.0], [0.0]], requires_grad=True)
    hidden_ND = torch.ones(1, 1)
    loss = cross_entropy(hidden_ND, scores_V, torch.tensor([4]), torch.ones(1))
    (gradient,) = torch.autograd.grad(loss, [scores_V])
    chance = 1 / (1 + math.e)  # of 499 beside 500
    assert loss.item() == pytest.approx(-math.log(chance), rel=1e-4)
    expected = torch.tensor([0.0, 0.0, 0.0, 1 - chance, chance - 1, 0.0])
    torch.testing.assert_close(gradient.squeeze(1), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("num_events", [1, 300])
@pytest.mark.parametrize("biased", [False, True])
def test_of_several_queries_loss_and_gradients_are_those_of_the_greatest_scores(num_events, biased):
    _, items_VD, targets_N, weights_N, bias_V = inputs(num_events)
    hidden_NQD = torch.randn(num_events, 3, 8, requires_grad=True)
    given = [hidden_NQD, items_VD, bias_V] if biased else [hidden_NQD, items_VD]
    ours = cross_entropy(hidden_NQD, items_VD, targets_N, weights_N, bias_V if biased else None)
    logits_NV = (hidden_NQD @ items_VD.T).amax(dim=1) + (bias_V if biased else 0)
    theirs = (F.cross_entropy(logits_NV[:, 1:], targets_N - 1, reduction="none") * weights_N).sum()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    for own, other in zip(torch.autograd.grad(ours / 2, given), torch.autograd.grad(theirs / 2, given), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


def test_a_table_read_for_the_query_and_predicted_gets_both_gradients():
    hidden_ND, items_VD, targets_N, weights_N, _ = inputs(9)
    read_ND = items_VD[targets_N.roll(1)] + hidden_ND.detach()  # tied: the same table on both sides
    ours = torch.autograd.grad(cross_entropy(read_ND, items_VD, targets_N, weights_N), items_VD)[0]
    read_ND = items_VD[targets_N.roll(1)] + hidden_ND.detach()
    theirs = torch.autograd.grad(plain(read_ND, items_VD, targets_N, weights_N), items_VD)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_without_gradients_the_loss_is_the_same():
    hidden_ND, items_VD, targets_N, weights_N, bias_V = inputs(300)
    with torch.inference_mode():
        ours = cross_entropy(hidden_ND, items_VD, targets_N, weights_N, bias_V)
    torch.testing.assert_close(ours, cross_entropy(hidden_ND, items_VD, targets_N, weights_N, bias_V).detach())


def test_no_events_cost_nothing_and_change_nothing():
    items_VD = torch.randn(4, 3, requires_grad=True)
    hidden_ND = torch.zeros(0, 3, requires_grad=True)
    loss = cross_entropy(hidden_ND, items_VD, torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    loss.backward()
    assert loss == 0
    assert items_VD.grad.abs().sum() == 0


def test_great_logits_do_not_overflow():
    hidden_ND = torch.tensor([[1e4]], requires_grad=True)
    items_VD = torch.tensor([[0.0], [1.0], [-1.0]], requires_grad=True)
    loss = cross_entropy(hidden_ND, items_VD, torch.tensor([2]), torch.tensor([1.0]))
    assert loss.item() == 20000.0  # ln(e^10000 + e^-10000) + 10000
    loss.backward()
    assert hidden_ND.grad.item() == 2.0  # sum of p * e - e_target = 1 - (-1)


def test_the_logits_of_all_events_never_exist_at_once(monkeypatch):
    shapes = []
    real = torch.mm
    monkeypatch.setattr(losses.torch, "mm", lambda *args, out: shapes.append(tuple(out.shape)) or real(*args, out=out))
    hidden_ND, items_VD, targets_N, weights_N, _ = inputs(1000)
    cross_entropy(hidden_ND, items_VD, targets_N, weights_N)
    assert max(rows for rows, columns in shapes if columns == 50) == 256


@pytest.mark.parametrize("num_events", [1, 256, 300])
def test_the_sampled_loss_and_all_its_gradients_are_those_of_plain_cross_entropy(num_events):
    hidden_NE, items_VE, items_N, weights_N, _ = inputs(num_events)
    items_S = torch.randint(1, 51, (20,))
    own_NE, drawn_SE = (items_VE[chosen].detach().requires_grad_() for chosen in (items_N, items_S))
    ours = sampled_cross_entropy(hidden_NE, own_NE, drawn_SE, (items_N, items_S), weights_N)
    drawn_NS = (hidden_NE @ drawn_SE.T).masked_fill(items_N[:, None] == items_S, float("-inf"))
    logits_NS = torch.cat([(hidden_NE * own_NE).sum(dim=1, keepdim=True), drawn_NS], dim=1)
    theirs = -(logits_NS.log_softmax(dim=1)[:, 0] * weights_N).sum()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    given = [hidden_NE, own_NE, drawn_SE]
    for own, other in zip(torch.autograd.grad(ours / 2, given), torch.autograd.grad(theirs / 2, given), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


def test_logits_are_exact_whatever_the_network_computes_in():
    hidden_ND, items_VD, targets_N, weights_N, bias_V = inputs(20)
    given = [hidden_ND, hidden_ND[:, None].repeat(1, 2, 1)]
    for hidden in given:
        exact = cross_entropy(hidden, items_VD, targets_N, weights_N, bias_V)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(cross_entropy(hidden, items_VD, targets_N, weights_N, bias_V), exact)
            with torch.no_grad():
                judged = cross_entropy(hidden, items_VD, targets_N, weights_N, bias_V)
        torch.testing.assert_close(judged, exact.detach())


def test_several_true_labels_add_up_and_missing_ones_cost_nothing():
    logits_NM = torch.log(torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2]]))
    labels_NK = torch.tensor([[0, 2], [2, -1], [-1, -1]])
    loss = label_loss(logits_NM, labels_NK, torch.tensor([1.0, 2.0, 5.0]))
    assert loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.2)) - 2 * math.log(0.8), rel=1e-6)
