"""Where raw logs and catalogues lie, and how their columns become our fields."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, StrictBool, StrictInt, Tag, field_validator, model_validator

from intentrec.config.section import Count, Section, Share, known_timezone

_EventFields = Literal["user_id", "item_id", "occurred_at", "action", "value", "event_id", "sequence"]
_MAY_BE_CONSTANT = ("action", "value")  # of an event


class Derived(Section):
    """A field that is part of a column, or the same in every row."""

    column: str | None = Field(None, description="your column, or a dotted path into nested JSON")
    pattern: str | None = Field(
        None, description="regular expression (Python's re) of which the field is the group, or the whole match; "
        "no match anywhere in the column: null"
    )  # fmt: skip
    constant: str | None = Field(
        None, min_length=1, description="the field's text in every row, instead of column and pattern"
    )

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if self.constant is not None and self.column is None and self.pattern is None:
            return self
        if self.constant is not None or self.column is None or self.pattern is None:
            raise ValueError("must have either column and pattern, or constant alone")
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r} is no regular expression: {error}") from None
        if groups > 1:
            raise ValueError(f"pattern {self.pattern!r} has {groups} groups, wanted at most one; (?:...) is no group")
        return self


def _form_of(value: Any) -> str:
    if isinstance(value, (dict, Derived)):
        return "derived"
    return "list" if isinstance(value, (list, tuple)) else "column"


_Column = Annotated[str, Tag("column")]
_Derived = Annotated[Derived, Tag("derived")]
_Columns = Annotated[tuple[str, ...], Tag("list")]


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, (str, dict)) else value


class EventSource(Section):
    """One kind of raw log files."""

    path: str = Field(description="glob of the files; {run_date} stands for each of the last lookback_days dates")
    format: Literal["json", "csv", "parquet", "delta"] = Field(description="json means one object per line")
    columns: dict[_EventFields, Annotated[_Column | _Columns | _Derived, Discriminator(_form_of)]] = Field(
        description="our field: your column, or a dotted path into nested JSON; or {column, pattern}: a part of it, "
        "what the regular expression's group matches; or {constant}, for action and value; event_id may be a list of "
        "columns; action, value, event_id and sequence may be left out, item_id where no action has one"
    )
    time_unit: Literal["s", "ms", "us", "ns", "iso"] = Field("iso", description="of occurred_at")
    timezone: str | None = Field(None, description="of iso times without an offset; without it they are refused")
    context: tuple[str, ...] = Field((), description="further columns to keep with the event")
    options: dict[str, str | StrictBool | StrictInt] = Field(
        {}, description="of the format: sep, header, quote, escape, encoding (csv)"
    )
    lookback_days: Count = Field(3, description="days; only where {run_date} stands in path")

    @field_validator("columns")
    @classmethod
    def _has_required(cls, columns: dict[str, Any]) -> dict[str, Any]:
        missing = {"user_id", "occurred_at"} - columns.keys()
        if missing:
            raise ValueError(f"must map {', '.join(sorted(missing))}")
        lists = sorted(name for name, column in columns.items() if isinstance(column, tuple) and name != "event_id")
        if lists:
            raise ValueError(f"only event_id may be a list of columns, not {', '.join(lists)}")
        constants = {
            name for name, column in columns.items() if isinstance(column, Derived) and column.constant is not None
        }
        if constants - set(_MAY_BE_CONSTANT):
            wrong = ", ".join(sorted(constants - set(_MAY_BE_CONSTANT)))
            raise ValueError(f"only {' and '.join(_MAY_BE_CONSTANT)} may be constant, not {wrong}")
        return columns

    @field_validator("timezone")
    @classmethod
    def _is_known_zone(cls, timezone: str | None) -> str | None:
        return timezone if timezone is None else known_timezone(timezone)


class Snapshot(Section):
    """Files that hold the whole catalogue of items or users."""

    path: str = Field(description="glob of the files; {run_date} is replaced by the run date")
    format: Literal["json", "csv", "parquet", "delta"] = Field(description="json means one object per line")
    columns: dict[str, Annotated[_Column | _Derived, Discriminator(_form_of)]] = Field(
        description="items: item_id, title, categories, published_at, available; users: user_id, segment; "
        "any other name is kept in attributes; {column, pattern} and {constant} as for events"
    )
    category_separator: str | None = Field(
        None, description="between the categories of one text; null: a single category"
    )
    time_unit: Literal["s", "ms", "us", "ns", "iso"] = Field(
        "iso", description="of published_at; iso may be a year or a month"
    )
    options: dict[str, str | StrictBool | StrictInt] = Field({}, description="of the format, as for events")


_RuleFields = Literal[
    "rule", "kind", "item_field", "item_value", "user_field", "user_value", "action", "amount", "days", "starts_at",
    "ends_at",
]  # fmt: skip


class RulesSource(Section):
    """Files that hold all rules of one kind or of several: who may be shown what, when, and how much of it."""

    path: str = Field(description="glob of the files; {run_date} is replaced by the run date")
    format: Literal["json", "csv", "parquet", "delta"] = Field(description="json means one object per line")
    columns: dict[_RuleFields, Annotated[_Column | _Derived, Discriminator(_form_of)]] = Field(
        {}, description="as for items; columns of the table rules; empty: the files name all of them as the table does"
    )
    time_unit: Literal["s", "ms", "us", "ns", "iso"] = Field(
        "iso", description="of starts_at and ends_at; iso may be a year or a month"
    )
    options: dict[str, str | StrictBool | StrictInt] = Field({}, description="of the format, as for events")

    @field_validator("columns")
    @classmethod
    def _has_required(cls, columns: dict[str, Any]) -> dict[str, Any]:
        missing = {"rule", "kind"} - columns.keys()
        if columns and missing:
            raise ValueError(f"must map {', '.join(sorted(missing))}")
        return columns


class Action(Section):
    """What an action counts."""

    weight: float = Field(1.0, ge=0, description="of the event as a training target; 0: context only")
    has_item: StrictBool = Field(
        True, description="false: its events come without an item; of their weight only the intent action learns"
    )


def _as_action(value: Any) -> Any:
    return {"weight": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class VolumeConfig(Section):
    """Rows that no night has read before, a day, against the nights before; a night far off is refused, exit 5."""

    max_z: Annotated[float, Field(gt=0)] | None = Field(
        4.0, description="deviations of the logarithm, of which one is at least 0.4; null: any night is accepted"
    )
    nights: Count = Field(14, description="newest nights to compare with; the first of all is left out")
    min_nights: Count = Field(7, description="with fewer nights before it, a night is not judged")


class InputConfig(Section):
    """raw logs -> events, items, users."""

    events: Annotated[tuple[EventSource, ...], BeforeValidator(_as_tuple)] = Field(
        min_length=1, description="one or more sources of raw logs"
    )
    items: Snapshot | None = Field(None, description="the catalogue; null: items are what the logs name")
    users: Snapshot | None = Field(None, description="segments and attributes; null: no segments")
    rules: Annotated[tuple[RulesSource, ...], BeforeValidator(_as_tuple)] = Field(
        (), description="one or more sources of rules; what they rule out is never recommended; empty: no rules"
    )
    actions: dict[str, Annotated[Action, BeforeValidator(_as_action)]] | None = Field(
        None,
        description="action: weight, or {weight, has_item}; an action that is not listed is rejected; "
        "null: every action counts 1",
    )
    late_days: StrictInt = Field(3, ge=0, description="days behind the newest run date; older events are rejected")
    future_days: StrictInt = Field(1, ge=0, description="days ahead of the newest run date; later events are rejected")
    max_rejected_share: Share = Field(0.01, description="of the rows of a run; above it nothing is published, exit 3")
    max_rejected_share_of_file: Share = Field(
        0.5,
        description="the same for the rows of one file; rows that come too early or too late, files that cannot be "
        "unpacked, and up to 9 rows of a file count for the run alone",
    )
    max_items_gone_share: Share = Field(
        0.5,
        description="of the items that could be had the night before; if more are gone nothing is published, exit 3",
    )
    max_files_gone_share: Share = Field(
        0.0, description="of the files read before; a rebuild that finds fewer would lose their events: exit 3"
    )
    volume: VolumeConfig = VolumeConfig()
