from dataclasses import replace

import pytest
import torch
from tests.model.synthetic import FIELDS, NUM_ITEMS, batch_of, catalogue_of, rows_of

from intentrec.errors import TrainingError
from intentrec.model.batches import Batch
from intentrec.model.job import Settings
from intentrec.model.network import IntentNetwork
from intentrec.model.ranks import OneRank
from intentrec.model.shape import preset_shape
from intentrec.model.steps import Optimiser, mixed_precision
from intentrec.model.targets import targets_of, term_losses

SHAPE = preset_shape("intent", NUM_ITEMS, FIELDS, width=8, dropout=0.0, id_drop=0.0)
CATALOGUE = catalogue_of()


def optimiser_of(ranks=None, **settings):
    torch.manual_seed(0)
    given = Settings(**{"warmup_steps": 0, **settings})
    return Optimiser(IntentNetwork(SHAPE, CATALOGUE), CATALOGUE, ranks or OneRank(), given)


def weights_of(optimiser):
    return {name: value.clone() for name, value in optimiser.network.state_dict().items()}


class Pair(OneRank):
    """The second of two ranks in one process: adds what the first one summed before it."""

    def __init__(self, firsts):
        self.firsts = list(firsts)

    def sum(self, numbers_N):
        return numbers_N.add_(self.firsts.pop(0))


class Recorder(OneRank):
    """Notes what a rank would send."""

    def __init__(self):
        self.sent = []

    def sum(self, numbers_N):
        self.sent.append(numbers_N.clone())
        return numbers_N


def test_a_step_is_adam_on_item_loss_plus_lambda_times_the_intent_losses():
    batch = batch_of(rows_of(6, 8, seed=1))
    ours = optimiser_of(intent_weight=0.5, clip_norm=1e9, learning_rate=0.01)
    theirs = optimiser_of().network
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(0.9, 0.999))
    for _ in range(3):
        ours.step(batch)
        adam.zero_grad()
        targets = targets_of(SHAPE, CATALOGUE, batch)
        losses_T, _ = term_losses(theirs, batch, targets)
        means = [
            loss / targets.weights_BL[targets.chosen(term)].sum()
            for loss, term in zip(losses_T, ours_terms(), strict=True)
        ]
        (means[0] + 0.5 * sum(means[1:])).backward()
        adam.step()
    torch.testing.assert_close(dict(ours.network.state_dict()), dict(theirs.state_dict()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("device", "precision", "native", "halves"),
    [
        ("cuda", "auto", True, True),
        ("cuda", "auto", False, False),  # Turing and older emulate it
        ("cuda", "bfloat16", False, True),
        ("cuda", "float32", True, False),
        ("cpu", "auto", True, False),
        ("cpu", "bfloat16", False, True),
    ],
)
def test_a_network_learns_in_bfloat16_where_the_device_multiplies_it(monkeypatch, device, precision, native, halves):
    given = {}
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    monkeypatch.setattr(torch, "autocast", lambda kind, dtype, enabled: given.update({kind: (dtype, enabled)}))
    mixed_precision(torch.device(device), precision)
    assert given == {device: (torch.bfloat16, halves)}


def ours_terms():
    return ("item", "action", "category", "novelty", "item_age")


def test_a_blank_batch_beside_real_ones_changes_nothing():
    rows = rows_of(5, 8, seed=1)
    alone = optimiser_of()
    alone.step(batch_of(rows))
    blank = Recorder()
    blank_sum = blank.sum
    weights = Recorder()
    optimiser_of(weights).step(batch_of(rows))
    blank.sum = lambda numbers_N: blank_sum(numbers_N) + (weights.sent[0] if len(blank.sent) == 1 else 0)
    optimiser_of(blank).step(Batch.blank(8, SHAPE.num_columns))
    assert blank.sent[0].sum() == 0
    assert blank.sent[1].abs().sum() == 0
    beside = optimiser_of(Pair(blank.sent))
    beside.step(batch_of(rows))
    torch.testing.assert_close(dict(beside.network.state_dict()), dict(alone.network.state_dict()), rtol=0, atol=0)


def poisoned(value):
    batch = batch_of(rows_of(4, 8, seed=1))
    weights_BL = batch.weights_BL.clone()
    weights_BL[0, -1] = value
    return replace(batch, weights_BL=weights_BL)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e38])
