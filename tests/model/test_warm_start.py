import re
from dataclasses import replace

import pytest
import torch

from intentrec.model.checkpoint import Artifact, Vocabulary
from intentrec.model.network import IntentNetwork
from intentrec.model.shape import Catalogue, Field, preset_shape
from intentrec.model.warm_start import obstacle, start_from


def shape_of(num_items, num_categories, **sizes):
    fields = [Field("action", 2), Field("categories", num_categories, columns=2)]
    return preset_shape("intent", num_items, fields, **{"width": 8, **sizes})


def vocabulary_of(num_items, num_categories):
    names = {"action": ("view", "buy"), "categories": tuple("abcdef"[:num_categories])}
    return Vocabulary(tuple(f"item {n}" for n in range(num_items)), names)


def catalogue_of(num_items):
    return Catalogue(torch.ones(num_items + 1, 2, dtype=torch.int64), torch.arange(num_items + 1))


def network_of(shape, seed):
    torch.manual_seed(seed)
    network = IntentNetwork(shape, catalogue_of(shape.num_items))
    torch.nn.init.normal_(network.items.categories.weight)
    return network


@pytest.fixture
def old():
    shape = shape_of(3, 2)
    return Artifact(shape, network_of(shape, 1).state_dict(), catalogue_of(3), vocabulary_of(3, 2))


def test_an_equal_network_takes_over_every_weight(old):
    network = network_of(shape_of(3, 2), seed=2)
    assert obstacle(old, network.shape, vocabulary_of(3, 2)) is None
    start_from(network, old)
    torch.testing.assert_close(network.state_dict(), old.weights, rtol=0, atol=0)


def test_new_items_and_labels_come_after_the_old_ones(old):
    shape = shape_of(5, 4)
    assert obstacle(old, shape, vocabulary_of(5, 4)) is None
    network, fresh = network_of(shape, seed=2), network_of(shape, seed=2).state_dict()
    start_from(network, old)
    ids = network.items.ids.weight
    torch.testing.assert_close(ids[:4], old.weights["items.ids.weight"])
    torch.testing.assert_close(ids[4:], old.weights["items.ids.weight"][:1].expand(2, -1))  # as the unknown item
    head = network.intents.heads["category"].weight
    torch.testing.assert_close(head[:2], old.weights["intents.heads.category.weight"])
    torch.testing.assert_close(head[2:], fresh["intents.heads.category.weight"][2:])  # their own first numbers
    projected = network.intents.projected["category"].weight
    torch.testing.assert_close(projected[:, :2], old.weights["intents.projected.category.weight"])


def test_known_users_are_scored_as_before_after_the_catalogue_has_grown(old):
    network = network_of(shape_of(5, 2), seed=2).eval()
    start_from(network, old)
    given = (torch.tensor([[1, 2]]), torch.tensor([[100, 200]]), torch.ones(1, 3, 2, dtype=torch.int64))
    before, after = old.network()(*given), network(*given)
    torch.testing.assert_close(before.queries_BLQD, after.queries_BLQD)


@pytest.mark.parametrize(
    ("shape", "vocabulary", "why"),
    [
        (shape_of(3, 2, width=16), vocabulary_of(3, 2), "width changed"),
        (shape_of(3, 2, layers=3, intent_layers=2), vocabulary_of(3, 2), "layers, intent_layers changed"),
        (preset_shape("sasrec", 3, shape_of(3, 2).fields, width=8), vocabulary_of(3, 2), "heads, .* changed"),
        (preset_shape("intent", 3, (), width=8), vocabulary_of(3, 2), "the event features are others"),
        (shape_of(3, 2), Vocabulary(("item 1", "item 0", "item 2")), "items of the old model changed their index"),
        (shape_of(2, 2), vocabulary_of(2, 2), "items of the old model changed their index"),
        (
            shape_of(3, 2),
            replace(vocabulary_of(3, 2), values={"action": ("buy", "view"), "categories": ("a", "b")}),
            "values of action changed their index",
        ),
    ],
)
def test_what_stands_in_the_way_is_named(old, shape, vocabulary, why):
    assert re.fullmatch(why, obstacle(old, shape, vocabulary))


@pytest.mark.parametrize("change", [{"dropout": 0.0}, {"id_drop": 0.5}, {"target_action": 2}])
def test_what_changes_no_weight_is_no_obstacle(old, change):
    assert obstacle(old, replace(old.shape, **change), vocabulary_of(3, 2)) is None
