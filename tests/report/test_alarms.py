from datetime import date

import pytest

from intentrec.config import MonitoringConfig
from intentrec.report import NightFigure, ReportData, StageRows, alarms

OFF = dict.fromkeys(MonitoringConfig.model_fields)


def night(**values):
    return ReportData(run_id="r", run_date=date(2024, 5, 1), warehouse="/w", **values)


def figure(metric, value=0.5, segment="all"):
    return night(figures=(NightFigure(metric, segment, value),))


ROWS = night(stages=(StageRows("ingest_events", "finished", 1.0, (("rows_quarantined", 1), ("rows_read", 4))),))


@pytest.mark.parametrize(
    ("data", "key", "beyond", "at", "told"),
    [
        (ROWS, "max_quarantine_share", 0.2, 0.25, "quarantine_share is 0.2500, wanted at most 0.2"),
        (figure("unknown_item_share"), "max_unknown_item_share", 0.4, 0.5, "unknown_item_share is 0.5000"),
        (figure("catalogue_turnover"), "max_catalogue_turnover", 0.4, 0.5, "catalogue_turnover is 0.5000"),
        (figure("list_churn"), "max_list_churn", 0.4, 0.5, "list_churn is 0.5000, wanted at most 0.4"),
        (figure("intent_shift", 0.5, "action"), "max_intent_shift", 0.4, 0.5, "intent_shift of action is 0.5000"),
        (figure("feature_coverage", 0.5, "device"), "min_feature_coverage", 0.6, 0.5, "wanted at least 0.6"),
        (night(refusals=3), "max_refusals", 2, 3, "refused the challenger of 3 nights in a row, wanted at most 2"),
    ],
)  # fmt: skip
def test_every_alarm_is_raised_beyond_its_limit_not_at_it_and_not_without_it(data, key, beyond, at, told):
    (alarm,) = alarms(data, MonitoringConfig(**{**OFF, key: beyond}))
    assert alarm.startswith("alarm: ")
    assert told in alarm
    assert f"(monitoring.{key})" in alarm
    assert alarms(data, MonitoringConfig(**{**OFF, key: at})) == ()
    assert alarms(data, MonitoringConfig(**OFF)) == ()


def test_a_night_without_rows_and_figures_raises_none():
    assert alarms(night(), MonitoringConfig()) == ()
    assert alarms(figure("exposure_gini", 1.0), MonitoringConfig()) == ()


def test_what_is_fine_by_default():
    assert alarms(night(refusals=3), MonitoringConfig()) == ()
    assert len(alarms(night(refusals=4), MonitoringConfig())) == 1
