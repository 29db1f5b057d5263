"""Runs and locks: from a job's flags to its rows in ``runs`` and its exit code."""

from intentrec.ledger.champion import Champion, champion_fingerprint, champion_of, model_row
from intentrec.ledger.command import run_job
from intentrec.ledger.run import Command, Outcome, Run, Stage, open_run

__all__ = [
    "Champion",
    "Command",
    "Outcome",
    "Run",
    "Stage",
    "champion_fingerprint",
    "champion_of",
    "model_row",
    "open_run",
    "run_job",
]
