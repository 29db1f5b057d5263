"""What every task needs, and its model, loaded once per Python worker.

V items + 1 (0 is padding)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from intentrec.baselines import LastItems
from intentrec.cluster.judging import Indices
from intentrec.cluster.priors import Prior
from intentrec.cluster.reranking import Reranking
from intentrec.cluster.scoring.cold import ColdStart
from intentrec.model.checkpoint import load_artifact
from intentrec.model.inference import Scorer
from intentrec.model.shape import Field
from intentrec.rules import Rules, View

_ROWS_PER_TASK = 10_000  # some seconds of work
_LEAST_TASKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringPlan:
    """What every task needs beside the model; broadcast once.

    Attributes:
        folder: of the model; None: no model, all lists are popularity.
        files: its (name, sha256, bytes); every worker compares them before it scores.
        fields: the event features in ``histories``.
        items: ids; place i holds the item of index i.
        prior: of the model; None without one.
        bias_V: float32, the prior's and the rules', added to the model's scores.
        boost_V: float32, the part of it that is the rules', which a user with few events gets in full too; None: none.
        allowed: bool [V], whether an item may be recommended.
        filler: item indices that fill short lists, best first; all may be recommended.
        filler_scores: float32 of the same, never rising.
        k: items of a list.
        reranking: policies that choose from the best candidates; None: all are off.
        cold: users with few events; None: they are scored as all others.
        rules: in force tonight; None: no rules.
        filler_counts: int64 [V], events that the filler's order comes from; wanted with rules.
        sources: name -> evidence of a user's last items, as of tonight, for all that the prior weighs: at 100,000 items
            with 100 successors each 160 MB, far fewer where most items are rare.
        view: the rules for the users of this plan, which has been made for them by ``plan_for``.
    """

    folder: str | None
    files: tuple[tuple[str, str, int], ...]
    fields: tuple[Field, ...]
    items: tuple[str, ...]
    prior: Prior | None
    bias_V: NDArray[np.float32]
    allowed: NDArray[np.bool_]
    filler: Indices
    filler_scores: NDArray[np.float32]
    k: int
    reranking: Reranking | None = None
    cold: ColdStart | None = None
    rules: Rules | None = None
    filler_counts: Indices | None = None
    sources: Mapping[str, LastItems] = field(default_factory=dict)
    view: View | None = None
    boost_V: NDArray[np.float32] | None = None

    @property
    def pool(self) -> int:
        """Return how many candidates a list is chosen from."""
        return self.k if self.reranking is None else self.reranking.pool(self.k)

    @property
    def limits(self) -> View | None:
        """Return the view if its lists are more than the best items that are allowed."""
        return None if self.view is None or self.view.plain else self.view

    @property
    def num_rules(self) -> int:
        """Return how many rules can pass candidates over."""
        return 0 if self.rules is None else len(self.rules.listed)


def num_tasks(num_rows: int) -> int:
    """Return into how many tasks rows are split: by their number alone, not by the cores of this machine."""
    return max(_LEAST_TASKS, -(-num_rows // _ROWS_PER_TASK))


def load_scorer(plan: ScoringPlan) -> Scorer:
    """Load the plan's model once per Python worker, not once per task.

    Raises:
        InputError: a file of the model is missing or changed.
    """
    assert plan.folder is not None
    return _scorer(plan.folder, plan.files)


@lru_cache(maxsize=1)
def _scorer(folder: str, files: tuple[tuple[str, str, int], ...]) -> Scorer:
    return Scorer(load_artifact(Path(folder), files))
