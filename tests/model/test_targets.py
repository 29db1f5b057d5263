import math

import pytest
import torch

from intentrec.model.batches import Batch
from intentrec.model.network import IntentNetwork
from intentrec.model.shape import Catalogue, Field, preset_shape
from intentrec.model.targets import targets_of, term_losses, term_weights, terms_of

SHAPE = preset_shape("intent", 3, [Field("action", 2)], width=8, dropout=0.0, id_drop=0.0)
CATALOGUE = Catalogue.without_categories([50, 60, 70])


def batch_of(items, times, weights, actions):
    return Batch(
        torch.tensor([items]),
        torch.tensor([times]),
        torch.tensor([weights]),
        torch.tensor([[actions]]),
        torch.tensor([0]),
    )


# padding, then item 1, an unknown item, item 3 as context only, item 2
BATCH = batch_of([0, 1, 0, 3, 2], [0, 100, 200, 300, 400], [0.0, 1.0, 1.0, 0.0, 2.0], [0, 1, 2, 1, 2])


def test_the_item_is_the_first_term():
    assert terms_of(SHAPE) == ("item", "action", "novelty", "item_age")


def test_every_event_is_the_target_of_the_one_before_it():
    targets = targets_of(SHAPE, CATALOGUE, BATCH)
    assert targets.items_BL.tolist() == [[0, 0, 3, 2, 0]]
    assert targets.weights_BL.tolist() == [[0.0, 1.0, 0.0, 2.0, 0.0]]
    assert targets.actions_BL.tolist() == [[0, 2, 1, 2, 0]]
    assert targets_of(preset_shape("sasrec", 3, []), CATALOGUE, BATCH).actions_BL is None


def test_within_days_any_later_event_with_weight_and_item_may_be_the_target_else_the_next_one():
    day = 86400
    times = [0, 100, 200, 100 + day, 101 + day]
    batch = batch_of([0, 1, 2, 3, 1], times, [0.0, 1.0, 2.0, 3.0, 4.0], [0, 1, 2, 1, 2])
    torch.manual_seed(0)
    drawn = [targets_of(SHAPE, CATALOGUE, batch, 1.0) for _ in range(200)]
    after_first = [targets.items_BL[0, 1].item() for targets in drawn]
    assert set(after_first) == {2, 3}  # the event exactly a day later is in reach, the one after it is not
    assert 70 < after_first.count(2) < 130
    for targets in drawn:
        first = targets.items_BL[0, 1].item()
        assert (targets.weights_BL[0, 1].item(), targets.actions_BL[0, 1].item()) == (
            (2.0, 2) if first == 2 else (3.0, 1)
        )
        assert targets.items_BL[0, [0, 4]].tolist() == [0, 0]  # padding and the last event predict nothing
    assert {targets.items_BL[0, 2].item() for targets in drawn} == {3, 1}
    near = targets_of(SHAPE, CATALOGUE, batch, 50 / day)
    assert near.items_BL.tolist() == targets_of(SHAPE, CATALOGUE, batch).items_BL.tolist()
    assert drawn[0].labels["action"].tolist() == near.labels["action"].tolist()
    assert drawn[0].label_weights_BL.tolist() == [[0.0, 2.0, 3.0, 4.0, 0.0]]


def test_what_has_no_weight_or_no_item_is_not_drawn():
    batch = batch_of([1, 2, 0, 3], [100, 101, 102, 103], [1.0, 0.0, 1.0, 1.0], [1, 1, 1, 1])
    for _ in range(20):
        targets = targets_of(SHAPE, CATALOGUE, batch, 1.0)
        assert targets.items_BL.tolist() == [[3, 3, 3, 0]]


def test_a_term_counts_where_it_has_something_to_predict():
    targets = targets_of(SHAPE, CATALOGUE, BATCH)
    assert targets.chosen("item").tolist() == [[False, False, False, True, False]]
    assert targets.chosen("action").tolist() == [[False, True, False, True, False]]  # of the unknown item too
    assert term_weights(SHAPE, targets).tolist() == [2.0, 3.0, 2.0, 2.0]


def test_losses_are_weighted_sums_of_surprises():
    torch.manual_seed(0)
    network = IntentNetwork(SHAPE, CATALOGUE)
    losses_T, said = term_losses(network, BATCH, targets_of(SHAPE, CATALOGUE, BATCH))
    logits = said.queries_BLQD[0, 3, 0] @ network.items.whole().vectors_UD[1:].T  # item 0 takes no share
    assert losses_T[0].item() == pytest.approx(-2.0 * logits.log_softmax(0)[1].item(), rel=1e-5)
    action = said.head_logits["action"][0].log_softmax(-1)
    assert losses_T[1].item() == pytest.approx(-(1.0 * action[1, 1] + 2.0 * action[3, 1]).item(), rel=1e-5)


def test_a_blank_batch_has_no_weight_and_no_loss():
    blank = Batch.blank(4, 1)
    targets = targets_of(SHAPE, CATALOGUE, blank)
    losses_T, _ = term_losses(IntentNetwork(SHAPE, CATALOGUE), blank, targets)
    assert term_weights(SHAPE, targets).tolist() == [0.0] * 4
    assert losses_T.tolist() == [0.0] * 4
    assert all(math.isfinite(loss) for loss in losses_T.tolist())
