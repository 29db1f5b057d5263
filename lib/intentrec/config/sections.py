"""Every parameter with its unit, type, default and bounds: declared here and nowhere else."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    field_validator,
    model_validator,
)

_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[StrictInt, Field(gt=0)]
_EventFields = Literal["user_id", "item_id", "occurred_at", "action", "value", "event_id", "sequence"]


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, (str, dict)) else value


class Section(BaseModel):
    """A part of the file: an unknown key is an error, a loaded value never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EventSource(Section):
    """One kind of raw log files."""

    path: str = Field(description="glob of the files; {run_date} stands for each of the last lookback_days dates")
    format: Literal["json", "csv", "parquet", "delta"] = Field(description="json means one object per line")
    columns: dict[_EventFields, str | tuple[str, ...]] = Field(
        description="our field: your column, or a dotted path into nested JSON; event_id may be a list of columns; "
        "action, value, event_id and sequence may be left out, item_id where no action has one"
    )
    time_unit: Literal["s", "ms", "us", "ns", "iso"] = Field("iso", description="of occurred_at")
    timezone: str | None = Field(None, description="of iso times without an offset; without it they are refused")
    context: tuple[str, ...] = Field((), description="further columns to keep with the event")
    options: dict[str, str | StrictBool | StrictInt] = Field(
        {}, description="of the format: sep, header, quote, escape, encoding (csv)"
    )
    lookback_days: _Count = Field(3, description="days; only where {run_date} stands in path")

    @field_validator("columns")
    @classmethod
    def _has_required(cls, columns: dict[str, Any]) -> dict[str, Any]:
        missing = {"user_id", "occurred_at"} - columns.keys()
        if missing:
            raise ValueError(f"must map {', '.join(sorted(missing))}")
        lists = sorted(name for name, column in columns.items() if isinstance(column, tuple) and name != "event_id")
        if lists:
            raise ValueError(f"only event_id may be a list of columns, not {', '.join(lists)}")
        return columns

    @field_validator("timezone")
    @classmethod
    def _is_known_zone(cls, timezone: str | None) -> str | None:
        return timezone if timezone is None else known_timezone(timezone)


class Snapshot(Section):
    """Files that hold the whole catalogue of items or users."""

    path: str = Field(description="glob of the files; {run_date} is replaced by the run date")
    format: Literal["json", "csv", "parquet", "delta"] = Field(description="json means one object per line")
    columns: dict[str, str] = Field(
        description="items: item_id, title, categories, published_at, available; users: user_id, segment; "
        "any other name is kept in attributes"
    )
    category_separator: str | None = Field(
        None, description="between the categories of one text; null: a single category"
    )
    time_unit: Literal["s", "ms", "us", "ns", "iso"] = Field("iso", description="of published_at")
    options: dict[str, str | StrictBool | StrictInt] = Field({}, description="of the format, as for events")


class Action(Section):
    """What an action counts."""

    weight: float = Field(1.0, ge=0, description="of the event as a training target; 0: context only")
    has_item: StrictBool = Field(True, description="false: events of this action come without an item")


