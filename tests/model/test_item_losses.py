import math

import pytest
import torch
from torch.nn import functional as F

from intentrec.model.item_losses import BinaryLoss, SampledLoss, full_loss
from intentrec.model.items import ItemTable
from intentrec.model.losses import cross_entropy
from intentrec.model.negatives import Negatives, NegativeSampler
from intentrec.model.shape import Catalogue, NetworkShape

ONE, TWO = torch.tensor([1.0]), torch.tensor([2.0])
FIRST = torch.tensor([1])


def vectors_of(numbers, bias=None):
    """Items 1, 2, ... with these vectors, one number wide."""
    shape = NetworkShape(num_items=len(numbers), width=1, item_bias=bias is not None)
    table = ItemTable(shape, Catalogue.without_categories([1] * len(numbers)))
    with torch.no_grad():
        table.ids.weight.copy_(torch.tensor([[9.0], *([number] for number in numbers)]))
        if bias is not None:
            table.bias.copy_(torch.tensor([9.0, *bias]))
    return table.whole()


def negatives_of(items, counts):
    return Negatives(torch.tensor(items), torch.tensor(counts).log())


def test_the_full_loss_is_cross_entropy_over_all_items():
    torch.manual_seed(0)
    table = ItemTable(NetworkShape(num_items=9, width=4, item_bias=True), Catalogue.without_categories([1] * 9))
    queries_NQD, items_N, weights_N = torch.randn(5, 1, 4), torch.tensor([1, 9, 3, 3, 4]), torch.rand(5)
    wanted = cross_entropy(queries_NQD[:, 0], table.ids.weight, items_N, weights_N, table.bias)
    torch.testing.assert_close(full_loss(queries_NQD, table.whole(), items_N, weights_N), wanted)


def test_of_several_queries_an_item_gets_the_greatest_score_in_training_and_judgement():
    vectors = vectors_of([1.0, -2.0])
    queries_NQD = torch.tensor([[[3.0], [-1.0]]], requires_grad=True)  # scores (3, -6) and (-1, 2): together (3, 2)
    nats, overlap = math.log(math.exp(3) + math.exp(2)) - 2, 0.1 * 1.0  # on one line: a squared cosine of 1
    loss = full_loss(queries_NQD, vectors, torch.tensor([2]), TWO)
    assert loss.item() == pytest.approx(2 * (nats + overlap), rel=1e-5)
    loss.backward()
    first = math.exp(3) / (math.exp(3) + math.exp(2))  # p of item 1, which the first query won: d/dq = p * 1
    assert queries_NQD.grad[0, 0].item() == pytest.approx(2 * first, rel=1e-4)
    assert queries_NQD.grad[0, 1].item() == pytest.approx(2 * first * 2, rel=1e-4)  # (p - 1) * -2 of item 2
    with torch.inference_mode():
        judged = full_loss(queries_NQD, vectors, torch.tensor([2]), TWO)
    assert judged.item() == pytest.approx(2 * nats, rel=1e-5)


@pytest.mark.parametrize("loss", [SampledLoss, lambda negatives: BinaryLoss(negatives, 2, 0.0)])
def test_drawn_items_get_the_greatest_score_too(loss):
    several = loss(negatives_of([1, 2], [1.0, 1.0]))(
        torch.tensor([[[3.0], [-1.0]]]), vectors_of([1.0, -2.0]), FIRST, ONE
    )
    one = loss(negatives_of([1, 2], [1.0, 1.0]))(torch.tensor([[[1.0]]]), vectors_of([3.0, 2.0]), FIRST, ONE)
    assert several.item() == pytest.approx(one.item() + 0.1, rel=1e-5)  # scores (3, 2), and an overlap of 1


def test_interests_at_right_angles_do_not_overlap():
    vectors = ItemTable(NetworkShape(num_items=2, width=2), Catalogue.without_categories([1, 1])).whole()
    costs = []
    for other in ([0.0, 1.0], [1.0, 1.0], [1.0, 0.0]):
        queries_NQD = 1e-4 * torch.tensor([[[1.0, 0.0], other]])  # so short that no item is nearer than another
        costs.append(full_loss(queries_NQD, vectors, FIRST, ONE).item() - math.log(2))
    assert costs == pytest.approx([0.0, 0.05, 0.1], abs=1e-4)  # a tenth of the squared cosine: 0, 1/2, 1


