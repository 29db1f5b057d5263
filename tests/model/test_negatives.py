import math

import pytest
import torch

from intentrec.model.negatives import NegativeSampler


def test_a_step_draws_the_same_again_and_another_step_others():
    sampler = NegativeSampler(1000, 64, seed=1)
    assert torch.equal(sampler.draw(5).items_S, NegativeSampler(1000, 64, seed=1).draw(5).items_S)
    assert not torch.equal(sampler.draw(5).items_S, sampler.draw(6).items_S)
    assert not torch.equal(sampler.draw(5).items_S, NegativeSampler(1000, 64, seed=2).draw(5).items_S)


def test_uniform_draws_reach_every_item_but_0_equally_often():
    sampler = NegativeSampler(5, 8, seed=1)
    drawn = torch.stack([sampler.draw(step).items_S for step in range(500)])
    counts_V = torch.bincount(drawn.flatten(), minlength=6)
    assert counts_V[0] == 0
    assert all(700 < count < 900 for count in counts_V[1:].tolist())  # 4,000 draws, 800 each, 4 deviations are 101
    torch.testing.assert_close(sampler.draw(0).log_counts_S, torch.full((8,), math.log(8 / 5)))


def test_mixed_draws_are_half_uniform_and_half_as_frequent_as_targets():
    sampler = NegativeSampler(3, 8, seed=1, counts_V=torch.tensor([9.0, 6.0, 2.0, 0.0]))  # row 0 counts nothing
    drawn = torch.cat([sampler.draw(step).items_S for step in range(500)])
    expected = torch.tensor([4 / 3 + 4 * 0.75, 4 / 3 + 4 * 0.25, 4 / 3])  # per step
    torch.testing.assert_close(torch.bincount(drawn, minlength=4)[1:] / 500, expected, rtol=0.07, atol=0)
    negatives = sampler.draw(7)
    torch.testing.assert_close(negatives.log_counts_S, expected[negatives.items_S - 1].log())


@pytest.mark.parametrize("counts", [None, [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
def test_an_item_that_is_no_target_is_still_drawn(counts):
    sampler = NegativeSampler(2, 64, seed=1, counts_V=None if counts is None else torch.tensor(counts))
    negatives = sampler.draw(0)
    assert set(negatives.items_S.tolist()) == {1, 2}
    assert torch.isfinite(negatives.log_counts_S).all()


def test_negatives_go_where_the_network_is():
    assert NegativeSampler(5, 8, seed=1).draw(0).to(torch.device("meta")).items_S.device.type == "meta"