def _as_action(value: Any) -> Any:
    return {"weight": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class InputConfig(Section):
    """raw logs -> events, items, users."""

    events: Annotated[tuple[EventSource, ...], BeforeValidator(_as_tuple)] = Field(
        min_length=1, description="one or more sources of raw logs"
    )
    items: Snapshot | None = Field(None, description="the catalogue; null: items are what the logs name")
    users: Snapshot | None = Field(None, description="segments and attributes; null: no segments")
    actions: dict[str, Annotated[Action, BeforeValidator(_as_action)]] | None = Field(
        None,
        description="action: weight, or {weight, has_item}; an action that is not listed is rejected; "
        "null: every action counts 1",
    )
    late_days: StrictInt = Field(3, ge=0, description="days behind the newest run date; older events are rejected")
    future_days: StrictInt = Field(1, ge=0, description="days ahead of the newest run date; later events are rejected")
    max_rejected_share: _Share = Field(0.01, description="of the rows of a run; above it nothing is published, exit 3")


class SessionsConfig(Section):
    """events -> sessions."""

    gap_minutes: _Count = Field(
        30, description="longest pause inside a session; a pause of exactly this does not split"
    )
    max_hours: _Count = Field(24, description="longest session; a longer one is cut")
    max_events: _Count = Field(1000, description="most events in a session; more are cut")


class ExamplesConfig(Section):
    """sessions -> vocabulary, examples, histories."""

    history_length: StrictInt = Field(100, ge=2, description="events of a user that the model sees")
    window_days: Annotated[StrictInt, Field(gt=0)] | None = Field(
        None, description="days of history before the run date that are read; null: all"
    )
    event_features: tuple[str, ...] = Field(
        ("action", "categories"), description="action, categories, and names of context columns of the events"
    )
    max_categories: _Count = Field(4, description="categories of an item that the model reads, in catalogue order")


class ModelConfig(Section):
    """The network."""

    preset: Literal["intent", "sasrec"] = Field("intent", description="intent: the full network; sasrec: no intents")
    width: _Count = Field(64, description="of the item vectors and layers")
    layers: _Count = Field(2, description="of the item encoder")
    intent_layers: _Count = Field(1, description="of the intent encoder")
    attention_heads: _Count = Field(2, description="of every layer; must divide width")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of activations")
    intent_weight: float = Field(0.3, ge=0, description="lambda: of the sum of intent losses beside the item loss")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.attention_heads:
            raise ValueError(f"attention_heads {self.attention_heads} must divide width {self.width}")
        return self


class TrainingConfig(Section):
    """examples -> models."""

    workers: _Count = Field(2, description="ranks; 1 trains in the job's own process, without Horovod")
    launcher: Literal["spark", "local", "single"] = Field(
        "spark", description="spark: on the executors; local: horovodrun on this machine; single: no Horovod, workers 1"
    )
    epochs: _Count = Field(10, description="most passes over the examples")
    warm_epochs: _Count | None = Field(
        None, description="most passes where training goes on from the champion's weights; null: as epochs"
    )
    patience: _Count = Field(2, description="epochs without a better validation loss before training stops")
    learning_rate: float = Field(
        0.001, gt=0, description="of Adam; the batch is that of all ranks together, so it does not change with workers"
    )
    events_per_batch: _Count = Field(2048, description="of all ranks together; a batch holds rows of one length bucket")
    seed: StrictInt = Field(1, ge=0, description="of every random number")
    start_timeout_s: _Count = Field(120, description="seconds until all ranks must have started")
    stall_timeout_s: _Count = Field(120, description="seconds a rank may wait for the others before training fails")
    max_skipped_steps: _Count = Field(10, description="steps in a row with a non-finite loss before training fails")

    @model_validator(mode="after")
    def _single_is_one(self) -> Self:
        if self.launcher == "single" and self.workers != 1:
            raise ValueError(f"launcher single needs workers 1, is {self.workers}")
        return self


class GateConfig(Section):
    """When a challenger is promoted."""

    mode: Literal["enforce", "dry_run", "disabled"] = Field(
        "enforce", description="dry_run: judge and record, promote anyway; disabled: promote without judging"
    )
    margin: float = Field(0.05, ge=0, description="relative; how far the lower 90 % bound may fall below the champion")


class EvaluationConfig(Section):
    """models -> metrics, gate_decisions."""

    holdout_days: _Count = Field(1, description="last days, each judged by itself, that the challenger has not seen")
    validation_days: _Count = Field(1, description="days before them, for early stopping and the prior")
    k: tuple[_Count, ...] = Field(
        (10, 20), min_length=1, description="lengths of the lists that are judged; the first decides"
    )
    popularity_hours: tuple[_Count, ...] = Field(
        (1, 3, 6, 12, 24, 72, 168, 720), min_length=1, description="windows of the popularity baselines and priors"
    )
    max_lists: _Count = Field(20000, description="lists that are judged, one per user and day, users chosen by hash")
    refit: StrictBool = Field(True, description="train a promoted model on through the held-out days")
    gate: GateConfig = GateConfig()


class SeenConfig(Section):
    """Which items a user's list leaves out."""

    actions: Literal["all"] | tuple[str, ...] = Field("all", description="actions that make an item seen")
    days: Annotated[StrictInt, Field(gt=0)] | None = Field(
        None, description="an item may return after so many days; null: never"
    )


class RecommendationsConfig(Section):
    """histories, model -> recommendations, user_intents."""

    k: _Count = Field(20, description="items of every list")
    active_days: _Count = Field(90, description="days; users without an event in them get no list")
    seen: SeenConfig | None = Field(SeenConfig(), description="what is left out; null: items may repeat")
    similar_items: _Count = Field(20, description="nearest items kept per item")


class SparkConfig(Section):
    """The Spark session; an active one is used as it is."""

    master: str = Field("local[*]", description="used only where no session is active and spark-submit gives none")
    conf: dict[str, str | StrictBool | StrictInt | float] = Field({}, description="further settings")
    jars: str | None = Field(None, description="folder with Delta's jars, for closed networks; null: fetched once")


class Config(Section):
    """The whole file; one section per stage."""

    warehouse: str = Field(description="folder, or catalog.schema, that holds the tables")
    artifacts: str | None = Field(
        None, description="folder of model files and reports; null: inside the warehouse folder"
    )
    timezone: str = Field("UTC", description="in which a run date begins and ends")
    day_starts_at: str = Field(
        "00:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="HH:MM in that time zone, quoted"
    )
    input: InputConfig
    sessions: SessionsConfig = SessionsConfig()
    examples: ExamplesConfig = ExamplesConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    recommendations: RecommendationsConfig = RecommendationsConfig()
    spark: SparkConfig = SparkConfig()

    @field_validator("timezone")
    @classmethod
    def _is_known_zone(cls, timezone: str) -> str:
        return known_timezone(timezone)


def known_timezone(name: str) -> str:
    """Return the name of an IANA time zone.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no IANA time zone, wanted a name such as Europe/Berlin")
    return ZoneInfo(name).key


def resolved_path(path: str, folder: Path) -> str:
    """Return a path of the file made absolute, free of ``..``: relative ones start at ``folder``; addresses stay."""
    return path if "://" in path else os.path.normpath(folder / path)
