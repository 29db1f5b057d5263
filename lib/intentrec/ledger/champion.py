"""Which models a night may start from and serve with."""

from dataclasses import dataclass
from datetime import date

from pyspark.sql import Row
from pyspark.sql import functions as F

from intentrec.errors import InputError
from intentrec.gate import champion_before
from intentrec.ledger.run import Run
from intentrec.tables import GATE_DECISIONS, MODELS


@dataclass(frozen=True, slots=True)
class Champion:
    """The last model promoted or pinned before a run date.

    Attributes:
        model_id: the judged model, trained up to its night's held-out days: what a challenger starts from and is
            compared with, so that neither has seen the days that it is judged on.
        serving_model_id: the same model trained on through those days: what serves.
        run_date: the night of its decision; its vocabulary is the one of this night.
    """

    model_id: str
    serving_model_id: str
    run_date: date


def champion_of(run: Run) -> Champion | None:
    """Look up the champion of the run's night; None on a first night."""
    decision = champion_before(run.warehouse.read(GATE_DECISIONS), run.run_date).first()
    if decision is None:
        return None
    judged = model_row(run, decision["model_id"])
    serving = decision["serving_model_id"] or decision["model_id"]
    return Champion(judged["challenger_id"] or judged["model_id"], serving, judged["run_date"])


def model_row(run: Run, model_id: str) -> Row:
    """Read a model's row of ``models``.

    Raises:
        InputError: there is none.
    """
    row = run.warehouse.read(MODELS).where(F.col("model_id") == F.lit(model_id)).first()
    if row is None:
        raise InputError(f"table models: model_id {model_id} is missing, wanted by table gate_decisions; restore it or demote it")
    return row


def champion_fingerprint(run: Run) -> str:
    """Return the champion's model_id: a stage that starts from it runs again when it changes."""
    champion = champion_of(run)
    return champion.serving_model_id if champion else "first night"
