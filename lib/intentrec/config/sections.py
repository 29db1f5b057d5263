"""Every parameter with its unit, type, default and bounds: declared here and, what is read, in ``inputs``."""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictInt, field_validator, model_validator

from intentrec.config.examples import ExamplesConfig
from intentrec.config.guards import GateConfig, MonitoringConfig
from intentrec.config.inputs import InputConfig
from intentrec.config.keeping import ErasureConfig, MaintenanceConfig
from intentrec.config.lists import RecommendationsConfig
from intentrec.config.section import Count, Section, Share, known_timezone


class AdaptiveGapConfig(Section):
    """A gap that follows the rhythm of the session."""

    factor: Annotated[float, Field(gt=1)] | None = Field(
        None, description="a pause above so many mean pauses of the session so far ends it; null: gap_minutes for all"
    )
    min_minutes: Count = Field(5, description="no pause of this or less ends it; one above gap_minutes always does")


class BotsConfig(Section):
    """What no person does in one session: it is kept and flagged; no training, no popularity; null: rule off."""

    events_per_hour: Annotated[StrictInt, Field(gt=1)] | None = Field(
        600, description="flags bot_events_per_hour: so many events or more within less than 60 minutes"
    )
    events_per_session: Annotated[StrictInt, Field(gt=1)] | None = Field(
        1000, description="flags bot_events_per_session: so many events or more"
    )
    distinct_items: Annotated[StrictInt, Field(gt=1)] | None = Field(
        500, description="flags bot_distinct_items: so many different items or more"
    )
    equal_pauses: Share | None = Field(
        0.9, description="flags bot_equal_pauses: least share of one pause, in whole seconds and not 0, of all pauses"
    )
    one_item: Share | None = Field(0.95, description="flags bot_one_item: least share of one item of the events")
    min_events: Count = Field(100, description="sessions with fewer events are not judged by the two shares")


class SessionsConfig(Section):
    """events -> sessions."""

    gap_minutes: Count = Field(30, description="longest pause inside a session; a pause of exactly this does not split")
    max_hours: Count = Field(24, description="longest session; a longer one is cut")
    max_events: Count = Field(1000, description="most events in a session; more are cut")
    cut_after: tuple[str, ...] = Field((), description="actions that end a session, a purchase say")
    adaptive_gap: AdaptiveGapConfig = AdaptiveGapConfig()
    flag_clock_back: StrictBool = Field(
        False,
        description="flags clock_back: a clock was set back, sequence falls where time rises; for logs whose "
        "sequence counts on through all events of a user",
    )
    bots: BotsConfig = BotsConfig()


