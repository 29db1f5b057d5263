"""ReportData -> what a person must look at, by the limits of ``monitoring``."""

from collections.abc import Iterator

from intentrec.config import MonitoringConfig
from intentrec.report.data import ReportData

_INGEST = "ingest_events"


def alarms(data: ReportData, limits: MonitoringConfig) -> tuple[str, ...]:
    """Name every figure beyond its limit, and by how much; one at its limit is no alarm."""
    found = (*_of_rows(data, limits), *_of_figures(data, limits), *_of_gate(data, limits))
    return tuple(f"alarm: {text}" for text in found)


def _of_rows(data: ReportData, limits: MonitoringConfig) -> Iterator[str]:
    counted = next((dict(stage.counters) for stage in data.stages if stage.stage == _INGEST), {})
    read, rejected = counted.get("rows_read", 0), counted.get("rows_quarantined", 0)
    if read and limits.max_quarantine_share is not None and rejected / read > limits.max_quarantine_share:
        yield _beyond("quarantine_share", rejected / read, "most", "max_quarantine_share", limits.max_quarantine_share)


def _of_figures(data: ReportData, limits: MonitoringConfig) -> Iterator[str]:
    most = {
        "unknown_item_share": ("max_unknown_item_share", limits.max_unknown_item_share),
        "catalogue_turnover": ("max_catalogue_turnover", limits.max_catalogue_turnover),
        "list_churn": ("max_list_churn", limits.max_list_churn),
        "intent_shift": ("max_intent_shift", limits.max_intent_shift),
    }
    for figure in data.figures:
        name = figure.metric if figure.segment == "all" else f"{figure.metric} of {figure.segment}"
        key, limit = most.get(figure.metric, ("", None))
        if limit is not None and figure.value > limit:
            yield _beyond(name, figure.value, "most", key, limit)
        least = limits.min_feature_coverage
        if figure.metric == "feature_coverage" and least is not None and figure.value < least:
            yield _beyond(name, figure.value, "least", "min_feature_coverage", least)


def _of_gate(data: ReportData, limits: MonitoringConfig) -> Iterator[str]:
    if limits.max_refusals is not None and data.refusals > limits.max_refusals:
        yield (
            f"the gate has refused the challenger of {data.refusals} nights in a row, wanted at most "
            f"{limits.max_refusals} (monitoring.max_refusals)"
        )


def _beyond(name: str, value: float, bound: str, key: str, limit: float) -> str:
    return f"{name} is {value:.4f}, wanted at {bound} {limit:g} (monitoring.{key})"
