from typing import Any

import pytest
from pydantic import ValidationError

from intentrec.config import ColdStartConfig, PoliciesConfig, RecommendationsConfig


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (RecommendationsConfig, {"k": 0}),
        (RecommendationsConfig, {"seen": {"actions": "none"}}),
        (RecommendationsConfig, {"seen": {"days": 0}}),
        (ColdStartConfig, {"events": -1}),
        (ColdStartConfig, {"shrink_events": 0}),
        (PoliciesConfig, {"pool": 0}),
        (PoliciesConfig, {"diversity": -0.1}),
        (PoliciesConfig, {"popularity_offset": 1.1}),
        (PoliciesConfig, {"popularity_offset": -0.1}),
        (PoliciesConfig, {"calibration": 1}),
        (PoliciesConfig, {"calibration": -0.1}),
        (PoliciesConfig, {"new_item_share": 1.1}),
        (PoliciesConfig, {"new_item_share": -0.1}),
        (PoliciesConfig, {"new_item_days": 0}),
        (PoliciesConfig, {"explore_places": -1}),
        (PoliciesConfig, {"explore_temperature": 0.0009}),  # 1e-308 would make every propensity nan
    ],
)
def test_a_value_out_of_bounds_is_refused(section: type, values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        section(**values)
    assert {error["loc"][0] for error in refused.value.errors()} == set(values)


@pytest.mark.parametrize("seen", [None, {"actions": "all", "days": None}, {"actions": ["buy"], "days": 30}])
def test_seen_may_be_switched_off_or_narrowed(seen: Any) -> None:
    read = RecommendationsConfig.model_validate({"seen": seen}).seen
    assert read is None if seen is None else read is not None and read.days == seen["days"]


@pytest.mark.parametrize(("share", "k", "places"), [(0.14, 50, 7), (0.07, 100, 7), (0.5, 5, 3), (0.0, 9, 0)])
def test_places_for_new_items_are_rounded_up_from_what_is_written(share: float, k: int, places: int) -> None:
    assert PoliciesConfig(new_item_share=share).new_places(k) == places


@pytest.mark.parametrize(("places", "accepted"), [(2, True), (3, False)])
def test_drawn_and_new_items_must_fit_into_a_list(places: int, accepted: bool) -> None:
    values = {"k": 5, "policies": {"new_item_share": 0.5, "explore_places": places}}  # 2.5 places are 3
    if accepted:
        assert RecommendationsConfig.model_validate(values).policies.explore_places == places
        return
    with pytest.raises(ValidationError, match="explore_places and new_item_share take 6 places, lists have 5"):
        RecommendationsConfig.model_validate(values)


@pytest.mark.parametrize(
    ("values", "any_on", "reorder"),
    [
        ({}, False, False),
        ({"diversity": 0.1}, True, True),
        ({"calibration": 0.1}, True, True),
        ({"popularity_offset": 0.1}, True, False),
        ({"new_item_share": 0.1}, True, False),
        ({"explore_places": 1}, True, False),
    ],
)
def test_all_policies_are_off_unless_asked_for(values: dict[str, Any], any_on: bool, reorder: bool) -> None:
    policies = PoliciesConfig.model_validate(values)
    assert (policies.any_on, policies.reorder) == (any_on, reorder)
