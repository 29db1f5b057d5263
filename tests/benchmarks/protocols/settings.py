"""What --set can change, and where every protocol begins."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pydantic import Field, StrictBool, StrictInt

from intentrec.config.examples import ExamplesConfig
from intentrec.config.section import Count, Section, Share
from intentrec.config.sections import ModelConfig, TrainingConfig
from intentrec.model.halves import multiplies_halves


class ProtocolConfig(Section):
    """How the data are cut and what is measured."""

    k: tuple[Count, ...] = Field((10, 20), min_length=1, description="lengths of judged lists; by the first is chosen")
    validation_share: Share = Field(0.1, description="session_prefixes, periods: of the latest sessions to learn from")
    validation_lists: Count = Field(4000, description="most lists that the prior and the baselines are fitted on")
    test_lists: Count | None = Field(None, description="most lists of a round of the test; null: all")
    refit: StrictBool = Field(True, description="train the chosen model on through what it was chosen on")
    mix: tuple[str, ...] = Field((), description="sources whose evidence joins the scores; none: popularity alone")
    neighbours: StrictBool = Field(True, description="V-SkNN among the baselines")
    least_sessions: Count = Field(5, description="heads.py: that a known item stands in; ids of fewer learn by heart")
    factors: StrictBool = Field(False, description="leave_one_out: ALS among the baselines")
    popularity_hours: tuple[Count, ...] = Field((1,), description="windows of popularity, where there are times")
    learn_days: Count | None = Field(None, description="hourly, nightly: days that the first model learns from")
    history_sessions: StrictBool = Field(True, description="hourly: a user's earlier sessions are part of his history")
    fit_every: Count = Field(6, description="hourly: windows after which the prior is fitted again")
    replay_hours: Count = Field(3, description="hourly, nightly: newest hours that every update learns from")
    update_batch: Count = Field(1024, description="events_per_batch where a chosen model is trained on")
    update_rate: float = Field(0.5, gt=0, description="of training.learning_rate there")
    rounds: tuple[StrictInt, ...] | None = Field(None, description="numbers of the periods or windows; null: all")
    full_at: tuple[StrictInt, ...] = Field((), description="periods: also trained from nothing, to compare the cost")
    threads: Count = Field(1, description="of torch, in training and scoring")


class QualityConfig(Section):
    """One run."""

    examples: ExamplesConfig = ExamplesConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    protocol: ProtocolConfig = ProtocolConfig()


_ALONE = {"workers": 1, "launcher": "single", "precision": "bfloat16" if multiplies_halves() else "float32"}
_HOURS = [1, 2, 3, 6, 12, 24, 48, 72]
# Batches are small: the 27 steps of an epoch over the first week at 4,096 events each taught next to nothing.
_WEEKS = [24, 168, 720, 1000000]  # the last one: everything
# periods, the longest of all, takes two threads: one week of one epoch 34.6 s, with one thread 41.4 s.
# News has no categories: with 64 clusters the network alone had NDCG@20 0.2602 in five hours before those of the
# ablation, without intents 0.2567; of day 10's twelfth hour 0.2121 and, without clusters, 0.2097.
DEFAULTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "leave_one_out": {
        "examples": {"history_length": 200},
        "training": {"epochs": 60, "patience": 2, "rate_falls": 2, "events_per_batch": 3200, **_ALONE},
        "protocol": {"mix": ["counts_5", "item_knn", "vsknn"], "factors": True},
    },
    "session_prefixes": {
        "examples": {"history_length": 32},
        "training": {"epochs": 10, "patience": 1, "rate_falls": 1, "events_per_batch": 1024, **_ALONE},
        "protocol": {"k": [20, 10], "mix": ["counts_5", "vsknn"], "popularity_hours": _WEEKS},
    },
    "periods": {
        "examples": {"history_length": 32},
        "training": {"epochs": 30, "patience": 2, "warm_epochs": 3, "events_per_batch": 1024, **_ALONE},
        "protocol": {
            "k": [20, 10], "mix": ["counts_5", "vsknn"], "popularity_hours": _WEEKS, "validation_lists": 2000,
            "full_at": [4, 10, 16], "test_lists": 5000, "threads": 2,
        },
    },
    "hourly": {
        "examples": {"history_length": 32},
        "model": {"clusters": 64},
        "training": {"epochs": 3, "patience": 1, "events_per_batch": 2048, **_ALONE},
        "protocol": {
            "k": [20, 10], "mix": ["counts_5", "markov", "vsknn"], "popularity_hours": _HOURS[:5],
            "test_lists": 200, "learn_days": 3,
        },
    },
    "nightly": {
        "examples": {"history_length": 32},
        "model": {"clusters": 64},
        "training": {"epochs": 4, "patience": 1, "events_per_batch": 2048, **_ALONE},
        "protocol": {
            "mix": ["counts_5", "markov", "vsknn"], "popularity_hours": _HOURS, "learn_days": 5, "replay_hours": 24,
        },
    },
}  # fmt: skip


def config_of(protocol: str, preset: str, seed: int, overrides: Sequence[str]) -> QualityConfig:
    """Return the protocol's defaults with the preset, the seed and every ``a.b=c`` over them, the later wins.

    Raises:
        ValueError: an override is no a.b=c, or a key or value is refused.
    """
    values: dict[str, dict[str, Any]] = {name: dict(section) for name, section in DEFAULTS[protocol].items()}
    values.setdefault("model", {})["preset"] = preset
    values["training"]["seed"] = seed
    for override in overrides:
        key, equals, value = override.partition("=")
        section, dot, name = key.partition(".")
        if not equals or not dot:
            raise ValueError(f"--set must be a.b=c, is {override!r}")
        values.setdefault(section, {})[name] = yaml.safe_load(value)
    return QualityConfig.model_validate(values)
