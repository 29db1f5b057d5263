"""ReportData -> what machines watch: a Prometheus text file and a JSON summary. No user is in either."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, time
from pathlib import Path

from intentrec.report.data import ReportData
from intentrec.report.files import put_text

SUMMARY, METRICS = "summary.json", "metrics.prom"
NEWEST = "intentrec.prom"  # of the newest night: what a node exporter's textfile collector reads
_RUN_DATE = "intentrec_run_date_seconds"

_HELP = {
    _RUN_DATE: "End of the run date's calendar day, UTC; lists are stale when it lies far back",
    "intentrec_published": "1: the lists of the run date are published; 0: those of a night before serve",
    "intentrec_serving_info": "1 for the model or baseline that made the lists, and what the gate said",
    "intentrec_warnings": "Warnings and alarms of the night",
    "intentrec_gate_refusals_in_a_row": "Nights whose challenger the gate refused, up to this one",
    "intentrec_stage_seconds": "Wall time of a stage",
    "intentrec_counted": "What a stage counted when it last ran",
    "intentrec_figure": "Figures of the lists and of drift, as in table metrics",
    "intentrec_quality": "Ranking metrics on the held-out users, as in table metrics",
}

Sample = tuple[str, Mapping[str, str], float]


def write_monitoring(data: ReportData, folder: Path, newest: Path) -> None:
    """Write both files of a night, and ``NEWEST`` unless that of a later night stands there.

    Args:
        data: of the night.
        folder: of the night's report.
        newest: folder of NEWEST.

    Raises:
        SetupError: a file cannot be written.
    """
    text = prometheus_text(data)
    put_text(folder / SUMMARY, summary_json(data))
    put_text(folder / METRICS, text)
    if _run_date_of(newest / NEWEST) <= _seconds(data.run_date):
        put_text(newest / NEWEST, text)


def summary_json(data: ReportData) -> str:
    """Return the night as one JSON object: the report without its sample users."""
    values = {key: value for key, value in asdict(data).items() if key != "samples"}
    return json.dumps(values, indent=1, default=str, ensure_ascii=False) + "\n"


def prometheus_text(data: ReportData) -> str:
    """Return the night's gauges in Prometheus' text format 0.0.4, in a fixed order."""
    by_name: dict[str, list[str]] = {name: [] for name in _HELP}
    for name, labels, value in _samples(data):
        by_name[name].append(f"{name}{_labelled(labels)} {value:.17g}")
    lines = [
        line
        for name, samples in by_name.items()
        if samples
        for line in (f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge", *samples)
    ]
    return "\n".join(lines) + "\n"


def _samples(data: ReportData) -> Iterator[Sample]:
    yield _RUN_DATE, {}, _seconds(data.run_date)
    yield "intentrec_published", {}, float(data.published)
    yield "intentrec_serving_info", {"model_id": data.model_id or "", "verdict": data.verdict or ""}, 1.0
    yield "intentrec_warnings", {}, float(len(data.warnings))
    yield "intentrec_gate_refusals_in_a_row", {}, float(data.refusals)
    for stage in data.stages:
        yield "intentrec_stage_seconds", {"stage": stage.stage, "status": stage.status}, stage.seconds
        for key, number in stage.counters:
            yield "intentrec_counted", {"stage": stage.stage, "name": key}, float(number)
    for figure in data.figures:
        yield "intentrec_figure", {"metric": figure.metric, "segment": figure.segment}, figure.value
    for score in data.scores:
        at = {"recommender": score.name, "role": score.role, "metric": score.metric, "k": str(score.k or "")}
        yield "intentrec_quality", at, score.value


def _labelled(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _seconds(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp() + 86_400


def _run_date_of(path: Path) -> float:
    """Return what the file says of its run date; 0 where there is none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{_RUN_DATE} ")), 0.0)
