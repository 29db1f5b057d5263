"""The six jobs in order, in one Spark session with one run id; what a scheduler calls."""

import sys
from pathlib import Path

import build_examples
import build_sessions
import evaluate_model
import ingest_events
import train_model
import write_recommendations
from rich.console import Console

from intentrec.keeping.reproducing import reproduce_night
from intentrec.ledger import Run, run_job
from intentrec.report import collect_report, print_summary, write_report

JOBS = (ingest_events, build_sessions, build_examples, train_model, evaluate_model, write_recommendations)


def conclude(run: Run) -> None:
    """Write the report if anything ran, and end with the summary."""
    data = collect_report(run)
    place = Path(str(run.config.artifacts), "reports", run.run_date.isoformat(), "report.html")
    if any(outcome.status == "finished" for outcome in run.outcomes) or not place.exists():
        write_report(data, place)
    print_summary(data, Console())
    run.log(f"report: {place}")


if __name__ == "__main__":
    sys.exit(run_job(*(job.STAGE for job in JOBS), after=conclude, reproduce=reproduce_night))
