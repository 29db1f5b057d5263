"""The six jobs in order, in one Spark session with one run id; what a scheduler calls."""

import sys
from dataclasses import replace
from pathlib import Path

import build_examples
import build_sessions
import evaluate_model
import ingest_events
import train_model
import write_recommendations
from rich.console import Console

from intentrec.errors import SetupError
from intentrec.keeping.reproducing import reproduce_night
from intentrec.ledger import Run, run_job
from intentrec.report import (
    ReportData,
    alarms,
    collect_report,
    mirror_night,
    print_summary,
    write_monitoring,
    write_report,
)

JOBS = (ingest_events, build_sessions, build_examples, train_model, evaluate_model, write_recommendations)


def conclude(run: Run) -> None:
    """Write the report and what machines watch if anything ran, raise alarms, and end with the summary."""
    data, limits = collect_report(run), run.config.monitoring
    raised = alarms(data, limits)
    for alarm in raised:
        run.refuse(alarm)
    data = replace(data, warnings=(*data.warnings, *raised))
    folder = Path(str(run.config.artifacts), "reports", run.run_date.isoformat())
    if any(outcome.status != "skipped" for outcome in run.outcomes) or not (folder / "report.html").exists():
        write_monitoring(data, folder, Path(str(run.config.artifacts), "monitoring"))
        _mirror(run, data)
        write_report(data, folder / "report.html")  # last: while it is missing, all of it is written again
    print_summary(data, Console())
    run.log(f"report: {folder / 'report.html'}")


def _mirror(run: Run, data: ReportData) -> None:
    """Tell MLflow; a store that fails stops no night."""
    uri = run.config.monitoring.mlflow
    if uri is not None:
        try:
            mirror_night(data, uri)
        except SetupError as error:
            run.warn(str(error))


if __name__ == "__main__":
    sys.exit(run_job(*(job.STAGE for job in JOBS), after=conclude, reproduce=reproduce_night))
