"""Runs and locks: from a job's flags to its rows in ``runs`` and its exit code."""

from intentrec.ledger.champion import Champion, champion_fingerprint, champion_of, serving_model_id
from intentrec.ledger.command import run_job
from intentrec.ledger.figures import Measured, record_figures
from intentrec.ledger.models import (
    Model,
    add_model,
    find_model,
    get_model,
    model_folder,
    recall_figures,
    start_folder,
    tonights_challenger,
)
from intentrec.ledger.night import counted, night_of, pinned_examples, tonight
from intentrec.ledger.opening import open_run
from intentrec.ledger.run import Command, Outcome, Run, Stage

__all__ = [
    "Champion",
    "Command",
    "Measured",
    "Model",
    "Outcome",
    "Run",
    "Stage",
    "add_model",
    "champion_fingerprint",
    "champion_of",
    "counted",
    "find_model",
    "get_model",
    "model_folder",
    "night_of",
    "open_run",
    "pinned_examples",
    "recall_figures",
    "record_figures",
    "run_job",
    "serving_model_id",
    "start_folder",
    "tonight",
    "tonights_challenger",
]
