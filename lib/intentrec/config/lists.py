"""What lists are like: their length, what they leave out, who is new, and what changes their order."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from intentrec.config.guards import ChecksConfig
from intentrec.config.section import Count, Section


class SeenConfig(Section):
    """Which items a user's list leaves out."""

    actions: Literal["all"] | tuple[str, ...] = Field("all", description="actions that make an item seen")
    days: Annotated[StrictInt, Field(gt=0)] | None = Field(
        None, description="an item may return after so many days; null: never"
    )


class ColdStartConfig(Section):
    """Lists of users with few events."""

    events: StrictInt = Field(
        0,
        ge=0,
        description="users with fewer get a mix of the model and what is popular in their segment; 0: off",
    )
    shrink_events: float = Field(
        5.0, gt=0, description="events of such a user at which model and popularity count alike"
    )


class PoliciesConfig(Section):
    """What changes the order of the best candidates; each is off at 0, and the order then that of the scores."""

    pool: Count = Field(5, description="candidates per place of a list that a policy chooses from")
    diversity: float = Field(
        0.0, ge=0, description="gamma: how much a list spreads over the intents that the user may have; 0.2 to 2"
    )
    diversity_by_novelty: StrictBool = Field(
        True, description="half as much for users who never try a new category, half more for those who always do"
    )
    popularity_offset: float = Field(
        0.0,
        ge=0,
        le=1,
        description="b: an item with n events in the longest popularity window loses b * ln(n + 1)",
    )
    calibration: float = Field(
        0.0, ge=0, lt=1, description="lambda: how much the list's mix of categories follows that of the user's history"
    )
    new_item_share: float = Field(0.0, ge=0, le=1, description="of the places, for items younger than new_item_days")
    new_item_days: Count = Field(7, description="days since an item was published, or first seen")
    explore_places: StrictInt = Field(
        0, ge=0, description="last places of a list that are drawn at random, with the probability in propensity"
    )
    explore_temperature: float = Field(
        1.0, ge=0.001, description="of the draws: towards 0 they follow the scores, above 1 they are more even"
    )

    @property
    def reorder(self) -> bool:
        """Whether more than the scores orders the best candidates."""
        return bool(self.diversity or self.calibration)

    def new_places(self, k: int) -> int:
        """Return the places of a list of ``k`` for new items: 0.14 of 50 are 7, whatever 0.14 * 50 is in binary."""
        return math.ceil(self.new_item_share * k - 1e-9)

    @property
    def any_on(self) -> bool:
        """Whether any policy is on."""
        return self.reorder or bool(self.popularity_offset or self.new_item_share or self.explore_places)


class RecommendationsConfig(Section):
    """histories, model -> recommendations, user_intents."""

    k: Count = Field(20, description="items of every list")
    active_days: Count = Field(90, description="days; users without an event in them get no list")
    seen: SeenConfig | None = Field(SeenConfig(), description="what is left out; null: items may repeat")
    similar_items: Count = Field(20, description="nearest items kept per item")
    incremental: StrictBool = Field(
        False,
        description="score only users with new events where nothing else changed that lists are made of; popularity "
        "changes every night, so this helps only models whose prior gives it no weight",
    )
    cold_start: ColdStartConfig = ColdStartConfig()
    policies: PoliciesConfig = PoliciesConfig()
    checks: ChecksConfig = ChecksConfig()

    @model_validator(mode="after")
    def _places_suffice(self) -> Self:
        wanted = self.policies.explore_places + self.policies.new_places(self.k)
        if wanted > self.k:
            raise ValueError(f"policies: explore_places and new_item_share take {wanted} places, lists have {self.k}")
        return self