def test_drawn_items_are_corrected_by_how_often_they_are_drawn_and_the_own_one_is_not():
    vectors = vectors_of([1.0, 2.0, 3.0], bias=[0.0, 0.5, 0.25])
    loss = SampledLoss(negatives_of([2, 3, 1], [0.5, 2.0, 4.0]))(torch.tensor([[[1.0]]]), vectors, FIRST, TWO)
    own, others = math.exp(1.0), math.exp(2.5) / 0.5 + math.exp(3.25) / 2.0  # item 1 was drawn and is left out
    assert loss.item() == pytest.approx(2 * -math.log(own / (own + others)), rel=1e-5)


def test_where_only_the_own_item_is_drawn_there_is_nothing_to_learn():
    queries_NQD = torch.tensor([[[1.0]]], requires_grad=True)
    loss = SampledLoss(negatives_of([1], [1.0]))(queries_NQD, vectors_of([1.0, 2.0]), FIRST, ONE)
    loss.backward()
    assert loss.item() == 0.0
    assert queries_NQD.grad.item() == 0.0


@pytest.mark.parametrize(("calibration", "beta"), [(0.0, 1.0), (0.5, 0.75), (1.0, 0.5)])  # 2 of 4 others are drawn
def test_the_binary_loss_is_less_sure_of_the_own_item_the_fewer_are_drawn(calibration, beta):
    vectors = vectors_of([1.0, 2.0, -1.0, 0.0, 0.0])
    binary = BinaryLoss(negatives_of([2, 3], [1.0, 1.0]), 5, calibration)
    loss = binary(torch.tensor([[[1.0]]]), vectors, FIRST, ONE)
    chance = {score: 1 / (1 + math.exp(-score)) for score in (1.0, 2.0, -1.0)}
    wanted = -(beta * math.log(chance[1.0]) + math.log(1 - chance[2.0]) + math.log(1 - chance[-1.0])) / 3
    assert loss.item() == pytest.approx(wanted, rel=1e-5)


def test_an_own_item_that_is_drawn_is_not_pushed_away():
    vectors, queries_NQD = vectors_of([1.0, 2.0]), torch.tensor([[[1.0]]])
    with_it, without = (
        BinaryLoss(negatives_of(items, [1.0] * 2), 2, 0.0)(queries_NQD, vectors, FIRST, ONE)
        for items in ([1, 2], [2, 2])
    )
    assert (without - with_it).item() == pytest.approx(math.log(1 + math.exp(2.0)) / 3, rel=1e-5)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_expected_gradient_of_the_corrected_softmax_is_that_of_the_full_one(mixed):
    """200 items with frequencies 1 / rank, 64 draws; the mean of 1,500 steps against all items."""
    torch.manual_seed(0)
    num_items, counts_V = 200, torch.cat([torch.zeros(1), 1 / torch.arange(1.0, 201.0)])
    table = ItemTable(NetworkShape(num_items=num_items, width=8), Catalogue.without_categories([1] * num_items))
    table.ids.weight.data.copy_(torch.randn(num_items + 1, 8) / 2)
    queries_NQD = torch.randn(4, 1, 8)
    table.ids.weight.data[1] *= 2  # an event that is sure of its item, p about 1/4: there the constant counts
    queries_NQD[0] = 4.5 * table.ids.weight.detach()[1] / table.ids.weight.detach()[1].square().sum()
    queries_NQD.requires_grad_()
    items_N, weights_N = torch.tensor([1, 2, 50, 200]), torch.ones(4)
    vectors = table.whole()
    wanted = torch.autograd.grad(full_loss(queries_NQD, vectors, items_N, weights_N), queries_NQD)[0][:, 0]
    sampler = NegativeSampler(num_items, 64, 1, counts_V if mixed else None)
    found = torch.zeros_like(wanted)
    for step in range(1500):
        loss = SampledLoss(sampler.draw(step))(queries_NQD, vectors, items_N, weights_N)
        found += torch.autograd.grad(loss, queries_NQD)[0][:, 0] / 1500
    assert F.cosine_similarity(found, wanted, dim=1).min() > 0.995
    ratio_N = found.norm(dim=1) / wanted.norm(dim=1)
    assert ratio_N.min() > 0.93
    assert ratio_N.max() < 1.07
