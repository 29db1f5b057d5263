"""The vectorised choice beside the same rule in plain Python, one user and one candidate at a time."""

import math

import numpy as np
import pytest

from intentrec.policies import Candidates, Strengths, greedy_places
from intentrec.policies.greedy import FIRST_CHANCE

N = 5  # categories + 1


def brute_force(scores, categories, k, strengths):
    """Choose by the rule, its divergence computed whole."""
    intents, diversity, mix, weight = strengths
    size, belief, listed, chosen = len(scores), {v: p for v, p in enumerate(intents) if v}, np.zeros(N), []
    for place in range(k):
        best, best_value = -1, -math.inf
        for candidate, score in enumerate(scores):
            if candidate in chosen or score == -math.inf:
                continue
            own = [v for v in categories[candidate] if v]
            looked_for = max(sum(belief[v] for v in own), 1e-6)
            shares = np.zeros(N)
            shares[own or [0]] = 1 / max(len(own), 1)
            with_it = 0.99 * (listed + shares) / (place + 1) + 0.01 * mix
            divergence = sum(p * math.log(p / q) for p, q in zip(mix, with_it, strict=True) if p > 0)
            value = (1 - weight) * (score + diversity * math.log(looked_for)) - weight * divergence
            if value > best_value + 1e-12:
                best, best_value = candidate, value
        if best < 0:
            return chosen + [-1] * (k - place)
        chosen.append(best)
        own = [v for v in categories[best] if v]
        listed[own or [0]] += 1 / max(len(own), 1)
        chance = FIRST_CHANCE * (1 - best / size)
        served = sum(belief[v] for v in own)
        belief = {v: p * (1 - chance * (v in own)) / (1 - chance * served) for v, p in belief.items()}
    return chosen


def random_users(num_users, num_candidates, seed=5):
    random = np.random.default_rng(seed)
    scores_BM = -np.sort(-random.normal(size=(num_users, num_candidates)), axis=1)
    scores_BM[::7, num_candidates // 3 :] = -np.inf  # some have few candidates
    first = random.integers(0, N, (num_users, num_candidates))
    second = np.where((first > 0) & (random.random(first.shape) < 0.4), first % (N - 1) + 1, 0)
    shares_BN, mix_BN = random.dirichlet(np.ones(N), (2, num_users))
    mix_BN[::5] = 0  # users without a known event
    return Candidates(scores_BM, np.stack([first, second], axis=2)), shares_BN, mix_BN


@pytest.mark.parametrize(("diversity", "calibration"), [(0.7, 0.0), (0.0, 0.6), (1.5, 0.4)])
def test_every_place_is_the_one_that_plain_greedy_takes(diversity, calibration):
    candidates, intents_BN, mix_BN = random_users(600, 24)  # more than are done at once
    strengths_B = diversity * np.linspace(0, 2, 600)
    found_BK = greedy_places(candidates, 10, Strengths(intents_BN, strengths_B, mix_BN, calibration))
    for user in range(0, 600, 13):
        own = intents_BN[user], strengths_B[user], mix_BN[user], calibration
        assert found_BK[user].tolist() == brute_force(
            candidates.scores_BM[user], candidates.categories_BMC[user], 10, own
        )


def test_zeros_leave_the_order_as_it_was_bit_for_bit():
    candidates, intents_BN, mix_BN = random_users(50, 12)
    candidates.scores_BM[3, :5] = candidates.scores_BM[3, 0]  # ties too
    found_BK = greedy_places(candidates, 12, Strengths(intents_BN, np.zeros(50), mix_BN, 0.0))
    there_BK = candidates.scores_BM > -np.inf
    assert (found_BK == np.where(there_BK, np.arange(12), -1)).all()


def test_one_users_strength_changes_nobody_elses_order():
    candidates, intents_BN, mix_BN = random_users(40, 12)
    diversity_B = np.zeros(40)
    diversity_B[8] = 3.0
    found_BK = greedy_places(candidates, 6, Strengths(intents_BN, diversity_B, mix_BN, 0.0))
    plain_BK = greedy_places(candidates, 6, Strengths(intents_BN, np.zeros(40), mix_BN, 0.0))
    changed_B = (found_BK != plain_BK).any(axis=1)
    assert np.flatnonzero(changed_B).tolist() == [8]


def test_diversity_takes_turns_between_intents_that_are_equally_likely():
    scores = np.array([[3.0, 2.9, 2.8, 2.7, 2.0, 1.9]])
    categories = np.array([[[1], [1], [1], [1], [2], [2]]])
    intents = np.array([[0, 0.5, 0.5, 0, 0]])
    strengths = Strengths(intents, np.array([5.0]), np.zeros((1, N)), 0.0)
    served = categories[0, greedy_places(Candidates(scores, categories), 4, strengths)[0], 0]
    assert sorted(served.tolist()) == [1, 1, 2, 2]


def test_at_the_limit_calibration_gives_the_users_own_mix():
    scores = np.array([np.linspace(5, 0, 20)])
    categories = np.array([[[1]] * 10 + [[2]] * 10])  # every good candidate is of category 1
    mix = np.array([[0, 0.25, 0.75, 0, 0]])
    strengths = Strengths(mix, np.zeros(1), mix, 0.999)
    listed = categories[0, greedy_places(Candidates(scores, categories), 8, strengths)[0], 0]
    assert np.bincount(listed, minlength=3).tolist() == [0, 2, 6]


def test_there_are_no_more_places_than_candidates():
    candidates = Candidates(np.array([[1.0, -np.inf]]), np.zeros((1, 2, 1), np.int64))
    strengths = Strengths(np.zeros((1, N)), np.ones(1), np.zeros((1, N)), 0.5)
    assert greedy_places(candidates, 3, strengths).tolist() == [[0, -1, -1]]
    nobody = Candidates(np.zeros((0, 2)), np.zeros((0, 2, 1), np.int64))
    nothing = Strengths(np.zeros((0, N)), np.zeros(0), np.zeros((0, N)), 0.0)
    assert greedy_places(nobody, 3, nothing).shape == (0, 3)
