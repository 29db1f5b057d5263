import math
from dataclasses import replace

import pytest
import torch
from tests.model.test_targets import BATCH, batch_of

from intentrec.errors import TrainingError
from intentrec.model.items import ItemVectors
from intentrec.model.job import EpochFigures, Settings
from intentrec.model.network import IntentNetwork
from intentrec.model.shape import Catalogue, Field, preset_shape
from intentrec.model.targets import targets_of
from intentrec.model.validation import (
    check_finite,
    count_labels,
    count_targets,
    majority_labels,
    next_item_gains,
    no_labels,
    validate,
)

SHAPE = preset_shape("intent", 3, [Field("action", 2)], width=8)
CATALOGUE = Catalogue.without_categories([50, 60, 70])


def network_that_says(probabilities):
    """A network whose action head gives fixed probabilities."""
    network = IntentNetwork(SHAPE, CATALOGUE)
    head = network.intents.heads["action"]
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor(probabilities).log())
    return network


def test_labels_are_counted_once_per_target_whatever_its_weight():
    counts = no_labels(network_that_says([0.5, 0.5]))
    count_labels(counts, targets_of(SHAPE, CATALOGUE, BATCH))
    assert counts["action"].tolist() == [0.0, 2.0]
    assert counts["item_age"].tolist() == [1.0] + [0.0] * 7


def test_the_first_of_equally_frequent_labels_is_the_majority():
    assert majority_labels({"action": torch.tensor([3.0, 5.0, 5.0])}) == {"action": 1}


def test_a_head_is_judged_against_the_majority_label():
    # targets after the first event: actions 2, 1, 2
    batch = batch_of([1, 2, 3, 1], [100, 200, 300, 400], [1.0, 1.0, 1.0, 9.0], [1, 2, 1, 2])
    majority = {"action": 0, "novelty": 0, "item_age": 0}
    action = validate(network_that_says([0.2, 0.8]), CATALOGUE, [batch], majority).heads["action"]
    assert action.accuracy == pytest.approx(2 / 3)  # always says 2
    assert action.majority_share == pytest.approx(1 / 3)  # always says 1
    assert action.nll == pytest.approx(-(2 * math.log(0.8) + math.log(0.2)) / 3)
    assert action.num_events == 3


def test_one_of_several_true_labels_is_right():
    shape = preset_shape("intent", 3, [Field("categories", 3, columns=2)], width=8)
    catalogue = Catalogue(torch.tensor([[0, 0], [1, 3], [2, 0], [1, 0]]), torch.tensor([0, 50, 60, 70]))
    network = IntentNetwork(shape, catalogue)
    with torch.no_grad():
        network.intents.heads["category"].weight.zero_()
        network.intents.heads["category"].bias.copy_(torch.tensor([0.25, 0.25, 0.5]).log())
    batch = batch_of([2, 1, 2], [100, 200, 300], [1.0, 1.0, 1.0], [0, 0, 0])
    two_columns = torch.zeros(1, 2, 3, dtype=torch.int64)
    batch = type(batch)(batch.items_BL, batch.times_BL, batch.weights_BL, two_columns, batch.row_ids_B)
    figures = validate(network, catalogue, [batch], {"category": 0, "novelty": 0, "item_age": 0}).heads["category"]
    assert figures.accuracy == 1 / 2  # says 3: one of item 1's categories (1 and 3), not item 2's
    assert figures.majority_share == 1 / 2
    assert figures.nll == pytest.approx(-((math.log(0.25) + math.log(0.5)) / 2 + math.log(0.25)) / 2)


def test_the_item_loss_is_a_mean_over_weights():
    network = network_that_says([0.5, 0.5])
    torch.nn.init.zeros_(network.items.ids.weight)  # all items alike: each of 3 has a third
    judged = validate(network, CATALOGUE, [BATCH, BATCH], {"action": 0, "novelty": 0, "item_age": 0})
    assert judged.item_loss == pytest.approx(math.log(3))


@pytest.mark.parametrize(("target", "judged"), [(0, [3, 2, 1]), (2, [3, 1])])
def test_a_condition_on_the_action_is_not_told_the_next_one_and_a_wanted_one_is_judged_alone(target, judged):
    shape = preset_shape("intent", 3, [Field("action", 2)], width=8, condition_on_action=True, target_action=target)
    network = IntentNetwork(shape, CATALOGUE).eval()
    torch.nn.init.normal_(network.wanted.actions.weight)
    majority = {"action": 0, "novelty": 0, "item_age": 0}
    weights = [1.0, 1.0, 1.0, 1.0]
    batch = batch_of([2, 3, 2, 1], [100, 200, 300, 400], weights, [1, 2, 1, 2])
    found = validate(network, CATALOGUE, [batch], majority).item_loss
    said = network(batch.items_BL, batch.times_BL, batch.features_BCL)  # as lists are made
    log_p_LI = (said.queries_BLQD[0, :, 0] @ network.items.whole().vectors_UD[1:].T).log_softmax(dim=1)
    places = {3: 0, 2: 1, 1: 2}  # of the event that each item follows
    assert found == pytest.approx(-sum(log_p_LI[places[item], item - 1].item() for item in judged) / len(judged))


