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
    assert preset_shape("intent", 100, fields, clusters=2).heads == (*heads, "cluster")


def test_the_sasrec_preset_reads_items_only():
    shape = preset_shape("sasrec", 100, [ACTION], width=32, layers=3)
    assert (shape.heads, shape.read_features, shape.read_time, shape.short_term_days) == ((), False, False, None)
    assert (shape.width, shape.layers, shape.encoder, shape.readout) == (32, 3, "ligr", "last")


def test_the_gru4rec_preset_is_one_layer_of_recurrent_units_and_a_score_per_item():
    shape = preset_shape("gru4rec", 100, [ACTION])
    assert (shape.encoder, shape.layers, shape.item_bias, shape.heads, shape.fuses_events) == ("gru", 1, True, (), True)


def test_the_atten_mixer_preset_reads_bare_item_vectors_by_levels():
    shape = preset_shape("atten_mixer", 100, [ACTION])
    assert (shape.encoder, shape.readout, shape.levels, shape.cosine_scale) == ("none", "atten_mixer", 7, 16.0)
    assert not shape.fuses_events
    assert preset_shape("atten_mixer", 100, [ACTION], read_features=True).fuses_events


@pytest.mark.parametrize(("readout", "queries"), [("last", 1), ("atten_mixer", 1), ("multi_interest", 3)])
def test_only_interests_make_several_queries(readout, queries):
    assert preset_shape("sasrec", 100, [], readout=readout, interests=3).num_queries == queries


def test_a_condition_on_the_action_is_left_out_where_there_is_one_action():
    many, one = (preset_shape("intent", 9, [Field("action", n)], condition_on_action=True) for n in (2, 1))
    assert (many.condition_on_action, one.condition_on_action) == (True, False)
    given = {"condition_on_action": True, "target_action": 3}
    assert preset_shape("sasrec", 9, [ACTION], **given).target_action == 3
    assert preset_shape("sasrec", 9, [], **given).target_action == 0


@pytest.mark.parametrize(
    ("preset", "sizes", "message"),
    [
        ("gru", {}, "preset must be one of intent, sasrec, gru4rec, atten_mixer, is 'gru'"),
        ("intent", {"encoder": "rnn"}, "encoder must be one of ligr, gru, none, is 'rnn'"),
        ("intent", {"readout": "mean"}, "readout must be one of last, atten_mixer, multi_interest, is 'mean'"),
        ("sasrec", {"condition_on_action": True}, "condition_on_action needs a target_action, or an action head"),
        ("intent", {"width": 10, "attention_heads": 4}, "attention_heads 4 must divide width 10"),
    ],
)
def test_a_refused_preset_says_what_was_wanted(preset, sizes, message):
    with pytest.raises(ValueError, match=message):
        preset_shape(preset, 100, [ACTION], **sizes)


def test_a_long_term_is_left_out_where_items_have_no_categories():
    shapes = [preset_shape("intent", 9, fields, long_term=True) for fields in ([CATEGORIES], [ACTION])]
    assert [shape.long_term for shape in shapes] == [True, False]


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
