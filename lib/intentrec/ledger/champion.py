"""Which models a night may start from and serve with."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from pyspark.sql import functions as F

from intentrec.gate import BY_GATE, DEMOTED, champion_before
from intentrec.ledger.models import get_model
from intentrec.ledger.run import Run, just_after
from intentrec.tables import GATE_DECISIONS


@dataclass(frozen=True, slots=True)
class Champion:
    """The last model promoted or pinned before a run date.

    Attributes:
        model_id: the judged model, trained up to its night's held-out days: what a challenger starts from and is
            compared with, so that neither has seen the days that it is judged on.
        serving_model_id: the same model trained on through those days: what serves.
        run_date: the night it was trained in; its vocabulary is the one of this night.
    """

    model_id: str
    serving_model_id: str
    run_date: date


def champion_of(run: Run, *, serving: bool = False) -> Champion | None:
    """Look up the champion of the run's night, or who serves where it promotes nobody; None on a first night."""
    decision = champion_before(run.warehouse.read(GATE_DECISIONS), run.run_date, serving=serving).first()
    if decision is None:
        return None
    named = get_model(run, decision["model_id"])
    serves = decision["serving_model_id"] or decision["model_id"]
    return Champion(named.challenger_id or named.model_id, serves, named.run_date)


def serving_model_id(run: Run) -> str | None:
    """Return the model that makes tonight's lists: tonight's own if promoted, else the champion; None: neither.

    A model that a person has demoted tonight does not serve, however often the gate promotes it.
    """
    mine = run.warehouse.read(GATE_DECISIONS).where(F.col("run_date") == F.lit(run.run_date)).collect()
    by_gate = [row for row in mine if row["verdict"] in BY_GATE]
    demoted = {row["model_id"] for row in mine if row["verdict"] == DEMOTED}
    latest = max(by_gate, key=lambda row: row["decided_at"].astimezone(UTC), default=None)
    if (
        latest is not None
        and latest["verdict"] == "promoted"
        and demoted.isdisjoint((latest["model_id"], latest["serving_model_id"]))
    ):
        return str(latest["serving_model_id"] or latest["model_id"])
    champion = champion_of(run, serving=True)
    return champion.serving_model_id if champion else None


def decision_time(run: Run) -> datetime:
    """Return now, aware, UTC, or just after the newest decision: with a clock that was set back it stays the last."""
    now, newest = datetime.now(UTC), run.warehouse.read(GATE_DECISIONS).agg(F.max("decided_at").alias("at")).first()
    return now if newest is None or newest["at"] is None else just_after(newest["at"].astimezone(UTC), now)


def champion_fingerprint(run: Run) -> str:
    """Return the champion's model_id: a stage that starts from it runs again when it changes."""
    champion = champion_of(run)
    return champion.serving_model_id if champion else "first night"
