from math import isnan

import numpy as np
import pytest
from tests.cluster.worlds import FIELDS, histories_of, scorer_of

from intentrec.baselines import LastItems, TransitionTable
from intentrec.cluster import mixing
from intentrec.cluster.judging import JudgedDay, JudgedUsers
from intentrec.cluster.mixing import fit_mix
from intentrec.cluster.priors import Prior
from intentrec.metrics import Relevant

# 1 is followed by 2, 2 by 3, 3 by 1
FOLLOWS = LastItems(TransitionTable.of(*(np.array(row) for row in ([1, 2, 3], [2, 3, 1], [1] * 3, [1] * 3)), 3))
COUNTS = {1: np.array([0, 9, 0, 0]), 24: np.array([0, 9, 2, 99])}


@pytest.fixture
def fitted(monkeypatch):
    """Fit on users who did ``did``, say ``taste`` to the network, and chose ``chosen``."""

    def fit(taste, did, chosen, start=None, sources=None):
        scorer, queries = scorer_of(*taste)
        monkeypatch.setattr(mixing, "encoded", lambda scorer, fields, users: queries)
        histories = histories_of([1] * len(did), 3)
        histories = type(histories)([np.array([item]) for item in did], histories.times, histories.features)
        nothing = [np.zeros(0, np.int64) for _ in did]
        users = JudgedUsers(np.arange(len(did)), histories, nothing, Relevant.of([[item] for item in chosen]))
        day = JudgedDay(users, COUNTS, np.arange(4) > 0, sources or {})
        return fit_mix(scorer, FIELDS, [day], 1, start)

    return fit


def test_the_network_alone_is_kept_where_it_knows_best(fitted):
    prior, quality = fitted([5.0, -5.0], [3, 3], [1, 2], sources={"after": FOLLOWS})
    assert quality == 1.0
    assert (prior.weight, prior.shrink_events, prior.center, prior.evidence) == (0.0, 0.0, (), (("after", 0.0),))


def test_evidence_gets_the_weight_it_earns(fitted):
    prior, quality = fitted([5.0, 5.0, -5.0], [1, 2, 3], [2, 3, 1], sources={"after": FOLLOWS})
    assert quality == 1.0
    # ln(1 + 1000) = 6.9 has to outweigh what the network puts between two items: 10
    assert dict(prior.evidence)["after"] * np.log(1001) > 10


@pytest.mark.parametrize(("chosen", "half_life"), [(1, 0.5), (3, 12.0)])
def test_popularity_and_its_half_life_are_found(fitted, chosen, half_life):
    prior, quality = fitted([-5.0, 5.0] if chosen == 3 else [-5.0, -5.0], [1, 1], [chosen, chosen])
    assert quality == 1.0
    assert prior.weight > 0
    if chosen == 1:
        assert prior.half_life_hours == half_life


def test_a_start_is_gone_on_from_and_nobody_gives_the_network_alone(fitted):
    start = Prior(12.0, 0.0, evidence=(("after", 5.0),))
    prior, quality = fitted([5.0], [1], [2], start, {"after": FOLLOWS})
    assert (prior, quality) == (start, 1.0)
    prior, quality = fitted([], [], [], sources={"after": FOLLOWS})
    assert prior == Prior(12.0, 0.0, evidence=(("after", 0.0),))
    assert isnan(quality)
