"""One plan for each kind of user: what rules say to him is in its masks, scores, filler and limits.

V items + 1 (0 is padding)
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from intentrec.cluster.scoring.columns import Users
from intentrec.cluster.scoring.lists import ListMaker
from intentrec.cluster.scoring.plan import ScoringPlan
from intentrec.model.inference import Scorer
from intentrec.rules import Reader

_MAKERS_KEPT = 16  # kinds of users whose arrays are kept: 2 MB each at 100,000 items


def plan_for(plan: ScoringPlan, reader: Reader) -> ScoringPlan:
    """Return the plan as the rules want it for one kind of reader; without rules the plan itself.

    A boost joins the scores as the prior does, so an item that the network alone would not have listed is the prior's.
    """
    if plan.rules is None:
        return plan
    assert plan.filler_counts is not None
    view = plan.rules.view(reader)
    filler = view.popular(plan.filler, plan.filler_counts)
    bias_V = view.bias(len(plan.items))
    free_V = np.isfinite(bias_V)
    reranking = plan.reranking and replace(plan.reranking, young_V=plan.reranking.young_V & free_V)
    boost_V = None if view.factors_V is None else np.where(free_V, bias_V, np.float32(0))
    return replace(
        plan, reranking=reranking, allowed=free_V, view=view, filler=filler, boost_V=boost_V,
        bias_V=plan.bias_V if boost_V is None else plan.bias_V + boost_V,
        filler_scores=plan.filler_scores[np.isin(plan.filler, filler)],
    )  # fmt: skip


class Makers:
    """The makers of one worker's lists: one for each kind of user."""

    def __init__(self, plan: ScoringPlan, scorer: Scorer | None) -> None:
        """Keep the plan and the model; a maker is made when the first user of its kind comes."""
        self._plan = plan

        @lru_cache(maxsize=_MAKERS_KEPT)
        def maker_for(audiences: tuple[int, ...]) -> ListMaker:
            return ListMaker(plan_for(plan, Reader.user(audiences)), scorer)

        self._maker_for = maker_for

    def of(self, users: Users) -> Iterator[tuple[Users, ListMaker]]:
        """Yield the users of each kind, by audiences, and who makes their lists; without rules all are of one."""
        if users.audiences is None:
            yield users, self._maker_for(())
            return
        kinds: dict[tuple[int, ...], list[int]] = {}
        for row, own in enumerate(users.audiences):
            kinds.setdefault(tuple(own.tolist()), []).append(row)
        for audiences in sorted(kinds):
            rows = kinds[audiences]
            yield (users if len(kinds) == 1 else users.some(rows)), self._maker_for(audiences)
