"""Every bound, every choice and every rule across keys of the config, reached through the sections themselves."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from intentrec.config import (
    Config,
    EvaluationConfig,
    InputConfig,
    ModelConfig,
    SessionsConfig,
    SparkConfig,
    TrainingConfig,
)
from intentrec.config.sections import resolved_path

SOURCE: dict[str, Any] = {"path": "logs/*.json", "format": "json", "columns": {"user_id": "user", "occurred_at": "ts"}}


def test_a_config_needs_only_a_warehouse_and_one_source() -> None:
    config = Config.model_validate({"warehouse": "w", "input": {"events": SOURCE}})
    assert config.sessions.gap_minutes == 30
    assert config.recommendations.k == 20
    assert config.evaluation.k == (10, 20)
    assert config.evaluation.gate.mode == "enforce"
    assert config.training.workers == 2


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (InputConfig, {"events": SOURCE, "late_days": -1}),
        (InputConfig, {"events": SOURCE, "future_days": -1}),
        (InputConfig, {"events": SOURCE, "max_rejected_share": 1.01}),
        (InputConfig, {"events": SOURCE, "max_rejected_share": -0.01}),
        (SessionsConfig, {"gap_minutes": 0}),
        (SessionsConfig, {"gap_minutes": 2.5}),
        (SessionsConfig, {"max_hours": 0}),
        (SessionsConfig, {"max_events": 0}),
        (ModelConfig, {"preset": "bert"}),
        (ModelConfig, {"dropout": 1.0}),
        (ModelConfig, {"dropout": -0.1}),
        (ModelConfig, {"id_drop": 1.0}),
        (ModelConfig, {"id_drop": -0.1}),
        (ModelConfig, {"intent_weight": -0.1}),
        (ModelConfig, {"layers": 0}),
        (ModelConfig, {"heads": ["mood"]}),
        (ModelConfig, {"short_term_days": -1}),
        (ModelConfig, {"readout": "mean"}),
        (ModelConfig, {"levels": 0}),
        (ModelConfig, {"clusters": -1}),
        (ModelConfig, {"interests": 0}),
        (TrainingConfig, {"loss": "bpr"}),
        (TrainingConfig, {"target_days": 0}),
        (TrainingConfig, {"contrast_weight": -0.1}),
        (TrainingConfig, {"transition_weight": -0.1}),
        (TrainingConfig, {"negatives": 0}),
        (TrainingConfig, {"negative_draws": "popular"}),
        (TrainingConfig, {"gbce_calibration": 1.1}),
        (TrainingConfig, {"workers": 0}),
        (TrainingConfig, {"learning_rate": 0}),
        (TrainingConfig, {"launcher": "mpi"}),
        (TrainingConfig, {"seed": -1}),
        (EvaluationConfig, {"holdout_days": 0}),
        (EvaluationConfig, {"k": []}),
        (EvaluationConfig, {"k": [0]}),
        (EvaluationConfig, {"refit": "yes"}),
        (EvaluationConfig, {"gate": {"mode": "off"}}),
        (EvaluationConfig, {"gate": {"margin": -0.1}}),
        (Config, {"warehouse": "w", "input": {"events": SOURCE}, "timezone": "CEST"}),
        (Config, {"warehouse": "w", "input": {"events": SOURCE}, "day_starts_at": "24:00"}),
        (Config, {"warehouse": "w", "input": {"events": SOURCE}, "day_starts_at": "2:36"}),
    ],
)
def test_a_value_out_of_bounds_is_refused(section: type, values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        section(**values)  # one wrong value, one complaint, apart from the branches of a union
    assert {error["loc"][0] for error in refused.value.errors()} == {list(values)[-1]}


@pytest.mark.parametrize("preset", ["intent", "sasrec", "gru4rec", "atten_mixer"])
def test_every_preset_is_accepted(preset: str) -> None:
    assert ModelConfig.model_validate({"preset": preset}).preset == preset


@pytest.mark.parametrize(
    ("section", "values"),
    [(ModelConfig, {"readout": readout}) for readout in ("last", "atten_mixer", "multi_interest", None)]
    + [(TrainingConfig, {"loss": loss}) for loss in ("full", "sampled", "gbce")]
    + [(TrainingConfig, {"negative_draws": draws}) for draws in ("uniform", "mixed")],
)
def test_every_readout_and_loss_is_accepted(section: type, values: dict[str, Any]) -> None:
    name, value = next(iter(values.items()))
    assert getattr(section(**values), name) == value


@pytest.mark.parametrize(
    ("values", "accepted"),
    [
        ({"preset": "intent"}, True),
        ({"preset": "intent", "heads": ["novelty"]}, False),
        ({"preset": "sasrec"}, False),
        ({"preset": "sasrec", "heads": ["action"]}, True),
        ({"preset": "sasrec", "target_action": "buy"}, True),
    ],
)
def test_a_condition_on_the_action_needs_one_that_is_named_or_predicted(values: dict[str, Any], accepted: bool) -> None:
    if accepted:
        assert ModelConfig.model_validate({"condition_on_action": True, **values}).condition_on_action
        return
    with pytest.raises(ValidationError, match=r"condition_on_action needs a target_action, or the head action"):
        ModelConfig.model_validate({"condition_on_action": True, **values})


@pytest.mark.parametrize(("launcher", "workers"), [("spark", 2), ("local", 2), ("single", 1), ("spark", 1)])
def test_every_launcher_is_accepted(launcher: str, workers: int) -> None:
    assert TrainingConfig.model_validate({"launcher": launcher, "workers": workers}).launcher == launcher


@pytest.mark.parametrize("mode", ["enforce", "dry_run", "disabled"])
def test_every_gate_mode_is_accepted(mode: str) -> None:
    assert EvaluationConfig.model_validate({"gate": {"mode": mode}}).gate.mode == mode


def test_the_single_launcher_wants_one_worker() -> None:
    with pytest.raises(ValidationError, match="launcher single needs workers 1, is 2"):
        TrainingConfig.model_validate({"launcher": "single", "workers": 2})


def test_the_heads_must_divide_the_width() -> None:
    with pytest.raises(ValidationError, match="attention_heads 3 must divide width 64"):
        ModelConfig.model_validate({"attention_heads": 3})


def test_spark_settings_keep_their_types() -> None:
    conf = {
        "spark.ui.enabled": False,
        "spark.sql.shuffle.partitions": 4,
        "spark.memory.fraction": 0.5,
        "spark.driver.memory": "2g",
    }
    assert SparkConfig.model_validate({"conf": conf}).conf == conf


def test_relative_paths_start_at_the_files_folder_and_addresses_stay() -> None:
    folder = Path("/etc/nightly")
    assert resolved_path("logs/*.gz", folder) == "/etc/nightly/logs/*.gz"
    assert resolved_path("/data/x", folder) == "/data/x"
    assert resolved_path("s3://bucket/x", folder) == "s3://bucket/x"
