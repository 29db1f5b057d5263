"""Bounds of the section examples, and which features may be numbers."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from intentrec.config import ExamplesConfig, column_of_number


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("history_length", 1),
        ("window_days", 0),
        ("half_life_days", 0),
        ("weigh_by_value", 1),
        ("rarity_floor", 0),
        ("rarity_floor", 1.01),
        ("max_user_share", 1.01),
        ("max_categories", 0),
    ],
)
def test_values_out_of_bounds_are_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        ExamplesConfig.model_validate({key: value})


def test_the_least_of_every_key_is_accepted() -> None:
    least = {"history_length": 2, "window_days": 1, "half_life_days": 0.01, "rarity_floor": 0.01, "max_categories": 1}
    assert ExamplesConfig.model_validate(least).model_dump(include=set(least)) == least


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"numeric_features": ["action"]}, "wanted value, or context columns, is 'action'"),
        ({"numeric_features": ["price", "categories"]}, "wanted value, or context columns, is 'categories'"),
        ({"numeric_features": ["price", "price"]}, "numeric_features: wanted each name once, 'price' is there 2 times"),
        ({"event_features": ["action", "action"]}, "event_features: wanted each name once, 'action' is there 2 times"),
        ({"event_features": ["number(price)"]}, "is what a number is called; add it to numeric_features"),
    ],
)
def test_features_have_names_of_their_own(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        ExamplesConfig.model_validate(values)


def test_a_context_column_may_be_a_word_and_a_number() -> None:
    features = {"event_features": ["action", "price"], "numeric_features": ["price", "value"]}
    assert ExamplesConfig.model_validate(features).fields == ("action", "price", "number(price)", "number(value)")
    assert [column_of_number(field) for field in ("price", "number(price)")] == [None, "price"]
