"""What a user's last items add to his scores, and which of them is the reason.

B users   K places   P items that are asked for   V items + 1 (0 is padding)
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from intentrec.baselines import Additive, log_shares
from intentrec.cluster.judging import Indices
from intentrec.cluster.scoring.plan import ScoringPlan


def added_to(plan: ScoringPlan, items: Sequence[Indices], num_items: int) -> Additive | None:
    """Return what the plan's prior adds by evidence of the users' items; None where it weighs none.

    Args:
        plan: with the sources that its prior weighs.
        items: of each user, oldest first.
        num_items: greatest item index that the model knows.
    """
    if plan.prior is None or not plan.sources:
        return None
    found = {name: log_shares(source.evidence_of(items)) for name, source in plan.sources.items()}
    return plan.prior.additive(found, num_items)


def added_at(added: Additive | None, num_users: int, items_P: Indices) -> NDArray[np.float32]:
    """Look up values_BP of some items; 0 where there is no evidence."""
    values_BP = np.zeros((num_users, len(items_P)), dtype=np.float32)
    if added is not None:
        for place, item in enumerate(items_P.tolist()):
            own = added.columns == item
            values_BP[added.rows[own], place] = added.values[own]
    return values_BP


def followed_items(plan: ScoringPlan, items: Sequence[Indices], wanted_BK: Indices) -> Indices:
    """Name reasons_BK: of each wanted item the last item that it follows most often; 0 where there is none.

    Args:
        plan: with the sources that its prior weighs; where two of them know a reason, the heavier one names it.
        items: of each user, oldest first.
        wanted_BK: item indices; 0: nothing is asked.
    """
    reasons_BK = np.zeros_like(wanted_BK)
    weights = {} if plan.prior is None else dict(plan.prior.evidence)
    for name in sorted(plan.sources, key=lambda source: weights[source]):
        for row in np.flatnonzero(wanted_BK.any(axis=1)).tolist():
            found_K = plan.sources[name].reasons(items[row], wanted_BK[row])
            reasons_BK[row] = np.where(found_K > 0, found_K, reasons_BK[row])
    return reasons_BK
