"""Runs and locks: from a job's flags to its rows in ``runs`` and its exit code."""

from intentrec.ledger.champion import (
    Champion,
    champion_fingerprint,
    champion_of,
    decision_time,
    serving_model_id,
)
from intentrec.ledger.command import run_job
from intentrec.ledger.erased import erased_users, erasure_key
from intentrec.ledger.errands import Errand, record_errand, run_errand
from intentrec.ledger.figures import Measured, record_figures
from intentrec.ledger.lock import running_since
from intentrec.ledger.measuring import measure_lists
from intentrec.ledger.models import (
    Model,
    add_model,
    find_model,
    get_model,
    is_trained_anew,
    model_folder,
    recall_figures,
    start_folder,
    tonights_challenger,
)
from intentrec.ledger.night import counted, night_of, pinned_examples, tonight
from intentrec.ledger.opening import brief_lock, open_run
from intentrec.ledger.publishing import PUBLISHED, lists_fingerprint, publish_lists, withdrawal
from intentrec.ledger.run import Command, Outcome, Run, Stage

__all__ = [
    "PUBLISHED",
    "Champion",
    "Command",
    "Errand",
    "Measured",
    "Model",
    "Outcome",
    "Run",
    "Stage",
    "add_model",
    "brief_lock",
    "champion_fingerprint",
    "champion_of",
    "counted",
    "decision_time",
    "erased_users",
    "erasure_key",
    "find_model",
    "get_model",
    "is_trained_anew",
    "lists_fingerprint",
    "measure_lists",
    "model_folder",
    "night_of",
    "open_run",
    "pinned_examples",
    "publish_lists",
    "recall_figures",
    "record_errand",
    "record_figures",
    "run_errand",
    "run_job",
    "running_since",
    "serving_model_id",
    "start_folder",
    "tonight",
    "tonights_challenger",
    "withdrawal",
]