class ModelConfig(Section):
    """The network."""

    preset: Literal["intent", "sasrec", "gru4rec", "atten_mixer"] = Field(
        "intent",
        description="intent: the full network; the others read items alone: sasrec by gated attention, gru4rec by "
        "recurrent units, atten_mixer (for short sessions) by the last few items together",
    )
    width: Count = Field(64, description="of the item vectors and layers")
    layers: Count | None = Field(
        None, description="of the item encoder; null: 2, of gru4rec 1; atten_mixer has no encoder"
    )
    intent_layers: Count = Field(1, description="of the intent encoder")
    attention_heads: Count = Field(2, description="of every layer; must divide width")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of activations")
    id_drop: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None,
        description="share of events whose item is read as unknown in training, more where most items of a night are "
        "new; null: 0.1 with preset intent, else 0",
    )
    intent_weight: float = Field(0.3, ge=0, description="lambda: of the sum of intent losses beside the item loss")
    heads: tuple[Literal["action", "category", "novelty", "item_age", "cluster"], ...] | None = Field(
        None,
        description="intents to predict, as far as the log labels them; null: all with preset intent, else none",
    )
    clusters: StrictInt = Field(
        0,
        ge=0,
        description="labels of the head cluster, items that are met together; for logs without categories; 0: none",
    )
    feed_intents: StrictBool = Field(
        True, description="the item is predicted from the intents; false: beside them, on one encoder"
    )
    short_term_days: Annotated[float, Field(ge=0)] | None = Field(
        None, description="reach of the short-term layer; 0: no such layer; null: 7 with preset intent, else 0"
    )
    long_term: StrictBool = Field(
        False, description="read the categories of all events of the history, fading by 1, 7, 30 and 180 days"
    )
    readout: Literal["last", "atten_mixer", "multi_interest"] | None = Field(
        None,
        description="what looks for items: last, the latest event; atten_mixer, the latest 1, 2, ... events together; "
        "multi_interest, several mixtures of all events; null: of the preset",
    )
    levels: Count = Field(7, description="of atten_mixer: most events that look together")
    interests: Count = Field(4, description="of multi_interest: mixtures; an item counts with the best of them")
    condition_on_action: StrictBool = Field(
        False, description="learn which items follow with which action, in logs of several actions"
    )
    target_action: str | None = Field(
        None,
        description="with condition_on_action: the action that lists are made for, a purchase say; null: every action "
        "as likely as the action head says",
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.attention_heads:
            raise ValueError(f"attention_heads {self.attention_heads} must divide width {self.width}")
        return self

    @model_validator(mode="after")
    def _an_action_is_known_or_predicted(self) -> Self:
        predicted = "action" in self.heads if self.heads is not None else self.preset == "intent"
        if self.condition_on_action and self.target_action is None and not predicted:
            raise ValueError("condition_on_action needs a target_action, or the head action")
        return self


class TrainingConfig(Section):
    """examples -> models."""

    workers: Count = Field(2, description="ranks; 1 trains in the job's own process, without Horovod")
    launcher: Literal["spark", "local", "single"] = Field(
        "spark", description="spark: on the executors; local: horovodrun on this machine; single: no Horovod, workers 1"
    )
    epochs: Count = Field(10, description="most passes over the examples")
    warm_epochs: Count | None = Field(
        None, description="most passes where training goes on from the champion's weights; null: as epochs"
    )
    every_days: Count | None = Field(
        None,
        description="days between trainings from nothing, others go on from the champion's weights; null: all do",
    )
    patience: Count = Field(2, description="epochs that are not better on validation before training stops")
    rate_falls: Annotated[StrictInt, Field(ge=0)] = Field(
        0,
        description="times that training goes on from its best weights with a quarter of the learning rate, where it "
        "would have stopped for want of patience",
    )
    stop_by: Literal["loss", "ndcg"] = Field(
        "loss", description="what is better on validation: a lower item loss, or a higher NDCG@10 of the next item"
    )
    time_limit_minutes: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="of each of a night's trainings, which then stops in order and keeps its best weights; what comes "
        "out depends on the machine's speed; null: none",
    )
    learning_rate: float = Field(
        0.001, gt=0, description="of Adam; the batch is that of all ranks together, so it does not change with workers"
    )
    target_days: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="the item to predict is any one of so many days ahead, for lists that serve long; null: the next",
    )
    loss: Literal["full", "sampled", "gbce"] = Field(
        "full",
        description="of the item: full, softmax over all items; sampled, over some drawn ones, for catalogues above "
        "some 50,000; gbce, each drawn item by itself",
    )
    negatives: Count = Field(512, description="items drawn in a step for sampled and gbce, for all its events together")
    negative_draws: Literal["uniform", "mixed"] = Field(
        "uniform",
        description="mixed: half of them as often as an item is a target; more accurate, less of the catalogue",
    )
    gbce_calibration: Share = Field(
        0.75, description="t of gbce; 0: plain binary cross-entropy, 1: probabilities as of all items"
    )
    contrast_weight: float = Field(
        0.0, ge=0, description="of drawing events together that lead to the same item, beside the item loss; 0.1 to 0.3"
    )
    transition_weight: float = Field(
        0.0, ge=0, description="of teaching item vectors which item follows which, beside the item loss; about 0.1"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="in which the network computes while it learns; bfloat16 is faster where the processor multiplies "
        "it (avx512_bf16, amx_bf16), and slower elsewhere; auto: bfloat16 on a GPU that does, else float32",
    )
    sparse_gradients: StrictBool = Field(
        True, description="sampled and gbce move only the item vectors that a step needs; false: all, as Adam does"
    )
    events_per_batch: Count = Field(2048, description="of all ranks together; a batch holds rows of one length bucket")
    seed: StrictInt = Field(1, ge=0, description="of every random number")
    start_timeout_s: Count = Field(120, description="seconds until all ranks must have started")
    stall_timeout_s: Count = Field(120, description="seconds a rank may wait for the others before training fails")
    max_skipped_steps: Count = Field(10, description="steps in a row with a non-finite loss before training fails")

    @model_validator(mode="after")
    def _single_is_one(self) -> Self:
        if self.launcher == "single" and self.workers != 1:
            raise ValueError(f"launcher single needs workers 1, is {self.workers}")
        return self


class EvaluationConfig(Section):
    """models -> metrics, gate_decisions."""

    holdout_days: Count = Field(1, description="last days, each judged by itself, that the challenger has not seen")
    validation_days: Count = Field(1, description="days before them, for early stopping and the prior")
    k: tuple[Count, ...] = Field(
        (10, 20), min_length=1, description="lengths of the lists that are judged; the first decides"
    )
    popularity_hours: tuple[Count, ...] = Field(
        (1, 3, 6, 12, 24, 72, 168, 720), min_length=1, description="windows of the popularity baselines and priors"
    )
    evidence_reach: tuple[Annotated[StrictInt, Field(ge=1, le=6)], ...] = Field(
        (1, 5), description="events later that count as following an item; each becomes evidence that a prior may weigh"
    )
    max_lists: Count = Field(20000, description="lists that are judged, one per user and day, users chosen by hash")
    refit: StrictBool = Field(True, description="train a promoted model on through the held-out days")
    gate: GateConfig = GateConfig()


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
    erasure: ErasureConfig = ErasureConfig()
    maintenance: MaintenanceConfig = MaintenanceConfig()
    monitoring: MonitoringConfig = MonitoringConfig()
    spark: SparkConfig = SparkConfig()

    @field_validator("timezone")
    @classmethod
    def _is_known_zone(cls, timezone: str) -> str:
        return known_timezone(timezone)


def resolved_path(path: str, folder: Path) -> str:
    """Return a path of the file made absolute, free of ``..``: relative ones start at ``folder``; addresses stay."""
    return path if "://" in path else os.path.normpath(folder / path)
