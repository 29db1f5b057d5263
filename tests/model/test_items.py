from dataclasses import replace

import pytest
import torch

from intentrec.model.items import ItemTable
from intentrec.model.shape import Catalogue, Field, preset_shape

CATALOGUE = Catalogue(torch.tensor([[0, 0], [1, 0], [2, 1], [1, 0]]), torch.tensor([0, 50, 50, 50]))
SHAPE = preset_shape("intent", 3, [Field("action", 2), Field("categories", 2, columns=2)], width=8)


def test_an_item_vector_is_its_own_plus_those_of_its_categories():
    table = ItemTable(SHAPE, CATALOGUE)
    torch.nn.init.normal_(table.categories.weight)
    own, of_category = table.ids.weight, table.categories.weight
    vectors_VD = table.whole().vectors_UD
    torch.testing.assert_close(vectors_VD[0], own[0])  # index 0 of the categories adds nothing
    torch.testing.assert_close(vectors_VD[1], own[1] + of_category[1])
    torch.testing.assert_close(vectors_VD[2], own[2] + of_category[2] + of_category[1])


def test_items_without_categories_are_their_own_vectors():
    table = ItemTable(preset_shape("intent", 3, [], width=8), Catalogue.without_categories([1, 2, 3]))
    torch.testing.assert_close(table.whole().vectors_UD, table.ids.weight)


def test_a_dropped_id_reads_as_the_unknown_item_of_the_same_categories():
    table = ItemTable(replace(SHAPE, id_drop=1.0), CATALOGUE)
    torch.nn.init.normal_(table.categories.weight)
    items_BL = torch.tensor([[1, 3]])
    read_BLD = table.read(items_BL, table.drop(items_BL), table.whole())
    torch.testing.assert_close(read_BLD[0, 0], table.ids.weight[0] + table.categories.weight[1])
    torch.testing.assert_close(read_BLD[0, 0], read_BLD[0, 1])  # 1 and 3 differ by id alone
    table.eval()
    read_BLD = table.read(items_BL, table.drop(items_BL), table.whole())
    torch.testing.assert_close(read_BLD[0], table.whole().vectors_UD[1:4:2])


def test_an_item_without_a_row_is_the_unknown_item_with_its_categories():
    table = ItemTable(SHAPE, CATALOGUE)
    torch.nn.init.normal_(table.categories.weight)
    nobody, of_category = table.ids.weight[0], table.categories.weight
    found_ND = table.unknown(torch.tensor([[2, 1], [0, 0], [3, 1]]))  # there is no category 3 yet
    wanted = [nobody + of_category[2] + of_category[1], nobody, nobody + of_category[1]]
    torch.testing.assert_close(found_ND, torch.stack(wanted))


def test_the_share_of_dropped_ids_is_the_shapes():
    torch.manual_seed(0)
    table = ItemTable(replace(SHAPE, id_drop=0.25), CATALOGUE)
    items_BL = torch.ones(100, 100, dtype=torch.int64)
    ids_BL = table.drop(items_BL)
    read = table.read(items_BL, ids_BL, table.whole())
    dropped = (read - table.ids.weight[0] - table.categories.weight[1]).abs().sum(dim=-1) < 1e-6
    assert torch.equal(dropped, ids_BL == 0)
    assert 0.23 < dropped.float().mean() < 0.27  # 4 standard deviations of a share of 0.25 in 10,000 are 0.017


def test_bias_exists_only_where_it_is_switched_on():
    assert ItemTable(SHAPE, CATALOGUE).bias is None
    assert ItemTable(replace(SHAPE, item_bias=True), CATALOGUE).bias.shape == (4,)
    assert len(ItemTable(SHAPE, CATALOGUE).rows()) == 1
    assert len(ItemTable(replace(SHAPE, item_bias=True), CATALOGUE).rows()) == 2


@pytest.mark.parametrize("cosine_scale", [None, 16.0])
@pytest.mark.parametrize("training", [False, True])
def test_chosen_items_have_the_vectors_they_have_among_all(cosine_scale, training):
    shape = replace(SHAPE, cosine_scale=cosine_scale, item_bias=True, id_drop=0.5)
    table = ItemTable(shape, CATALOGUE).train(training)
    for parameter in table.parameters():
        torch.nn.init.normal_(parameter)
    whole, some, items_BL = table.whole(), table.chosen(torch.tensor([0, 1, 3])), torch.tensor([[3, 0], [1, 3]])
    torch.testing.assert_close(some.of(items_BL), whole.of(items_BL))
    torch.testing.assert_close(some.bias_U, table.bias[[0, 1, 3]])
    read = []
    for vectors in (whole, some):
        torch.manual_seed(3)  # the same ids are dropped
        read.append(table.read(items_BL, table.drop(items_BL), vectors))
    torch.testing.assert_close(*read)
    assert (read[0] - whole.of(items_BL)).abs().sum().gt(0).item() is training
    lengths = read[0].norm(dim=-1)
    assert torch.allclose(lengths, torch.ones(2, 2)) is (cosine_scale is not None)


def test_the_gradient_of_chosen_items_has_their_rows_alone():
    table = ItemTable(SHAPE, CATALOGUE)
    some = table.chosen(torch.tensor([0, 2]))
    some.of(torch.tensor([2, 2])).sum().backward()
    assert some.own_UD.grad.tolist() == [[0.0] * 8, [2.0] * 8]  # item 2 is read twice
    assert table.ids.weight.grad is None
    assert table.categories.weight.grad.sum() == 32.0  # both its categories, read twice, 8 wide
