from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from tests.cluster.worlds import FIELDS, artifact_of, histories_of, scorer_of

from intentrec.baselines import LastItems, TransitionTable
from intentrec.cluster import calibration, mixing
from intentrec.cluster.calibration import fit_prior, nearest_to_popularity, recentered
from intentrec.cluster.judging import JudgedDay, JudgedUsers
from intentrec.cluster.priors import Prior
from intentrec.metrics import Relevant
from intentrec.model.inference import Scorer

ALLOWED = np.array([False, True, True, True])
COUNTS = {1: np.array([0, 5, 0, 0]), 24: np.array([0, 5, 2, 9])}  # item 1 in the last hour, 3 most before it


@pytest.fixture
def told(monkeypatch):
    """Make the network say what a test wants, by the users' numbers."""

    def say(queries):
        for module in (calibration, mixing):
            monkeypatch.setattr(module, "encoded", lambda scorer, fields, users: queries[users.users_U])

    return say


def day_of(*chosen, users=None, counts=COUNTS, allowed=ALLOWED):
    users_U = np.arange(len(chosen)) if users is None else np.array(users)
    nothing = [np.zeros(0, np.int64) for _ in chosen]
    relevant = Relevant.of([[item] for item in chosen])
    return JudgedDay(JudgedUsers(users_U, histories_of([2] * len(chosen), 3), nothing, relevant), counts, allowed)


@pytest.mark.parametrize(("chosen", "half_life"), [(1, 0.5), (3, 12.0)])
def test_popularity_alone_serves_users_who_choose_what_is_popular(told, chosen, half_life):
    scorer, queries = scorer_of(0.0, 0.0)
    told(queries)
    # with half an hour, 5 * 2^-1 = 2.5 stand against next to nothing; with twelve, 4.9 against 9 * 2^-1.04 = 4.4;
    # and item 3 comes first once item 1 is not counted
    counts = COUNTS if chosen == 1 else {1: np.array([0, 5, 0, 0]), 24: np.array([0, 5, 2, 19])}
    prior, quality = fit_prior(scorer, FIELDS, [day_of(chosen, chosen, counts=counts)], 1)
    assert (prior, quality) == (Prior(half_life, 64.0, 64.0, (0.0,) * 8), 1.0)


def test_the_network_earns_its_share_where_users_differ(told):
    scorer, queries = scorer_of(*[30.0, -30.0] * 4)
    told(queries)
    prior, quality = fit_prior(scorer, FIELDS, [day_of(*[1, 2] * 4)], 1)
    assert quality == 1.0
    assert prior.center == (0.0,) * 8
    # the nearest to popularity that lets -30 * 2 / 66 * (+1 - -1) = 1.8 decide between items 1 and 2
    bias = prior.bias(COUNTS)
    assert prior.shrink_events == 64.0
    assert bias[1] - bias[2] < 60 * 2 / 66
    assert bias[3] - bias[2] < 30 * 2 / 66


def test_what_all_users_share_is_taken_out(told):
    scorer, queries = scorer_of(*[1030.0, 970.0] * 4)  # the network says item 1 to everybody
    told(queries)
    prior, quality = fit_prior(scorer, FIELDS, [day_of(*[1, 2] * 4)], 1)
    assert quality == 1.0
    assert prior.center == (1000.0, *[0.0] * 7)


def test_every_day_is_judged_with_its_own_counts(told):
    scorer, queries = scorer_of(0.0, 0.0)
    told(queries)
    only = [{24: np.eye(4, dtype=np.int64)[item]} for item in (1, 2)]
    days = [day_of(1, counts=only[0]), day_of(2, users=[1], counts=only[1])]
    assert fit_prior(scorer, FIELDS, days, 1) == (Prior(12.0, 64.0, 64.0, (0.0,) * 8), 1.0)
    swapped = [replace(day, counts=counts) for day, counts in zip(days, only[::-1], strict=True)]
    assert fit_prior(scorer, FIELDS, swapped, 1)[1] == 0.5  # without any popularity, item 1 for both


def test_an_item_that_may_not_be_listed_is_passed_over(told):
    scorer, queries = scorer_of(0.0)
    told(queries)
    assert fit_prior(scorer, FIELDS, [day_of(2, counts={24: np.array([0, 1, 5, 9])})], 1)[1] == 0.0
    without_3 = day_of(2, counts={24: np.array([0, 1, 5, 9])}, allowed=np.array([False, True, True, False]))
    assert fit_prior(scorer, FIELDS, [without_3], 1)[1] == 1.0