def test_all_items_are_judged_where_none_is_of_the_wanted_action():
    shape = preset_shape("intent", 3, [Field("action", 3)], width=8, condition_on_action=True, target_action=3)
    network = IntentNetwork(shape, CATALOGUE).eval()
    batch = batch_of([2, 3, 2, 1], [100, 200, 300, 400], [1.0, 1.0, 1.0, 1.0], [1, 2, 1, 2])
    found = validate(network, CATALOGUE, [batch], {"action": 0, "novelty": 0, "item_age": 0}).item_loss
    said = network(batch.items_BL, batch.times_BL, batch.features_BCL)
    log_p_LI = (said.queries_BLQD[0, :, 0] @ network.items.whole().vectors_UD[1:].T).log_softmax(dim=1)
    assert found == pytest.approx(-sum(log_p_LI[place, item - 1].item() for place, item in enumerate([3, 2, 1])) / 3)


def test_nothing_to_judge_gives_no_figure_and_no_error():
    judged = validate(network_that_says([0.5, 0.5]), CATALOGUE, [], {"action": 0, "novelty": 0, "item_age": 0})
    assert judged.item_loss is None
    assert judged.heads["action"].num_events == 0
    assert math.isnan(judged.heads["action"].accuracy)


def test_every_target_counts_one_whatever_its_weight():
    counts_V = count_targets(SHAPE, CATALOGUE, [BATCH, BATCH])
    assert counts_V.tolist() == [0.0, 0.0, 2.0, 0.0]  # item 2 with weight 2, twice; item 3 has weight 0


@pytest.mark.parametrize("training", [True, False])
def test_the_network_stays_in_its_mode(training):
    network = network_that_says([0.5, 0.5]).train(training)
    validate(network, CATALOGUE, [BATCH], {"action": 0, "novelty": 0, "item_age": 0})
    assert network.training is training


def test_the_next_items_rank_is_its_gain_ties_and_padding_included():
    vectors_UD = torch.tensor([[9.0, 9.0], [1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [2.0, 0.0]])
    vectors = ItemVectors(None, vectors_UD, vectors_UD, vectors_UD, None)
    right, up = [1.0, 0.0], [0.0, 1.0]
    queries_NQD = torch.tensor([[right, right], [right, right], [up, up], [right, up]])
    gains_N = next_item_gains(queries_NQD, vectors, torch.tensor([2, 1, 3, 1]))
    # 2 and 4 tie: second place. 1 is third of (1, 2, 0, 2). 3 is first. By the greater query (1, 2, 3, 2): fourth.
    assert gains_N.tolist() == pytest.approx([1 / math.log2(3), 1 / math.log2(4), 1.0, 1 / math.log2(5)])
    biased = replace(vectors, bias_U=torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0]))
    assert next_item_gains(queries_NQD[:1], biased, torch.tensor([1])).tolist() == [1.0]
    many = torch.arange(12.0)[:, None]
    far = ItemVectors(None, many, many, many, None)
    assert next_item_gains(torch.ones(2, 1, 1), far, torch.tensor([2, 1])).tolist() == pytest.approx(
        [1 / math.log2(11), 0]
    )
    assert next_item_gains(torch.ones(0, 1, 1), far, torch.zeros(0, dtype=torch.int64)).tolist() == []


def test_ranks_are_those_of_float32_while_the_network_computes_in_bfloat16():
    near_UD = torch.tensor([[0.0], [1.0], [1.001], [1.002]])  # one number in bfloat16
    vectors = ItemVectors(None, near_UD, near_UD, near_UD, None)
    given = torch.ones(3, 1, 1), vectors, torch.tensor([1, 2, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gains_N = next_item_gains(*given)
    assert gains_N.tolist() == pytest.approx([1 / math.log2(4), 1 / math.log2(3), 1.0])


def test_the_network_is_judged_in_the_precision_that_it_learns_in():
    network, seen = network_that_says([0.5, 0.5]), []
    network.register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    for precision in ("float32", "bfloat16", "auto"):
        given = Settings(precision=precision)
        validate(network, CATALOGUE, [BATCH], {"action": 0, "novelty": 0, "item_age": 0}, settings=given)
    assert seen == [False, True, False]


def test_the_gain_is_a_mean_over_weights_where_it_is_asked_for():
    network = network_that_says([0.5, 0.5])
    torch.nn.init.zeros_(network.items.ids.weight)
    majority = {"action": 0, "novelty": 0, "item_age": 0}
    assert validate(network, CATALOGUE, [BATCH], majority).ndcg is None
    ranked = Settings(stop_by="ndcg")
    judged = validate(network, CATALOGUE, [BATCH, BATCH], majority, settings=ranked)
    assert judged.ndcg == pytest.approx(1 / math.log2(4))  # three items of equal score: the third place
    assert validate(network, CATALOGUE, [], majority, settings=ranked).ndcg is None


def test_what_is_not_finite_is_not_kept():
    network = torch.nn.Linear(1, 1)
    check_finite(EpochFigures(1, {}, None, {}, 1, 0, 1.0), network)
    with pytest.raises(TrainingError, match="epoch 1: the validation loss is not finite"):
        check_finite(EpochFigures(1, {}, math.inf, {}, 1, 0, 1.0), network)
    with torch.no_grad():
        network.bias.fill_(math.nan)
    with pytest.raises(TrainingError, match="epoch 2: a weight is not finite, the checkpoint before is kept; lower"):
        check_finite(EpochFigures(2, {}, 1.0, {}, 1, 0, 1.0), network)