def test_a_step_that_is_not_finite_is_skipped_and_changes_nothing(value):
    optimiser = optimiser_of()
    before = weights_of(optimiser)
    result = optimiser.step(poisoned(value))
    assert result is None
    torch.testing.assert_close(weights_of(optimiser), before, rtol=0, atol=0)
    assert optimiser.steps == 0
    assert optimiser.step(batch_of(rows_of(4, 8, seed=1))) is not None  # and the next one is learnt


def test_too_many_skipped_steps_in_a_row_end_the_training():
    optimiser = optimiser_of(max_skipped_steps=2)
    good, bad = batch_of(rows_of(4, 8, seed=1)), poisoned(float("inf"))
    for batch in (bad, bad, good, bad, bad):  # never three in a row
        optimiser.step(batch)
    with pytest.raises(TrainingError, match=r"3 steps in a row had a loss or gradient that is not finite; lower"):
        optimiser.step(bad)


@pytest.mark.parametrize("loss", ["sampled", "gbce"])
def test_rows_alone_are_moved_as_the_whole_table_would_be(loss):
    """In a first step the two are the same: a row without gradient has no moments yet that could move it."""
    batch, after, losses = batch_of(rows_of(3, 4, seed=1)), [], []
    for sparse in (True, False):
        optimiser = optimiser_of(loss=loss, negatives=2, sparse_gradients=sparse, clip_norm=0.2)
        before = weights_of(optimiser)["items.ids.weight"]
        losses.append(optimiser.step(batch)[0])
        after.append(weights_of(optimiser))
        assert ("rows.0.first" in optimiser.state()) is sparse
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(after[0], after[1], rtol=1e-3, atol=1e-5)
    assert 0 < (after[0]["items.ids.weight"] == before).all(dim=1).sum() < NUM_ITEMS


def test_a_row_that_later_steps_do_not_need_stays():
    optimiser = optimiser_of(loss="sampled", negatives=1)
    first, second = (batch_of(rows_of(1, 4, seed=seed)) for seed in (1, 2))
    optimiser.step(first)
    before = weights_of(optimiser)["items.ids.weight"]
    needed = {*second.items_BL.flatten().tolist(), *optimiser._sampler.draw(1).items_S.tolist(), 0}
    optimiser.step(second)
    moved = (weights_of(optimiser)["items.ids.weight"] != before).any(dim=1).nonzero()[:, 0].tolist()
    assert set(moved) <= needed
    assert set(first.items_BL.flatten().tolist()) - needed  # some had moments and stayed all the same


def test_gradients_are_clipped_together():
    recorder = Recorder()
    optimiser = optimiser_of(recorder, clip_norm=0.25)
    optimiser.step(batch_of(rows_of(6, 8, seed=1)))
    norm = torch.cat([p.grad.flatten() for p in optimiser.parameters]).norm()
    assert recorder.sent[1].norm() > 0.25
    assert norm.item() == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize(("steps", "share"), [(1, 0.25), (2, 0.5), (4, 1.0), (6, 1.0)])
def test_the_learning_rate_warms_up(steps, share):
    optimiser = optimiser_of(warmup_steps=4, learning_rate=0.01)
    for _ in range(steps):
        optimiser.step(batch_of(rows_of(4, 8, seed=1)))
    assert optimiser.adam.param_groups[0]["lr"] == pytest.approx(0.01 * share)


def test_the_optimisers_state_has_three_tensors_per_parameter():
    optimiser = optimiser_of()
    optimiser.step(batch_of(rows_of(4, 8, seed=1)))
    state = optimiser.state()
    assert len(state) == 3 * len(optimiser.parameters)
    assert state["0.step"].item() == 1
    assert state["0.exp_avg"].abs().sum() > 0
