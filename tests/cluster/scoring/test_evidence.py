from math import log

import numpy as np
import pytest
from tests.cluster.worlds import plan_of

from intentrec.baselines import LastItems, TransitionTable
from intentrec.cluster.priors import Prior
from intentrec.cluster.scoring.evidence import added_at, added_to, followed_items

# 1 is followed by 2 always, 3 by 2 and 4 alike
FOLLOWS = LastItems(
    TransitionTable.of(np.array([1, 3, 3]), np.array([2, 2, 4]), np.array([2, 1, 1]), np.array([2, 2, 2]), 4)
)
BEFORE = LastItems(TransitionTable.of(np.array([4]), np.array([2]), np.array([1]), np.array([1]), 4), num_last=3)
ITEMS = [np.array([1]), np.array([1, 3]), np.array([2])]


def weighing(**weights):
    sources = {name: source for name, source in (("after", FOLLOWS), ("before", BEFORE)) if name in weights}
    return plan_of(4, 2, prior=Prior(1.0, 0.0, evidence=tuple(weights.items())), sources=sources)


def test_evidence_is_added_by_the_priors_weight():
    added = added_to(weighing(after=2.0), ITEMS, 4)
    assert (added.rows.tolist(), added.columns.tolist()) == ([0, 1, 1], [2, 2, 4])
    assert added.values.tolist() == pytest.approx([2 * log(1001), 2 * log(501), 2 * log(501)])
    assert added_to(weighing(after=2.0), ITEMS, 3).columns.tolist() == [2, 2]  # 4 came after the model


def test_without_sources_or_prior_nothing_is_added():
    assert added_to(weighing(), ITEMS, 4) is None
    assert added_to(plan_of(4, 2, prior=None), ITEMS, 4) is None


def test_what_is_added_is_looked_up_by_item():
    added = added_to(weighing(after=1.0), ITEMS, 4)
    values_BP = added_at(added, 3, np.array([4, 2, 1]))
    assert values_BP == pytest.approx(np.array([[0, log(1001), 0], [log(501), log(501), 0], [0, 0, 0]]))
    assert added_at(None, 2, np.array([4])).tolist() == [[0.0], [0.0]]


def test_the_heavier_source_names_the_reason():
    items = [np.array([4, 1]), np.array([4]), np.array([3])]
    wanted_BK = np.array([[2, 0], [2, 3], [4, 2]])
    assert followed_items(weighing(after=1.0, before=2.0), items, wanted_BK).tolist() == [[4, 0], [4, 0], [3, 3]]
    assert followed_items(weighing(after=2.0, before=1.0), items, wanted_BK).tolist() == [[1, 0], [4, 0], [3, 3]]
    assert followed_items(weighing(), items, wanted_BK).tolist() == [[0, 0]] * 3
    assert followed_items(weighing(after=1.0), items, wanted_BK * 0).tolist() == [[0, 0]] * 3
