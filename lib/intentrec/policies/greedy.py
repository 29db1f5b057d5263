"""A list chosen place by place: diversity of intents, and the user's own mix of categories; all users at once.

B users   M candidates of a user, best first   K places   C categories kept per item   N categories + 1 (0 is none)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intentrec.policies.taste import Indices, shares_of

FIRST_CHANCE = 0.3  # q0: that the best candidate, once shown, settles an intent it serves
_FLOOR = 1e-6  # of the probability that anybody looks for what an item is
_SMOOTHING = 0.01  # of the list's mix by the user's: the divergence stays finite
_CHUNK = 512  # users at once: a place's arrays stay in the cache


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is chosen from.

    Attributes:
        scores_BM: float64 logits, best first; -inf where a user has no further candidate.
        categories_BMC: int64, 0 for none.
    """

    scores_BM: NDArray[np.float64]
    categories_BMC: Indices

    def __len__(self) -> int:
        """Return the number of users."""
        return len(self.scores_BM)


@dataclass(frozen=True, slots=True)
class Strengths:
    """How far the order may leave that of the scores.

    Attributes:
        intents_BN: float64 probability that the user looks for a category; column 0 is not looked at.
        diversity_B: float64 gamma of each user, 0: off.
        mix_BN: float64 the user's own shares of categories, 0 everywhere: not calibrated.
        calibration: lambda, from 0: off, to below 1.
    """

    intents_BN: NDArray[np.float64]
    diversity_B: NDArray[np.float64]
    mix_BN: NDArray[np.float64]
    calibration: float


def greedy_places(candidates: Candidates, k: int, strengths: Strengths) -> Indices:
    """Choose k candidates of each user, one place after the other.

    A place takes the candidate with the greatest (1 - lambda) * (score + gamma * ln(sum of Pr(v) over its intents v))
    - lambda * KL(user's mix, mix of the list with it). Pr(v) is the belief after what stands above was passed over:
    with q falling from FIRST_CHANCE to 0 over the candidates, Pr(v) * (1 - q [v served]) / (1 - q * sum of Pr served).

    Args:
        candidates: of all users.
        k: places.
        strengths: with both 0 the order stays that of the scores, bit for bit.

    Returns:
        int64 [B, K] places among the candidates, -1 where there is none left; ties go to the better score's place.

    Source: Beyond Item Dissimilarities: Diversifying by Intent (arXiv 2405.12327), the greedy rule, with the posterior
    that is consistent with it; Steck, Calibrated recommendations (RecSys 2018), equation 5.
    """
    parts = [np.zeros((0, k), dtype=np.int64)]
    for start in range(0, len(candidates), _CHUNK):
        own = slice(start, start + _CHUNK)
        some = Candidates(candidates.scores_BM[own], candidates.categories_BMC[own])
        of_them = Strengths(
            strengths.intents_BN[own], strengths.diversity_B[own], strengths.mix_BN[own], strengths.calibration
        )
        parts.append(_Greedy(some, of_them).choose(k))
    return np.concatenate(parts)


class _Greedy:
    def __init__(self, candidates: Candidates, strengths: Strengths) -> None:
        self._scores_BM, self._own_BMC = candidates.scores_BM, candidates.categories_BMC
        self._strengths = strengths
        self._free_BM = candidates.scores_BM > -np.inf
        self._belief_BN = strengths.intents_BN.copy()
        self._belief_BN[:, 0] = 0.0  # no category is no intent
        self._listed_BN = np.zeros_like(strengths.mix_BN)
        self._shares_BMC = shares_of(self._own_BMC)
        self._users_B = np.arange(len(candidates))
        self._flat_BMC = self._own_BMC + (self._users_B * strengths.mix_BN.shape[1])[:, None, None]
        num_candidates = self._scores_BM.shape[1]
        self._chance_M = FIRST_CHANCE * (1 - np.arange(num_candidates) / max(num_candidates, 1))

    def choose(self, k: int) -> Indices:
        places_BK = np.full((len(self._users_B), k), -1, dtype=np.int64)
        for place in range(min(k, self._scores_BM.shape[1])):
            values_BM = self._values(place)
            best_B = values_BM.argmax(axis=1)
            there_B = self._free_BM[self._users_B, best_B]
            places_BK[there_B, place] = best_B[there_B]
            self._take(best_B)
        return places_BK

    def _values(self, place: int) -> NDArray[np.float64]:
        values_BM = self._scores_BM
        if self._strengths.diversity_B.any():
            looked_for_BM = np.maximum(self._looked_up(self._belief_BN).sum(axis=2), _FLOOR)
            values_BM = values_BM + self._strengths.diversity_B[:, None] * np.log(looked_for_BM)
        if self._strengths.calibration:
            weight = self._strengths.calibration
            values_BM = (1 - weight) * values_BM - weight * self._divergence(place)
        return np.where(self._free_BM, values_BM, -np.inf)

    def _divergence(self, place: int) -> NDArray[np.float64]:
        """Return KL(mix, mix of the list with the candidate) of every candidate, but for what all of them share."""
        mix_BN, size = self._strengths.mix_BN, place + 1
        without_BN = (1 - _SMOOTHING) * self._listed_BN / size + _SMOOTHING * mix_BN
        mix_BMC, without_BMC = self._looked_up(mix_BN), self._looked_up(without_BN)
        with_BMC = without_BMC + (1 - _SMOOTHING) * self._shares_BMC / size
        counts_BMC = (self._shares_BMC > 0) & (mix_BMC > 0)
        ratio_BMC = np.divide(without_BMC, with_BMC, out=np.ones_like(with_BMC), where=counts_BMC)
        gains_BM: NDArray[np.float64] = (mix_BMC * np.log(ratio_BMC)).sum(axis=2)
        return gains_BM

    def _looked_up(self, values_BN: NDArray[np.float64]) -> NDArray[np.float64]:
        return values_BN.ravel().take(self._flat_BMC)  # half the time of indexing by rows and columns

    def _take(self, best_B: Indices) -> None:
        self._free_BM[self._users_B, best_B] = False
        own_BC, shares_BC = self._own_BMC[self._users_B, best_B], self._shares_BMC[self._users_B, best_B]
        np.add.at(self._listed_BN, (self._users_B[:, None], own_BC), shares_BC)
        chance_B1 = self._chance_M[best_B][:, None]
        served_B1 = self._belief_BN[self._users_B[:, None], own_BC].sum(axis=1, keepdims=True)
        matched_BN = np.zeros(self._belief_BN.shape, dtype=bool)
        matched_BN[self._users_B[:, None], own_BC] = True
        self._belief_BN *= np.where(matched_BN, 1 - chance_B1, 1.0) / (1 - chance_B1 * served_B1)
