"""histories -> candidates: every active user scored on Spark, an exact list each. plan -> lists -> columns."""

from intentrec.cluster.scoring.plan import ScoringPlan, load_scorer, num_tasks
from intentrec.cluster.scoring.tasks import score

__all__ = ["ScoringPlan", "load_scorer", "num_tasks", "score"]
