"""Bounds of the section examples, and which features may be numbers."""

from typing import Any

import pytest
from pydantic import ValidationError

from intentrec.config import ExamplesConfig


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


@pytest.mark.parametrize("name", ["price", "action", "categories"])
def test_what_is_read_as_a_number_is_a_feature(name: str) -> None:
    with pytest.raises(ValidationError, match=f"wanted context columns, or value, .*, is '{name}'"):
        ExamplesConfig.model_validate({"numeric_features": [name]})


def test_context_columns_and_the_value_may_be_numbers() -> None:
    features = {"event_features": ["action", "price", "value"], "numeric_features": ["price", "value"]}
    assert ExamplesConfig.model_validate(features).numeric_features == ("price", "value")
