import pytest
import torch

from intentrec.model.layers import (
    NUM_PAUSES,
    NUM_POSITIONS,
    Encoder,
    Recurrent,
    TimedAttention,
    Timeline,
    looked_up,
    pause_buckets,
)
from intentrec.model.shape import ENCODERS, NetworkShape

DAY_S = 86400
T, F = True, False


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(-5, 0), (0, 0), (1, 0), (2, 2), (60, 13), (3600, 27), (DAY_S, 37), (10**15, NUM_PAUSES - 1)],
)
def test_pauses_fall_into_logarithmic_buckets(seconds, bucket):
    assert pause_buckets(torch.tensor([seconds])).item() == bucket  # floor(ln(seconds) / 0.301)


def test_an_event_sees_itself_and_what_came_before_it_but_no_padding():
    timeline = Timeline.of(torch.tensor([[0, 10, 20]]))
    assert timeline.valid_BL.tolist() == [[F, T, T]]
    assert timeline.allowed_BLL.tolist() == [[[T, F, F], [F, T, F], [F, T, T]]]  # padding sees itself: no empty softmax


def test_distances_count_events_and_stop_at_the_last_bias():
    timeline = Timeline.of(torch.arange(1, NUM_POSITIONS + 5)[None])
    assert timeline.distances_LL[2, :4].tolist() == [2, 1, 0, 0]
    assert timeline.distances_LL[-1, 0].item() == NUM_POSITIONS - 1


def test_the_window_keeps_what_is_exactly_its_days_old():
    times_BL = torch.tensor([[1, 2, 2 + 7 * DAY_S]])
    recent = Timeline.of(times_BL).within(times_BL, days=7.0)
    assert recent.allowed_BLL.tolist() == [[[T, F, F], [T, T, F], [F, T, T]]]


@pytest.mark.parametrize("read_time", [False, True])
def test_attention_without_biases_is_torchs_own(read_time):
    torch.manual_seed(0)
    layer = TimedAttention(width=8, heads=2, dropout=0.0, read_time=read_time)
    x_BLD, timeline = torch.randn(3, 5, 8), Timeline.of(torch.arange(1, 6).repeat(3, 1))
    query, key, value = (part.view(3, 5, 2, 4).transpose(1, 2) for part in layer.projected(x_BLD).chunk(3, dim=-1))
    theirs = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(layer(x_BLD, timeline), layer.out(theirs.transpose(1, 2).reshape(3, 5, 8)))


def test_biases_looked_up_and_their_gradients_are_those_of_an_embedding():
    torch.manual_seed(0)
    table_PH, buckets_BLL = torch.randn(7, 3, requires_grad=True), torch.randint(0, 7, (2, 5, 5))
    found_BHLL = looked_up(table_PH, buckets_BLL)
    wanted_BHLL = torch.nn.functional.embedding(buckets_BLL, table_PH).permute(0, 3, 1, 2)
    assert torch.equal(found_BHLL, wanted_BHLL)
    weights_BHLL = torch.randn(2, 3, 5, 5)
    ours, theirs = (torch.autograd.grad((own * weights_BHLL).sum(), table_PH)[0] for own in (found_BHLL, wanted_BHLL))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("bias", ["distance_bias", "pause_bias"])
def test_a_bias_moves_attention_to_what_it_favours(bias):
    layer = TimedAttention(width=4, heads=1, dropout=0.0, read_time=True)
    with torch.no_grad():
        layer.projected.weight.copy_(torch.cat([torch.zeros(8, 4), torch.eye(4)]))  # values are the inputs
        layer.out.weight.copy_(torch.eye(4))
        table = getattr(layer, bias)
        chosen = (0, 1) if bias == "distance_bias" else (pause_buckets(torch.tensor(100)).item(), 0)
        table[chosen] = 50.0  # one event back, or 100 seconds back
    x_BLD = torch.eye(4)[None, :3]
    seen_BLD = layer(x_BLD, Timeline.of(torch.tensor([[1000, 1100, 1200]])))
    torch.testing.assert_close(seen_BLD[0, 2], x_BLD[0, 1])  # the event before, not the one two back
    torch.testing.assert_close(seen_BLD[0, 1], x_BLD[0, 0])


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_encoder_is_zero_at_padding_and_finite_everywhere(encoder):
    torch.manual_seed(0)
    encoder = Encoder(2, NetworkShape(num_items=1, width=8, dropout=0.0, encoder=encoder), 1)
    times_BL = torch.tensor([[0, 0, 0], [0, 5, 6]])
    inputs = [torch.randn(2, 3, 8, requires_grad=True) for _ in range(2)]
    out_BLD = encoder(inputs, Timeline.of(times_BL))
    assert out_BLD[0].abs().sum() == 0
    assert (out_BLD[1, 1:].abs().sum(dim=-1) > 0).all()
    out_BLD.sum().backward()
    assert all(torch.isfinite(given.grad).all() for given in inputs)


def test_recurrent_units_start_at_the_first_event_whatever_stands_before_it():
    torch.manual_seed(0)
    layer, x_BLD = Recurrent(4, dropout=0.0), torch.randn(3, 5, 4)
    times_BL = torch.tensor([[0, 0, 1, 2, 3], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]])
    out_BLD = layer(x_BLD, Timeline.of(times_BL))
    torch.testing.assert_close(out_BLD[0, 2:], layer.units(x_BLD[0, 2:])[0])
    torch.testing.assert_close(out_BLD[1], layer.units(x_BLD[1])[0])
    assert torch.isfinite(out_BLD).all()
