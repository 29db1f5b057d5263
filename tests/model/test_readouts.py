import math

import pytest
import torch

from intentrec.model.layers import Timeline
from intentrec.model.readouts import AttenMixer, Last, MultiInterest, readout_of
from intentrec.model.shape import READOUTS, NetworkShape

SHAPE = NetworkShape(num_items=1, width=6, attention_heads=2, levels=3, interests=2, dropout=0.0)
TIMES = torch.tensor([[0, 0, 1, 2], [1, 2, 3, 4]])


def encoded():
    torch.manual_seed(0)
    return torch.randn(2, 4, 6)


def asked_by_levels(layer, x_TD):
    """The query after the last event of one history without padding, head by head and level by level."""
    answers = []
    for head in range(2):
        own = slice(3 * head, 3 * head + 3)
        pooled_T = torch.zeros(len(x_TD))
        for level in range(1, min(3, len(x_TD)) + 1):
            query_E = layer.asked[level - 1](x_TD[-level:].sum(dim=0))[own]
            pooled_T += (2 * layer.key(x_TD)[:, own] @ query_E).softmax(dim=0) ** 4
        answers.append((2 * pooled_T ** (1 / 4)).softmax(dim=0) @ layer.value(x_TD)[:, own])
    return layer.out(torch.cat([layer.norm(torch.cat(answers)), x_TD[-1]]))


def test_the_last_event_is_the_query():
    x_BLD = encoded()
    torch.testing.assert_close(Last()(x_BLD, Timeline.of(TIMES)), x_BLD[:, :, None])


def test_levels_ask_as_they_would_of_every_history_alone():
    x_BLD, layer = encoded(), AttenMixer(SHAPE)
    queries_BLQD = layer(x_BLD, Timeline.of(TIMES))
    for row, place, history in (
        (0, 2, x_BLD[0, 2:3]),  # one event: levels 2 and 3 ask nothing, padding is not seen
        (0, 3, x_BLD[0, 2:4]),
        (1, 3, x_BLD[1]),  # four events: level 3 sums the last three
    ):
        torch.testing.assert_close(queries_BLQD[row, place, 0], asked_by_levels(layer, history), rtol=1e-4, atol=1e-5)


def test_a_level_does_not_know_the_order_of_its_events():
    x_BLD, layer, timeline = encoded()[1:], AttenMixer(SHAPE), Timeline.of(TIMES[1:])
    layer.asked[1].weight.data.zero_()  # levels 1 and 3 sum the same in both orders, level 2 does not
    swapped_BLD = x_BLD[:, [0, 2, 1, 3]]
    torch.testing.assert_close(layer(x_BLD, timeline)[:, 3], layer(swapped_BLD, timeline)[:, 3], rtol=1e-4, atol=1e-5)


def test_levels_of_a_long_history_ask_alike_in_bfloat16():
    torch.manual_seed(0)
    shape = NetworkShape(num_items=1, width=64, attention_heads=2, levels=1, dropout=0.0)
    layer, timeline = AttenMixer(shape), Timeline.of(torch.arange(1, 401)[None])
    x_BLD = 2 * torch.randn(1, 400, 64)
    with torch.no_grad():
        exact_BLQD = layer(x_BLD, timeline)
        with torch.autocast("cpu", torch.bfloat16):
            rough_BLQD = layer(x_BLD.bfloat16(), timeline).float()
    assert (rough_BLQD - exact_BLQD)[:, 300:].norm() < 0.01 * exact_BLQD[:, 300:].norm()


def test_interests_are_mixtures_of_the_events_so_far_and_the_last_one():
    layer = MultiInterest(SHAPE)
    with torch.no_grad():
        layer.hidden.weight.zero_()
        layer.hidden.weight[0, 0] = 1.0  # tanh of the first number
        layer.scored.weight.zero_()
        layer.scored.weight[0, 0] = 2.0  # the first interest looks for it, the second for nothing
    x_BLD = encoded()
    queries_BLQD = layer(x_BLD, Timeline.of(TIMES))
    first, second = (math.exp(2 * math.tanh(x_BLD[0, place, 0])) for place in (2, 3))
    wanted_D = (first * x_BLD[0, 2] + second * x_BLD[0, 3]) / (first + second)
    mixtures_BLQD = queries_BLQD - x_BLD[:, :, None]
    torch.testing.assert_close(mixtures_BLQD[0, 3, 0], wanted_D)
    torch.testing.assert_close(mixtures_BLQD[0, 3, 1], x_BLD[0, 2:].mean(dim=0))
    torch.testing.assert_close(mixtures_BLQD[1, 1, 1], x_BLD[1, :2].mean(dim=0))


@pytest.mark.parametrize(("readout", "kind"), zip(READOUTS, (Last, AttenMixer, MultiInterest), strict=True))
def test_a_shape_names_its_readout(readout, kind):
    assert type(readout_of(NetworkShape(num_items=1, width=6, readout=readout))) is kind
