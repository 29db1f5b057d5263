from dataclasses import replace

import pytest
import torch

from intentrec.model.network import IntentNetwork
from intentrec.model.shape import PRESETS, Catalogue, Field, preset_shape

FIELDS = (Field("action", 3), Field("categories", 4, columns=2))
NUM_ITEMS = 20
SHAPES = {
    **{preset: preset_shape(preset, NUM_ITEMS, FIELDS, width=16) for preset in PRESETS},
    "intent on ids and times": preset_shape("intent", NUM_ITEMS, (), width=16),
    "intent without short term": preset_shape("intent", NUM_ITEMS, FIELDS, width=16, short_term_days=None),
    "intent with item bias": preset_shape("intent", NUM_ITEMS, FIELDS, width=16, item_bias=True),
    "intent of recurrent units": preset_shape("intent", NUM_ITEMS, FIELDS, width=16, encoder="gru"),
    "intent without encoders": preset_shape("intent", NUM_ITEMS, FIELDS, width=16, encoder="none"),
    "intent with a long term": preset_shape("intent", NUM_ITEMS, FIELDS, width=16, long_term=True),
    "intent with flat heads": preset_shape("intent", NUM_ITEMS, FIELDS, width=16, feed_intents=False),
    "intent read by levels": preset_shape("intent", NUM_ITEMS, FIELDS, width=16, readout="atten_mixer"),
    "intent with interests": preset_shape("intent", NUM_ITEMS, FIELDS, width=16, readout="multi_interest"),
    "intent for the likely action": preset_shape("intent", NUM_ITEMS, FIELDS, width=16, condition_on_action=True),
    "sasrec for one action": preset_shape(
        "sasrec", NUM_ITEMS, FIELDS, width=16, condition_on_action=True, target_action=2
    ),
}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def network_of(shape):
    torch.manual_seed(0)
    num_categories = shape.num_categories
    if num_categories:
        categories_VC = torch.randint(0, num_categories + 1, (NUM_ITEMS + 1, 2))
        categories_VC[0] = 0
        catalogue = Catalogue(categories_VC, torch.arange(NUM_ITEMS + 1) * 1000)
    else:
        catalogue = Catalogue.without_categories([1000 * item for item in range(1, NUM_ITEMS + 1)])
    network = IntentNetwork(shape, catalogue)
    with torch.no_grad():  # zeros would hide what a bias or a category does
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network.eval()


def rows(shape, num_rows=4, length=8, seed=1):
    torch.manual_seed(seed)
    items_BL = torch.randint(0, NUM_ITEMS + 1, (num_rows, length))
    times_BL = 10**9 + torch.randint(1, 5 * 86400, (num_rows, length)).cumsum(dim=1)
    features_BCL = torch.randint(0, 4, (num_rows, shape.num_columns, length))
    return items_BL, times_BL, features_BCL


def everything(said):
    return [said.queries_BLQD, said.alpha_BLH, said.intents_BLD, *said.head_logits.values()]


@every_shape
def test_what_is_said_after_an_event_does_not_depend_on_any_later_one(shape):
    network, (items_BL, times_BL, features_BCL) = network_of(shape), rows(shape)
    before = network(items_BL, times_BL, features_BCL)
    items_BL, times_BL, features_BCL = items_BL.clone(), times_BL.clone(), features_BCL.clone()
    items_BL[:, 5:] = items_BL[:, 5:].flip(0)
    times_BL[:, 5:] += 86400 * 30
    features_BCL[:, :, 5:] = features_BCL[:, :, 5:].flip(0)
    after = network(items_BL, times_BL, features_BCL)
    for one, other in zip(everything(before), everything(after), strict=True):
        torch.testing.assert_close(one[:, :5], other[:, :5])
    assert not torch.allclose(before.queries_BLQD[:, 5:], after.queries_BLQD[:, 5:])


@every_shape
def test_padding_changes_nothing(shape):
    network, given = network_of(shape), rows(shape)
    padded = [torch.nn.functional.pad(values, (8, 0)) for values in given]
    for one, other in zip(everything(network(*given)), everything(network(*padded)), strict=True):
        torch.testing.assert_close(one, other[:, 8:], rtol=1e-4, atol=1e-5)


