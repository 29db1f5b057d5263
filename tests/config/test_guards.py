"""Every bound of the guards, and that each of them can be switched off."""

import pytest
from pydantic import ValidationError

from intentrec.config import ChecksConfig, GateConfig, MonitoringConfig

SHARES = [
    (ChecksConfig, name)
    for name in ("min_users_kept", "min_coverage", "max_gini", "max_top_share", "max_fallback_share", "min_overlap")
]
SHARES += [(ChecksConfig, "max_overlap")]
SHARES += [
    (MonitoringConfig, name)
    for name in (
        "max_quarantine_share", "max_unknown_item_share", "max_catalogue_turnover", "max_list_churn",
        "max_intent_shift", "min_feature_coverage",
    )
]  # fmt: skip


@pytest.mark.parametrize(("section", "name"), SHARES)
def test_a_limit_is_a_share_or_off(section, name):
    for value in (0.0, 1.0, None):
        assert getattr(section(**{name: value}), name) == value
    for value in (-0.01, 1.01):
        with pytest.raises(ValidationError):
            section(**{name: value})


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (GateConfig, {"mode": "off"}),
        (GateConfig, {"margin": -0.01}),
        (GateConfig, {"segment_margin": -0.01}),
        (GateConfig, {"min_segment_users": 0}),
        (ChecksConfig, {"mode": "warn"}),
        (ChecksConfig, {"min_lists": 3}),
        (MonitoringConfig, {"max_refusals": -1}),
        (MonitoringConfig, {"max_refusals": 1.5}),
    ],
)
def test_what_is_out_of_bounds_is_refused(section, values):
    with pytest.raises(ValidationError):
        section(**values)


@pytest.mark.parametrize("section", [GateConfig, ChecksConfig])
@pytest.mark.parametrize("mode", ["enforce", "dry_run", "disabled"])
def test_the_three_modes(section, mode):
    assert section(mode=mode).mode == mode
    assert section().mode == "enforce"


def test_a_gate_without_guard_rails_and_any_number_of_refusals():
    assert GateConfig(segment_margin=None).segment_margin is None
    assert MonitoringConfig(max_refusals=None).max_refusals is None
    assert MonitoringConfig().mlflow is None
