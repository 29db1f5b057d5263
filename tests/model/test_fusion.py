from dataclasses import replace

import pytest
import torch

from intentrec.model.fusion import EventFusion, ItemTable
from intentrec.model.shape import Catalogue, Field, preset_shape

CATALOGUE = Catalogue(torch.tensor([[0, 0], [1, 0], [2, 1], [1, 0]]), torch.tensor([0, 50, 50, 50]))
SHAPE = preset_shape("intent", 3, [Field("action", 2), Field("categories", 2, columns=2)], width=8)


def test_an_item_vector_is_its_own_plus_those_of_its_categories():
    table = ItemTable(SHAPE, CATALOGUE)
    torch.nn.init.normal_(table.categories.weight)
    own, of_category = table.ids.weight, table.categories.weight
    vectors_VD = table.vectors()
    torch.testing.assert_close(vectors_VD[0], own[0])  # index 0 of the categories adds nothing
    torch.testing.assert_close(vectors_VD[1], own[1] + of_category[1])
    torch.testing.assert_close(vectors_VD[2], own[2] + of_category[2] + of_category[1])


def test_items_without_categories_are_their_own_vectors():
    table = ItemTable(preset_shape("intent", 3, [], width=8), Catalogue.without_categories([1, 2, 3]))
    torch.testing.assert_close(table.vectors(), table.ids.weight)


def test_a_dropped_id_reads_as_the_unknown_item_of_the_same_categories():
    table = ItemTable(replace(SHAPE, id_drop=1.0), CATALOGUE)
    torch.nn.init.normal_(table.categories.weight)
    items_BL = torch.tensor([[1, 3]])
    read_BLD = table.read(items_BL, table.vectors())
    torch.testing.assert_close(read_BLD[0, 0], table.ids.weight[0] + table.categories.weight[1])
    torch.testing.assert_close(read_BLD[0, 0], read_BLD[0, 1])  # 1 and 3 differ by id alone
    table.eval()
    torch.testing.assert_close(table.read(items_BL, table.vectors())[0], table.vectors()[1:4:2])


def test_the_share_of_dropped_ids_is_the_shapes():
    torch.manual_seed(0)
    table = ItemTable(replace(SHAPE, id_drop=0.25), CATALOGUE)
    read = table.read(torch.ones(100, 100, dtype=torch.int64), table.vectors())
    dropped = (read - table.ids.weight[0] - table.categories.weight[1]).abs().sum(dim=-1) < 1e-6
    assert 0.23 < dropped.float().mean() < 0.27  # 4 standard deviations of a share of 0.25 in 10,000 are 0.017


def test_bias_exists_only_where_it_is_switched_on():
    assert ItemTable(SHAPE, CATALOGUE).bias is None
    assert ItemTable(replace(SHAPE, item_bias=True), CATALOGUE).bias.shape == (4,)


def fused(change=None, shape=SHAPE):
    """Fuse one row of padding and two events, after a change to one of the inputs."""
    torch.manual_seed(0)
    fusion = EventFusion(shape, CATALOGUE).eval()
    given = {
        "item_BLD": torch.ones(1, 3, 8),
        "items_BL": torch.tensor([[0, 1, 2]]),
        "times_BL": torch.tensor([[0, 3600, 7200]]),
        "features_BCL": torch.tensor([[[0, 1, 2], [0, 1, 2], [0, 0, 1]]]),
    }
    if change:
        name, place, value = change
        given[name] = given[name].clone()
        given[name][place] = value
    return fusion(**given)


@pytest.mark.parametrize(
    "change",
    [
        ("item_BLD", (0, 2), 5 * torch.arange(8.0)),
        ("features_BCL", (0, 0, 2), 1),  # action
        ("features_BCL", (0, 2, 2), 2),  # second category
        ("times_BL", (0, 2), 7200 + 3600),  # another hour, another pause
        ("items_BL", (0, 2), 0),  # its age is unknown
    ],
)
def test_every_input_of_an_event_changes_its_vector_and_no_earlier_one(change):
    before, after = fused(), fused(change)
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2], after[:, 2])


def test_padding_is_zero():
    assert fused()[0, 0].abs().sum() == 0


def test_what_is_switched_off_is_not_read():
    shape = preset_shape("sasrec", 3, SHAPE.fields, width=8)
    before = fused(shape=shape)
    torch.testing.assert_close(before, fused(("features_BCL", (0, 0, 2), 1), shape))
    torch.testing.assert_close(before, fused(("times_BL", (0, 2), 90000), shape))