@every_shape
def test_a_row_alone_gets_what_it_gets_among_others(shape):
    network, given = network_of(shape), rows(shape)
    together = network(*given).queries_BLQD
    alone = torch.cat([network(*(values[[row]] for values in given)).queries_BLQD for row in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    backwards = network(*(values.flip(0) for values in given)).queries_BLQD.flip(0)
    torch.testing.assert_close(together, backwards, rtol=1e-4, atol=1e-5)


@every_shape
def test_rows_of_padding_alone_give_no_nan_not_even_in_gradients(shape):
    network = network_of(shape).train()
    blank = [torch.zeros_like(values) for values in rows(shape)]
    said = network(*blank)
    assert all(torch.isfinite(values).all() for values in everything(said))
    sum(values.sum() for values in everything(said)).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@every_shape
def test_every_parameter_takes_part(shape):
    network = network_of(shape).train()
    said = network(*rows(shape, num_rows=64))
    logits_BLV = said.queries_BLQD @ network.items.whole().vectors_UD.T
    if network.items.bias is not None:
        logits_BLV = logits_BLV + network.items.bias
    (logits_BLV.logsumexp(-1).sum() + sum(v.logsumexp(-1).sum() for v in said.head_logits.values())).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [name for name in idle if "items.categories" not in name] == []  # there may be no categories


def test_alpha_and_z_are_the_mixture_of_projected_probabilities():
    network = network_of(SHAPES["intent"])
    said = network(*rows(SHAPES["intent"]))
    torch.testing.assert_close(said.alpha_BLH.sum(dim=-1), torch.ones(4, 8))
    projected = [network.intents.projected[head](logits.softmax(-1)) for head, logits in said.head_logits.items()]
    by_hand = sum(said.alpha_BLH[..., [at]] * one for at, one in enumerate(projected))
    torch.testing.assert_close(said.intents_BLD, by_hand)


@every_shape
def test_the_last_event_alone_is_told_the_same(shape):
    network, given = network_of(shape).eval(), rows(shape)
    with torch.no_grad():
        whole, last = network(*given), network.of_last(*given, network.items.whole())
    torch.testing.assert_close(last.queries_BLQD, whole.queries_BLQD[:, -1:])
    torch.testing.assert_close(last.alpha_BLH, whole.alpha_BLH[:, -1:])
    torch.testing.assert_close(last.intents_BLD, whole.intents_BLD[:, -1:])
    torch.testing.assert_close(last.head_logits, {head: own[:, -1:] for head, own in whole.head_logits.items()})


def test_without_heads_there_are_no_intents():
    said = network_of(SHAPES["sasrec"])(*rows(SHAPES["sasrec"]))
    assert said.head_logits == {}
    assert said.alpha_BLH.shape == (4, 8, 0)
    assert said.intents_BLD.abs().sum() == 0


def test_item_loss_reaches_the_intent_heads_through_z():
    network = network_of(SHAPES["intent"]).train()
    network(*rows(SHAPES["intent"])).queries_BLQD.square().sum().backward()
    assert all(head.weight.grad.abs().sum() > 0 for head in network.intents.heads.values())


def test_the_short_term_layer_forgets_what_lies_beyond_its_days():
    shape = replace(SHAPES["intent"], short_term_days=1.0)
    network = network_of(shape)
    heard = []
    network.short_term.register_forward_hook(lambda module, given, out: heard.append(out))
    features_BCL = torch.ones(1, shape.num_columns, 2, dtype=torch.int64)
    for pause_s in (86400, 86401):
        for first in (3, 4):
            items_BL = torch.tensor([[first, 7]])
            times_BL = torch.tensor([[10**9, 10**9 + pause_s]])
            network(items_BL, times_BL, features_BCL)
    inside, outside = heard[0][:, 1] - heard[1][:, 1], heard[2][:, 1] - heard[3][:, 1]
    assert inside.abs().max() > 0
    assert outside.abs().max() == 0


def test_flat_heads_are_read_by_nothing():
    network = network_of(SHAPES["intent with flat heads"]).train()
    said = network(*rows(SHAPES["intent"]))
    torch.testing.assert_close(said.alpha_BLH, torch.full((4, 8, 4), 0.25))
    assert said.intents_BLD.abs().sum() == 0
    said.queries_BLQD.square().sum().backward()
    assert all(head.weight.grad is None for head in network.flat_heads.heads.values())


def test_a_query_for_all_actions_scores_as_the_mean_of_those_for_each():
    network, given = network_of(SHAPES["intent for the likely action"]), rows(SHAPES["intent"])
    said, vectors = network(*given), network.items.whole()
    wanted = [torch.full((4, 8), action) for action in (1, 2, 3)]
    each = [network(*given, vectors, wanted_BL).queries_BLQD @ vectors.vectors_UD.T for wanted_BL in wanted]
    chances = said.head_logits["action"].softmax(-1)[..., None, None, :]
    expected = (torch.stack(each, dim=-1) * chances).sum(-1)
    torch.testing.assert_close(said.queries_BLQD @ vectors.vectors_UD.T, expected, rtol=1e-4, atol=1e-5)


def test_a_query_for_one_action_is_the_one_trained_for_it():
    network, given = network_of(SHAPES["sasrec for one action"]), rows(SHAPES["intent"])
    wanted_BL = torch.full((4, 8), 2)
    torch.testing.assert_close(network(*given).queries_BLQD, network(*given, None, wanted_BL).queries_BLQD)
    unknown = network(*given, None, torch.zeros_like(wanted_BL)).queries_BLQD
    added_D = network.wanted.actions.weight[2] - network.wanted.actions.weight[0]
    torch.testing.assert_close(
        network(*given).queries_BLQD - unknown, added_D.expand(4, 8, 1, 16), rtol=1e-4, atol=1e-5
    )


def test_queries_that_are_compared_by_cosine_have_one_length():
    network = network_of(SHAPES["atten_mixer"])
    said = network(*rows(SHAPES["intent"]))
    torch.testing.assert_close(said.queries_BLQD.norm(dim=-1), torch.full((4, 8, 1), 16.0))
    torch.testing.assert_close(network.items.whole().vectors_UD.norm(dim=-1), torch.ones(NUM_ITEMS + 1))


def test_an_event_whose_id_is_dropped_reads_as_one_of_an_unknown_item():
    shape = replace(SHAPES["intent on ids and times"], dropout=0.0, id_drop=1.0)
    network = network_of(shape)
    items_BL, times_BL, features_BCL = rows(shape)
    unknown = network(torch.zeros_like(items_BL), times_BL, features_BCL)
    assert not torch.allclose(unknown.queries_BLQD, network(items_BL, times_BL, features_BCL).queries_BLQD)
    trained = network.train()(items_BL, times_BL, features_BCL)
    torch.testing.assert_close(trained.queries_BLQD, unknown.queries_BLQD)  # its age is not given away either
