"""The section examples: what is learnt from, and how events become numbers."""

from typing import Annotated, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from intentrec.config.section import Count, Section, Share


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
        "training: between 0.1 and 10 times the median one",
    )
    rarity_floor: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="events of rare items count more as targets: 1 / root of the item's share of the most frequent "
        "item's events, the root at least this, all 1 in the mean and at most 10; null: all items count alike",
    )
    event_features: tuple[str, ...] = Field(
        ("action", "categories"), description="action, categories, and names of context columns of the events"
    )
    numeric_features: tuple[str, ...] = Field(
        (),
        description="those of event_features that are read as numbers, in 16 bins of as many events each; value is the "
        "column that input.columns names so",
    )
    max_user_share: Share = Field(
        0.05, description="of all training events; of a user with more only the latest are targets"
    )
    max_categories: Count = Field(4, description="categories of an item that the model reads, in catalogue order")

    @model_validator(mode="after")
    def _numbers_are_features(self) -> Self:
        for name in self.numeric_features:
            if name not in self.event_features or name in ("action", "categories"):
                raise ValueError(
                    f"numeric_features: wanted context columns, or value, that event_features names, is {name!r}"
                )
        return self
