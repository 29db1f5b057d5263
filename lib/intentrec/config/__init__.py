"""The only declaration of parameters: one YAML file -> one typed, frozen Config."""

from intentrec.config.inputs import Action, Derived, EventSource, InputConfig, RulesSource, Snapshot, VolumeConfig
from intentrec.config.keeping import ErasureConfig, MaintenanceConfig
from intentrec.config.lists import ColdStartConfig, PoliciesConfig, RecommendationsConfig, SeenConfig
from intentrec.config.loading import STAGES, Cutoff, cutoff_of, is_catalog, load_config, stage_hash
from intentrec.config.sections import (
    AdaptiveGapConfig,
    BotsConfig,
    Config,
    EvaluationConfig,
    ExamplesConfig,
    GateConfig,
    ModelConfig,
    SessionsConfig,
    SparkConfig,
    TrainingConfig,
)

__all__ = [
    "STAGES",
    "Action",
    "AdaptiveGapConfig",
    "BotsConfig",
    "ColdStartConfig",
    "Config",
    "Cutoff",
    "Derived",
    "ErasureConfig",
    "EvaluationConfig",
    "EventSource",
    "ExamplesConfig",
    "GateConfig",
    "InputConfig",
    "MaintenanceConfig",
    "ModelConfig",
    "PoliciesConfig",
    "RecommendationsConfig",
    "RulesSource",
    "SeenConfig",
    "SessionsConfig",
    "Snapshot",
    "SparkConfig",
    "TrainingConfig",
    "VolumeConfig",
    "cutoff_of",
    "is_catalog",
    "load_config",
    "stage_hash",
]
