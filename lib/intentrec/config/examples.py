"""The section examples: what is learnt from, and how events become numbers."""

from typing import Annotated, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from intentrec.config.section import Count, Section, Share

_NUMBER = "number({})"  # field name of a column that is read as a number, which it may be beside its own


def column_of_number(field: str) -> str | None:
    """Return which column a numeric field of ``ExamplesConfig.fields`` reads; None for other fields."""
    before, after = _NUMBER.split("{}")
    numeric = field.startswith(before) and field.endswith(after)
    return field.removeprefix(before).removesuffix(after) if numeric else None


class ExamplesConfig(Section):
    """sessions -> vocabulary, examples, histories."""

    history_length: StrictInt = Field(100, ge=2, description="events of a user that the model sees")
    window_days: Annotated[StrictInt, Field(gt=0)] | None = Field(
        None, description="days of history before the run date that are read; null: all"
    )
    half_life_days: Annotated[float, Field(gt=0)] | None = Field(
        None, description="age at which an event counts half as a target of training; null: all count alike"
    )
    weigh_by_value: StrictBool = Field(
        False,
        description="whether an event counts in proportion to its value, as of a duration or an amount, as a target of "
        "training: between 0.1 and 10 times the median one, all 1 in the mean",
    )
    rarity_floor: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="events of rare items count more as targets of training: 1 / root of the item's share of the most "
        "frequent item's events, the root at least this, all 1 in the mean; null: all items count alike",
    )
    event_features: tuple[str, ...] = Field(
        ("action", "categories"), description="action, categories, and names of context columns of the events"
    )
    numeric_features: tuple[str, ...] = Field(
        (),
        description="value, and names of context columns: read as numbers, in 16 bins of as many training events each, "
        "which stay as long as the champion; none while there are fewer than 160 numbers",
    )
    max_user_share: Share = Field(
        0.05, description="of all training events; of a user with more only the latest are targets"
    )
    max_categories: Count = Field(4, description="categories of an item that the model reads, in catalogue order")

    @property
    def fields(self) -> tuple[str, ...]:
        """Name what the model reads of an event, in the order of the columns of ``examples``."""
        return (*self.event_features, *map(_NUMBER.format, self.numeric_features))

    @model_validator(mode="after")
    def _features_have_names_of_their_own(self) -> Self:
        for key, names in (("event_features", self.event_features), ("numeric_features", self.numeric_features)):
            if twice := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"{key}: wanted each name once, {twice[0]!r} is there {names.count(twice[0])} times")
        for name in self.event_features:
            if column_of_number(name) is not None:
                raise ValueError(f"event_features: {name!r} is what a number is called; add it to numeric_features")
        for name in self.numeric_features:
            if name in ("action", "categories"):
                raise ValueError(f"numeric_features: wanted value, or context columns, is {name!r}")
        return self
