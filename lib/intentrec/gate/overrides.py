"""What a person decides over the gate's head: verdicts of GATE_DECISIONS, always with a reason."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

PINNED, DEMOTED, WITHDRAWN, LIFTED = "pinned", "demoted", "withdrawn", "lifted"
BY_GATE = ("promoted", "refused")


def withdrawal_of(decisions: DataFrame, run_date: date) -> DataFrame:
    """Select the decision that withdrew the lists of a night, unless a later one lifted it.

    Args:
        decisions: GATE_DECISIONS rows of any nights.
        run_date: the night.

    Returns:
        The row of ``decisions``, or no row.
    """
    own = decisions.where((F.col("run_date") == F.lit(run_date)) & F.col("verdict").isin(WITHDRAWN, LIFTED))
    return own.orderBy(F.desc("decided_at")).limit(1).where(F.col("verdict") == WITHDRAWN)


def overrides_of(decisions: DataFrame, run_date: date) -> DataFrame:
    """Select what a person has decided of a night that changes its own lists, oldest first.

    A pin does not: it counts from the next night on.
    """
    own = decisions.where((F.col("run_date") == F.lit(run_date)) & F.col("verdict").isin(DEMOTED, WITHDRAWN, LIFTED))
    return own.orderBy("decided_at")
