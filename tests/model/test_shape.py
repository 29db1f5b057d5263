import json

import pytest
import torch

from intentrec.model.shape import Catalogue, Field, NetworkShape, preset_shape

ACTION, CATEGORIES, DEVICE = Field("action", 3), Field("categories", 20, columns=4), Field("device", 2)


def test_the_intent_preset_has_every_head_the_data_can_label():
    shape = preset_shape("intent", 100, [ACTION, CATEGORIES])
    assert shape.heads == ("action", "category", "novelty", "item_age")
    assert shape.short_term_days == 7.0


@pytest.mark.parametrize(
    ("fields", "heads"),
    [
        ([], ("novelty", "item_age")),
        ([Field("action", 1)], ("novelty", "item_age")),  # one action: nothing to tell apart
        ([ACTION], ("action", "novelty", "item_age")),
        ([CATEGORIES], ("category", "novelty", "item_age")),
    ],
)
def test_heads_that_the_data_cannot_label_are_left_out(fields, heads):
    assert preset_shape("intent", 100, fields).heads == heads


def test_the_sasrec_preset_reads_items_only():
    shape = preset_shape("sasrec", 100, [ACTION], width=32, layers=3)
    assert (shape.heads, shape.read_features, shape.read_time, shape.short_term_days) == ((), False, False, None)
    assert (shape.width, shape.layers) == (32, 3)


@pytest.mark.parametrize(
    ("preset", "sizes", "message"),
    [
        ("gru", {}, "preset must be one of intent, sasrec, is 'gru'"),
        ("intent", {"width": 10, "attention_heads": 4}, "attention_heads 4 must divide width 10"),
    ],
)
def test_a_refused_preset_says_what_was_wanted(preset, sizes, message):
    with pytest.raises(ValueError, match=message):
        preset_shape(preset, 100, [], **sizes)


def test_columns_follow_the_order_of_the_fields():
    shape = preset_shape("intent", 100, [ACTION, CATEGORIES, DEVICE])
    assert shape.columns_of("action") == slice(0, 1)
    assert shape.columns_of("categories") == slice(1, 5)
    assert shape.columns_of("device") == slice(5, 6)
    assert shape.num_columns == 6
    assert shape.num_categories == 20
    with pytest.raises(KeyError):
        shape.columns_of("referrer")


def test_a_shape_comes_back_from_json():
    shape = preset_shape("intent", 100, [ACTION, CATEGORIES], item_bias=True)
    assert NetworkShape.from_dict(json.loads(json.dumps(shape.as_dict()))) == shape


def test_a_catalogue_without_categories_starts_at_item_one():
    catalogue = Catalogue.without_categories([50, 60])
    assert catalogue.published_V.tolist() == [0, 50, 60]
    assert catalogue.categories_VC.shape == (3, 0)
    assert catalogue.categories_VC.dtype == torch.int64
    assert catalogue.num_items == 2
