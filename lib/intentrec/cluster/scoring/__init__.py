"""histories -> candidates: every active user scored on Spark, an exact list each. plan -> lists -> columns."""

from intentrec.cluster.scoring.cold import ColdStart, cold_start_of
from intentrec.cluster.scoring.plan import ScoringPlan, load_scorer, num_tasks
from intentrec.cluster.scoring.reuse import plan_digest, unchanged, with_origin
from intentrec.cluster.scoring.tasks import score

__all__ = [
    "ColdStart",
    "ScoringPlan",
    "cold_start_of",
    "load_scorer",
    "num_tasks",
    "plan_digest",
    "score",
    "unchanged",
    "with_origin",
]
