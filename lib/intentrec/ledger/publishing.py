"""What passed its checks -> the tables that consumers read, unless a person has withdrawn the night."""

from collections.abc import Mapping
from datetime import UTC

from pyspark.sql import DataFrame, Row

from intentrec.gate import overrides_of, withdrawal_of
from intentrec.ledger.champion import champion_fingerprint
from intentrec.ledger.run import Run
from intentrec.tables import (
    GATE_DECISIONS,
    RECOMMENDATIONS,
    SEGMENT_RECOMMENDATIONS,
    SIMILAR_ITEMS,
    USER_INTENTS,
    Table,
)

PUBLISHED = (USER_INTENTS, SEGMENT_RECOMMENDATIONS, SIMILAR_ITEMS, RECOMMENDATIONS)  # by run date, in this order


def withdrawal(run: Run) -> Row | None:
    """Return the decision that withdrew the lists of the run date; None: they may be published."""
    return withdrawal_of(run.warehouse.read(GATE_DECISIONS), run.run_date).first()


def publish_lists(run: Run, rows: Mapping[Table, DataFrame]) -> bool:
    """Publish a night, or say why not; return whether it is published.

    Args:
        run: of the job that made the lists.
        rows: of the run date, checked: each table in one commit, in the order given. Who reads several of them finds
            a night whole once the last one has it.
    """
    run.check_lock()  # after hours of scoring the lease may be another run's
    withdrawn = withdrawal(run)
    if withdrawn is not None:
        run.refuse(
            f"table recommendations: the lists of {run.run_date} were withdrawn ({withdrawn['reason']}) and are not "
            "published again; they lie in recommendations_staged, and jobs/override.py --lift lets the next run publish"
        )
        return False
    for table, published in rows.items():
        run.warehouse.replace(table, published, run_date=run.run_date)
    return True


def lists_fingerprint(run: Run) -> str:
    """Return what lists depend on beyond the stage before: the champion, and what a person decided of the night."""
    decided = overrides_of(run.warehouse.read(GATE_DECISIONS), run.run_date).collect()
    overrides = [
        f"{row['verdict']} {row['model_id']} {row['decided_at'].astimezone(UTC).isoformat()}" for row in decided
    ]
    return "\n".join([champion_fingerprint(run), *overrides])
