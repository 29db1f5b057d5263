import pytest

from intentrec.starter.actions import SeenAction, seen_actions, shape


def test_actions_are_counted_weighed_and_asked_for_items():
    actions = ["view"] * 6 + ["search", "search", "buy", "sort"]
    items = ["i1"] * 6 + [None, None, "i2", "by price"]
    assert seen_actions(actions, items) == (
        SeenAction("view", 0.6, 1.0, True),
        SeenAction("search", 0.2, 0.0, False),  # without an item
        SeenAction("buy", 0.1, 5.0, True),
        SeenAction("sort", 0.1, 0.0, False),  # a word where items are i9
    )


@pytest.mark.parametrize(
    ("actions", "items", "weights"),
    [
        (["impression", "impression"], ["i1", "i2"], {"impression": 1.0}),
        (["impression", "search"], ["i1", None], {"impression": 1.0, "search": 0.0}),
        (["impression", "view"], ["i1", "i2"], {"impression": 0.0, "view": 1.0}),
        (["search"], [None], {"search": 0.0}),
    ],
)
def test_where_no_action_counts_those_with_an_item_do(actions, items, weights):
    assert {action.name: action.weight for action in seen_actions(actions, items)} == weights


def test_where_items_have_no_one_shape_any_text_is_an_item():
    found = seen_actions(["view", "view", "like", "like"], ["tea", "b 12", "2-2", "x_y"])
    assert [action.has_item for action in found] == [True, True]


@pytest.mark.parametrize(
    ("text", "kinds"), [("12", "9"), ("i07", "a9"), ("B07-2", "a9-9"), ("3f2a9c", "x"), ("by price", "a a"), ("", "")]
)
def test_a_shape_is_the_kinds_of_characters(text, kinds):
    assert shape(text) == kinds
