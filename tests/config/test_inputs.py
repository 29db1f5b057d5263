"""Every choice and every rule of what is read."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from intentrec.config import Action, Derived, EventSource, InputConfig

SOURCE: dict[str, Any] = {"path": "logs/*.json", "format": "json", "columns": {"user_id": "user", "occurred_at": "ts"}}


def test_one_source_may_stand_without_a_list() -> None:
    assert InputConfig.model_validate({"events": SOURCE}) == InputConfig.model_validate({"events": [SOURCE]})


def test_no_source_at_all_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        InputConfig.model_validate({"events": []})


@pytest.mark.parametrize("format_", ["json", "csv", "parquet", "delta"])
@pytest.mark.parametrize("time_unit", ["s", "ms", "us", "ns", "iso"])
def test_every_format_and_time_unit_is_accepted(format_: str, time_unit: str) -> None:
    source = EventSource.model_validate({**SOURCE, "format": format_, "time_unit": time_unit})
    assert (source.format, source.time_unit) == (format_, time_unit)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "xml"}, "'json', 'csv', 'parquet' or 'delta'"),
        ({"time_unit": "m"}, "'s', 'ms', 'us', 'ns' or 'iso'"),
        ({"columns": {"user_id": "user"}}, "must map occurred_at"),
        ({"columns": {}}, "must map occurred_at, user_id"),
        (
            {"columns": {**SOURCE["columns"], "user_id": ["a", "b"]}},
            "only event_id may be a list of columns, not user_id",
        ),
        ({"columns": {**SOURCE["columns"], "price": "p"}}, "price"),
        ({"columns": {**SOURCE["columns"], "item_id": {"constant": "tea"}}}, "only action and value may be constant"),
        (
            {"columns": {**SOURCE["columns"], "action": {"column": "a"}}},
            "must have either column and pattern, or const",
        ),
        ({"columns": {**SOURCE["columns"], "action": {"pattern": "a"}}}, "must have either column and pattern, or con"),
        ({"columns": {**SOURCE["columns"], "action": {}}}, "must have either column and pattern, or constant alone"),
        ({"columns": {**SOURCE["columns"], "action": {"constant": "a", "column": "b"}}}, "must have either column and"),
        ({"columns": {**SOURCE["columns"], "action": {"constant": ""}}}, "at least 1 character"),
        ({"columns": {**SOURCE["columns"], "action": {"column": "a", "pattern": "("}}}, "'(' is no regular expression"),
        ({"columns": {**SOURCE["columns"], "action": {"column": "a", "pattern": "(a)(b)"}}}, "has 2 groups, wanted at"),
        ({"columns": {**SOURCE["columns"], "action": {"column": "a", "patern": "b"}}}, "Extra inputs"),
        ({"timezone": "Mars/Olympus"}, "'Mars/Olympus' is no IANA time zone, wanted a name such as Europe/Berlin"),
        ({"lookback_days": 0}, "greater than 0"),
        ({"lookback_days": True}, "valid integer"),
        ({"glob": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_source_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        EventSource.model_validate({**SOURCE, **change})


def test_an_event_id_may_be_a_list_of_columns() -> None:
    source = EventSource.model_validate({**SOURCE, "columns": {**SOURCE["columns"], "event_id": ["session", "step"]}})
    assert source.columns["event_id"] == ("session", "step")


def test_a_field_may_be_a_part_of_a_column_or_constant() -> None:
    derived = {"item_id": {"column": "url", "pattern": "/item/(\\d+)"}, "action": {"constant": "view"}}
    source = EventSource.model_validate({**SOURCE, "columns": {**SOURCE["columns"], **derived}})
    assert source.columns["item_id"] == Derived(column="url", pattern="/item/(\\d+)")
    assert source.columns["action"] == Derived(constant="view")


def test_an_action_is_a_weight_or_a_section() -> None:
    actions = {"view": 1.0, "buy": {"weight": 5.0}, "search": {"weight": 0.5, "has_item": False}}
    read = InputConfig.model_validate({"events": SOURCE, "actions": actions})
    assert read.actions == {
        "view": Action(weight=1.0),
        "buy": Action(weight=5.0),
        "search": Action(weight=0.5, has_item=False),
    }


@pytest.mark.parametrize("action", [-1.0, True, {"weight": -0.5}, {"has_item": 1}, "view"])
def test_a_wrong_action_is_refused(action: Any) -> None:
    with pytest.raises(ValidationError):
        InputConfig.model_validate({"events": SOURCE, "actions": {"view": action}})
