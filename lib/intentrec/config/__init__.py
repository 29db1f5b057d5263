"""The only declaration of parameters: one YAML file -> one typed, frozen Config."""

from intentrec.config.examples import ExamplesConfig, column_of_number
from intentrec.config.guards import ChecksConfig, GateConfig, MonitoringConfig
from intentrec.config.inputs import Action, Derived, EventSource, InputConfig, RulesSource, Snapshot, VolumeConfig
from intentrec.config.keeping import ErasureConfig, MaintenanceConfig
from intentrec.config.lists import ColdStartConfig, PoliciesConfig, RecommendationsConfig, SeenConfig
from intentrec.config.loading import STAGES, Cutoff, config_hash, cutoff_of, is_catalog, load_config, stage_hash
from intentrec.config.sections import (
    AdaptiveGapConfig,
    BotsConfig,
    Config,
    EvaluationConfig,
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
    "ChecksConfig",
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
    "MonitoringConfig",
    "PoliciesConfig",
    "RecommendationsConfig",
    "RulesSource",
    "SeenConfig",
    "SessionsConfig",
    "Snapshot",
    "SparkConfig",
    "TrainingConfig",
    "VolumeConfig",
    "column_of_number",
    "config_hash",
    "cutoff_of",
    "is_catalog",
    "load_config",
    "stage_hash",
]
