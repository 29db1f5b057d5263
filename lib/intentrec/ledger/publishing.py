"""Lists that passed their checks -> ``recommendations``, unless a person has withdrawn them."""

from datetime import UTC

from pyspark.sql import DataFrame, Row

from intentrec.gate import overrides_of, withdrawal_of
from intentrec.ledger.champion import champion_fingerprint
from intentrec.ledger.run import Run
from intentrec.tables import GATE_DECISIONS, RECOMMENDATIONS


def withdrawal(run: Run) -> Row | None:
    """Return the decision that withdrew the lists of the run date; None: they may be published."""
    return withdrawal_of(run.warehouse.read(GATE_DECISIONS), run.run_date).first()


def publish_lists(run: Run, lists: DataFrame) -> bool:
    """Publish the lists of the run date in one commit, or say why not; return whether they are published.

    Args:
        run: of the job that made the lists.
        lists: RECOMMENDATIONS rows of the run date, checked.
    """
    run.check_lock()  # after hours of scoring the lease may be another run's
    withdrawn = withdrawal(run)
    if withdrawn is not None:
        run.refuse(
            f"table recommendations: the lists of {run.run_date} were withdrawn ({withdrawn['reason']}) and are not "
            "published again; they lie in recommendations_staged, and jobs/override.py --lift lets the next run publish"
        )
        return False
    run.warehouse.replace(RECOMMENDATIONS, lists, run_date=run.run_date)
    return True


def lists_fingerprint(run: Run) -> str:
    """Return what lists depend on beyond the stage before: the champion, and what a person decided of the night."""
    decided = overrides_of(run.warehouse.read(GATE_DECISIONS), run.run_date).collect()
    overrides = [
        f"{row['verdict']} {row['model_id']} {row['decided_at'].astimezone(UTC).isoformat()}" for row in decided
    ]
    return "\n".join([champion_fingerprint(run), *overrides])