# 1 is followed by 2, 2 by 1
FOLLOWS = LastItems(TransitionTable.of(np.array([1, 2]), np.array([2, 1]), np.array([1, 1]), np.array([1, 1]), 3))


def following(chosen, did, **changes):
    """Return a day of users with one event each."""
    day = day_of(*chosen, **changes)
    past = day.users.histories
    items = [np.array([item]) for item in did]
    histories = type(past)(items, [own[:1] for own in past.times], [np.ones(3, np.int64)] * len(did))
    return replace(day, users=replace(day.users, histories=histories), sources={"after": FOLLOWS})


def test_evidence_earns_a_weight_where_it_tells_what_comes_next(told):
    scorer, queries = scorer_of(*[0.0] * 8)
    told(queries)
    counts = {24: np.array([0, 5, 5, 5])}
    prior, quality = fit_prior(scorer, FIELDS, [following([2, 1] * 4, [1, 2] * 4, counts=counts)], 1)
    assert quality == 1.0
    assert dict(prior.evidence)["after"] > 0


def test_evidence_that_is_better_by_less_than_a_standard_error_gets_no_weight(told):
    scorer, queries = scorer_of(*[0.0] * 8)
    told(queries)
    counts = {24: np.array([0, 9, 5, 2])}
    # one of eight chose what follows, seven what is popular: 7/8 against 8/8 is within sqrt(7) / 8 / sqrt(8) = 0.117
    day = following([1] * 7 + [2], [3] * 7 + [1], counts=counts)
    prior, quality = fit_prior(scorer, FIELDS, [day], 1)
    assert (prior.evidence, quality) == ((("after", 0.0),), 0.875)


def test_no_more_lists_are_climbed_on_than_are_needed(told, monkeypatch):
    climbed = []
    fit = calibration.fit_mix
    monkeypatch.setattr(calibration, "fit_mix", lambda *asked: climbed.append(asked) or fit(*asked))
    monkeypatch.setattr(calibration, "_MAX_CLIMBED", 2)
    scorer, queries = scorer_of(*[0.0] * 8)
    told(queries)
    fit_prior(scorer, FIELDS, [following([2, 1] * 2, [1, 2] * 2)] * 2, 1)
    ((_, _, days, k, start),) = climbed
    assert ([len(day.users) for day in days], k) == ([1, 1], 1)
    assert start.evidence == (("after", 0.0),)


def test_without_users_the_network_stands_alone():
    prior, quality = fit_prior(Scorer(artifact_of(3)), FIELDS, [day_of(), day_of()], 1)
    assert prior == Prior(12.0, 0.0)
    assert isnan(quality)


def test_no_more_lists_are_asked_for_than_are_needed(told, monkeypatch):
    monkeypatch.setattr(calibration, "_MAX_LISTS", 2)
    scorer, queries = scorer_of(*[0.0] * 4)
    told(queries)
    counts = {24: np.array([0, 9, 1, 1])}
    days = [day_of(2, 2, 2, 1, counts=counts), day_of(1, 3, 3, counts=counts)]
    assert fit_prior(scorer, FIELDS, days, 1)[1] == 1.0  # users 3 and 0: their hashes are the least


def test_a_model_that_was_trained_on_gets_its_own_center(told):
    scorer, queries = scorer_of(2.0, 4.0)
    told(queries)
    assert recentered(Prior(1.0, 2.0, 3.0, (9.0,)), scorer, FIELDS, [day_of(1, 1)]) == Prior(
        1.0, 2.0, 3.0, (3.0, *[0.0] * 7)
    )
    as_found = Prior(1.0, 2.0, 3.0)  # a mix whose weights were found without a center keeps having none
    assert recentered(as_found, scorer, FIELDS, [day_of(1, 1)]) == as_found


@pytest.mark.parametrize(
    ("popular", "mixed", "chosen"),
    [
        # behind by 0.25 on average, standard error sqrt(0.6875) / 2 = 0.41: no evidence for the network
        ([0, 1, 1, 0], [1, 1, 0, 1], 0),
        # behind by 0.5, standard error 0.5 / 2 = 0.25: the network has earned its share
        ([0, 1, 0, 1], [1, 1, 1, 1], 1),
    ],
)
def test_the_network_has_to_be_better_by_a_standard_error(popular, mixed, chosen):
    assert nearest_to_popularity([np.array(popular, np.float64), np.array(mixed, np.float64)]) == chosen
