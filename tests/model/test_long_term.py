import torch

from intentrec.model.layers import Timeline
from intentrec.model.long_term import HALF_LIVES, LongTerm
from intentrec.model.shape import Catalogue, Field, NetworkShape

DAY_S = 86400
SHAPE = NetworkShape(num_items=3, width=8, fields=(Field("categories", 2, columns=2),))
CATALOGUE = Catalogue(torch.tensor([[0, 0], [1, 0], [2, 1], [0, 0]]), torch.tensor([0, 1, 1, 1]))


def shares_of(layer, items, times):
    """What reaches the last layer: per event, half-life and category the share, read off unit vectors."""
    with torch.no_grad():
        layer.categories.weight.zero_()
        layer.categories.weight[1, 0] = layer.categories.weight[2, 1] = 1.0
    heard = []
    handle = layer.joined.register_forward_pre_hook(lambda module, given: heard.append(given[0]))
    times_BL = torch.tensor([times])
    out_BLD = layer(torch.tensor([items]), times_BL, Timeline.of(times_BL))
    handle.remove()
    return heard[0].view(1, len(items), len(HALF_LIVES), 4)[0, :, :, :2], out_BLD[0]


def test_a_category_fades_by_half_in_every_half_life():
    shares, _ = shares_of(LongTerm(SHAPE, CATALOGUE), [1, 2], [DAY_S, 2 * DAY_S])
    torch.testing.assert_close(shares[0], torch.tensor([[1.0, 0.0]] * 4))  # category 1 alone so far
    old = torch.tensor([0.5 ** (1 / days) for days in HALF_LIVES])  # item 1, a day old; item 2 has categories 2 and 1
    torch.testing.assert_close(shares[1], torch.stack([old + 1, torch.ones(4)], dim=1) / (old + 2)[:, None])


def test_padding_and_items_without_category_say_nothing():
    shares, out = shares_of(LongTerm(SHAPE, CATALOGUE), [0, 3, 1, 3], [0, 10, 20, 20])
    assert out[:2].abs().sum() == 0  # padding, and an item without category before any other
    torch.testing.assert_close(shares[3], torch.tensor([[1.0, 0.0]] * 4))
    assert (out[2:].abs().sum(dim=1) > 0).all()


def test_later_events_change_nothing():
    layer = LongTerm(SHAPE, CATALOGUE)
    before = [shares_of(layer, [1, 2, last], [DAY_S, 2 * DAY_S, 3 * DAY_S])[0][:2] for last in (1, 2)]
    torch.testing.assert_close(before[0], before[1], rtol=0, atol=0)


def test_after_a_long_pause_the_shares_are_those_of_before():
    shares, _ = shares_of(LongTerm(SHAPE, CATALOGUE), [1, 2, 3], [DAY_S, 2 * DAY_S, 402 * DAY_S])
    torch.testing.assert_close(shares[2], shares[1])  # item 3 has no category; all counts have faded alike
