from dataclasses import replace

import pytest
import torch

from intentrec.model.intents import NUM_AGES, age_buckets, head_sizes, intent_labels, label_names
from intentrec.model.shape import Catalogue, Field, preset_shape

HOUR_S, DAY_S = 3600, 86400
SHAPE = preset_shape("intent", 4, [Field("action", 2), Field("categories", 3, columns=2)])
CATALOGUE = Catalogue(
    torch.tensor([[0, 0], [1, 0], [2, 3], [1, 2], [0, 0]]),  # items 1 to 4; item 4 has no category
    torch.tensor([0, 100, 100, 100, 100]),
)


def labels_of(items, times, actions=None, shape=SHAPE, catalogue=CATALOGUE):
    items_BL, times_BL = torch.tensor([items]), torch.tensor([times])
    features_BCL = torch.zeros(1, shape.num_columns, len(items), dtype=torch.int64)
    if actions:
        features_BCL[0, 0] = torch.tensor(actions)
    return intent_labels(shape, catalogue, items_BL, times_BL, features_BCL)


@pytest.mark.parametrize(
    ("age_s", "bucket"),
    [
        (-1, 0), (0, 0), (HOUR_S - 1, 0), (HOUR_S, 1), (6 * HOUR_S, 2), (DAY_S, 3), (7 * DAY_S, 4), (30 * DAY_S, 5),
        (90 * DAY_S, 6), (365 * DAY_S - 1, 6), (365 * DAY_S, NUM_AGES - 1),
    ],
)  # fmt: skip
def test_an_age_of_exactly_a_bound_belongs_to_the_older_bucket(age_s, bucket):
    assert age_buckets(torch.tensor([age_s])).item() == bucket


def test_every_event_is_labelled_with_the_next_ones_action():
    labels = labels_of([0, 1, 2, 3], [0, 100, 200, 300], actions=[0, 1, 2, 1])
    assert labels["action"][0, :, 0].tolist() == [-1, 1, 0, -1]  # padding, buy, view, nothing follows


def test_all_categories_of_the_next_item_are_true():
    labels = labels_of([1, 2, 1, 4], [100, 200, 300, 400])
    assert labels["category"][0].tolist() == [[1, 2], [0, -1], [-1, -1], [-1, -1]]


def test_novelty_asks_whether_the_main_category_was_met_before():
    labels = labels_of([1, 2, 3, 4, 0, 2], [100, 200, 300, 400, 500, 600])
    # after 1 comes 2 (new category), then 3 (category 1 again), then 4 and an unknown item (none), then 2 (again)
    assert labels["novelty"][0, :, 0].tolist() == [1, 0, -1, -1, 0, -1]


@pytest.mark.parametrize("columns", [0, 4])  # a night's catalogue has max_categories of them, known or not
def test_novelty_is_about_items_where_there_are_no_categories(columns):
    shape = preset_shape("intent", 4, [Field("categories", 0, 4)])
    catalogue = replace(Catalogue.without_categories([100] * 4), categories_VC=torch.zeros(5, columns).long())
    features = torch.zeros(1, 4, 3).long()
    labels = intent_labels(shape, catalogue, torch.tensor([[1, 2, 1]]), torch.tensor([[100, 200, 300]]), features)
    assert labels["novelty"][0, :, 0].tolist() == [1, 0, -1]


def test_item_age_is_taken_when_the_next_event_happens():
    labels = labels_of([1, 2, 0, 3], [100, 100 + HOUR_S, 100 + 2 * DAY_S, 100 + 8 * DAY_S])
    assert labels["item_age"][0, :, 0].tolist() == [1, -1, 4, -1]


@pytest.mark.parametrize(
    ("newest", "known"),
    [
        (100, [0, 3, 4]),  # all published at once: any age is real
        (100 + 2 * DAY_S, [-1, 3, 4]),  # a log of two days: its first day can hold no age of "1 to 7 days"
        (100 + 9 * DAY_S, [-1, 3, 4]),  # of nine: "7 to 30 days" has occurred for two, less than a quarter of them
        (100 + 10 * DAY_S, [-1, -1, 4]),  # of ten: for three
    ],
)
def test_an_age_is_no_label_before_the_log_could_hold_an_item_of_the_oldest_one(newest, known):
    catalogue = Catalogue(CATALOGUE.categories_VC, torch.tensor([0, 100, 100, newest, 100]))
    labels = labels_of([1, 1, 2, 4], [100, 101, 100 + DAY_S, 100 + 7 * DAY_S], catalogue=catalogue)
    assert labels["item_age"][0, :3, 0].tolist() == known


def test_the_cluster_of_the_next_item_is_a_label_where_it_has_one():
    shape = preset_shape("intent", 4, [], clusters=3)
    catalogue = replace(Catalogue.without_categories([100] * 4), clusters_V=torch.tensor([0, 3, 1, 0, 2]))
    labels = labels_of([2, 1, 3, 0, 4], [100, 200, 300, 400, 500], shape=shape, catalogue=catalogue)
    assert labels["cluster"][0, :, 0].tolist() == [2, -1, -1, 1, -1]
    assert label_names(shape, {})["cluster"] == ("cluster 1", "cluster 2", "cluster 3")
    assert head_sizes(shape)["cluster"] == 3


def test_labels_have_names_in_the_order_of_their_numbers():
    names = label_names(SHAPE, {"action": ("view", "buy"), "categories": ("red", "green", "blue")})
    assert names["action"] == ("view", "buy")
    assert names["category"] == ("red", "green", "blue")
    assert names["novelty"] == ("continue", "discover")
    assert names["item_age"][0] == "under 1 hour"
    assert names["item_age"][-1] == "over 365 days"
    assert {head: len(labels) for head, labels in names.items()} == head_sizes(SHAPE)
