import pytest
import torch

from intentrec.model.dropout import Dropout, dropout


@pytest.mark.parametrize(("probability", "kept"), [(0.5, 128), (0.2, 205), (0.999, 1), (0.001, 256)])
def test_the_share_of_zeros_is_that_of_a_byte_and_the_rest_is_scaled_to_the_same_mean(probability, kept):
    torch.manual_seed(1)
    dropped = dropout(torch.ones(999, 1001), probability, training=True)
    assert set(dropped.unique().tolist()) <= {0.0, torch.tensor(256 / kept).item()}
    # Some million draws: four standard errors of the mean are below 0.2 where one byte of 256 is kept, 0.004 at a half.
    share = kept / 256
    assert dropped.mean().item() == pytest.approx(1.0, abs=4 * ((1 - share) / share / dropped.numel()) ** 0.5 + 1e-6)


def test_neighbours_are_dropped_independently():
    torch.manual_seed(2)
    kept = dropout(torch.ones(8, 50_000).T.contiguous(), 0.5, training=True) > 0  # the eight bytes of each word
    both = (kept.float().T @ kept.float() / 50_000).fill_diagonal_(0.25)
    assert both.sub(0.25).abs().max() < 0.01  # four standard errors are 0.008


def test_the_gradient_passes_where_the_entry_did():
    torch.manual_seed(3)
    x = torch.ones(40, 5, requires_grad=True)
    dropped = dropout(x, 0.5, training=True)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, dropped.detach())


def test_the_same_seed_drops_the_same_entries():
    layer, x = Dropout(0.3), torch.ones(50, 7)
    first, second = (torch.manual_seed(4) and layer(x) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, layer(x))


def test_nothing_is_dropped_outside_training_or_at_probability_0():
    x = torch.randn(3, 4)
    assert Dropout(0.9).eval()(x) is x
    assert torch.equal(dropout(x, 0.0, training=True), x)
    assert dropout(torch.ones(0, 3), 0.5, training=True).shape == (0, 3)
