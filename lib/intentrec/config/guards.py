"""What protects consumers: when a model is promoted, which lists are published, what a night is watched for."""

from typing import Annotated, Literal

from pydantic import Field, StrictInt

from intentrec.config.section import Count, Section, Share


class GateConfig(Section):
    """When a challenger is promoted."""

    mode: Literal["enforce", "dry_run", "disabled"] = Field(
        "enforce", description="dry_run: judge and record, promote anyway; disabled: promote without judging"
    )
    margin: float = Field(0.05, ge=0, description="relative; how far the lower 90 % bound may fall below the champion")
    segment_margin: Annotated[float, Field(ge=0)] | None = Field(
        0.1,
        description="relative; how far a challenger may be below the champion in a segment of users (by history length "
        "and by users.segment); a fall counts where its whole 90 % interval is below 0; null: segments are measured, "
        "not compared",
    )
    min_segment_users: Count = Field(200, description="segments with fewer judged users are measured, not compared")


class ChecksConfig(Section):
    """What the lists of a night must be like to be published, exit 5; null: not compared.

    Lists that are wrong (too short, an item twice, one that must not be shown) are never published anyway.
    """

    mode: Literal["enforce", "dry_run", "disabled"] = Field(
        "enforce", description="dry_run: warn and publish anyway; disabled: no limit below counts"
    )
    min_users_kept: Share | None = Field(
        0.5, description="of the users who had a list the night before, least share who have one again"
    )
    min_coverage: Share | None = Field(None, description="least share of the eligible items that stand in any list")
    max_gini: Share | None = Field(
        None, description="of how often the eligible items are listed; 0: all equally often, 1: one item alone"
    )
    max_top_share: Share | None = Field(
        None, description="of all places, most that the most listed hundredth of the eligible items may take"
    )
    max_fallback_share: Share | None = Field(
        0.5, description="of all places, most that popularity may fill where a model makes the lists"
    )
    min_overlap: Share | None = Field(
        None, description="least share of a user's items that stood in the list of the night before; lists jump"
    )
    max_overlap: Share | None = Field(None, description="most share of the same; lists stand still")


class MonitoringConfig(Section):
    """What a night is watched for: beyond a limit it warns, under --strict it ends with exit 5; null: not watched."""

    max_quarantine_share: Share | None = Field(0.005, description="of the rows that the night read")
    max_unknown_item_share: Share | None = Field(
        0.5, description="of the last day's events, those with an item that the champion does not know"
    )
    max_catalogue_turnover: Share | None = Field(
        0.5, description="items that came or went since the champion's night, of all items of both"
    )
    max_list_churn: Share | None = Field(
        0.95, description="mean share of a list that is new since the champion's night"
    )
    max_intent_shift: Share | None = Field(
        0.2, description="of any head: Jensen-Shannon divergence (bits) of the users' likeliest labels since then"
    )
    min_feature_coverage: Share | None = Field(
        0.01, description="of the last day's events, least share with a known value, of every event feature"
    )
    max_refusals: Annotated[StrictInt, Field(ge=0)] | None = Field(
        3, description="nights in a row in which the gate refused the challenger"
    )
    mlflow: str | None = Field(
        None, description="tracking URI that runs and metrics are mirrored to; needs the extra intentrec[mlflow]"
    )
