import pytest
import torch

from intentrec.model.fusion import EventFusion
from intentrec.model.shape import Catalogue, Field, preset_shape

CATALOGUE = Catalogue(torch.tensor([[0, 0], [1, 0], [2, 1], [1, 0]]), torch.tensor([0, 50, 50, 50]))
SHAPE = preset_shape("intent", 3, [Field("action", 2), Field("categories", 2, columns=2)], width=8)


def fused(change=None, shape=SHAPE):
    """Fuse one row of padding and two events, after a change to one of the inputs."""
    torch.manual_seed(0)
    fusion = EventFusion(shape, CATALOGUE).eval()
    given = {
        "item_BLD": torch.ones(1, 3, 8),
        "ids_BL": torch.tensor([[0, 1, 2]]),
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
        ("ids_BL", (0, 2), 0),  # its age is unknown
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


def test_without_an_encoder_and_anything_else_to_read_an_event_is_its_item_vector():
    shape = preset_shape("atten_mixer", 3, SHAPE.fields, width=8, dropout=0.0)
    assert list(EventFusion(shape, CATALOGUE).parameters()) == []
    torch.testing.assert_close(fused(shape=shape)[0, 1:], torch.ones(2, 8))
    assert fused(shape=shape)[0, 0].abs().sum() == 0  # padding


@pytest.mark.parametrize("name", ["type", "items", "page.kind", "number(price)"])
def test_a_context_column_may_be_called_anything(name):
    shape = preset_shape("intent", 3, [Field(name, 2), Field("categories", 2, columns=2)], width=8)
    before, after = fused(shape=shape), fused(("features_BCL", (0, 0, 2), 1), shape)
    assert not torch.allclose(before[:, 2], after[:, 2])
