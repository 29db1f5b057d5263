"""Places drawn at random, with the probability of what was drawn: what a later training needs to be fair.

B users   M candidates of a user   E places
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from intentrec.policies.taste import Indices

_STEP = np.uint64(0x9E3779B97F4A7C15)


def user_seeds(user_ids: Sequence[str], run_date: str) -> NDArray[np.uint64]:
    """Return a number per user that is the same whenever the night is repeated, and another one every night."""
    digests = (hashlib.blake2b(f"{run_date}\0{user}".encode(), digest_size=8).digest() for user in user_ids)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def explored(
    items_BM: Indices, scores_BM: NDArray[np.float64], places: int, temperature: float, seeds_B: NDArray[np.uint64]
) -> tuple[Indices, NDArray[np.float64]]:
    """Draw items without replacement, each time by softmax(score / temperature) over those that are left.

    The draws are the largest of score / temperature + Gumbel noise. The noise belongs to user and item, so neither
    other candidates nor other users change it.

    Args:
        items_BM: item indices that may be drawn; 0 for none.
        scores_BM: float64 of the same; -inf where there is no item.
        places: draws of each user.
        temperature: above 0; towards 0 the best are drawn, with probability 1.
        seeds_B: of ``user_seeds``.

    Returns:
        int64 [B, E] places among the candidates in the order of the draws, -1 where none was left, and float64 the
        probability of each draw among what was left for it; nan where none was.

    Source: Vieira, Gumbel-max trick and weighted reservoir sampling (2014); Kool et al., Stochastic beams and where to
    find them (ICML 2019), section 2.
    """
    num_users, width = items_BM.shape
    drawn = min(places, width)
    logits_BM = np.where(items_BM > 0, scores_BM, -np.inf) / temperature
    uniform_BM = (_mixed(seeds_B[:, None] + items_BM.astype(np.uint64) * _STEP) >> np.uint64(11)) * 2.0**-53
    keys_BM = logits_BM - np.log(-np.log(np.clip(uniform_BM, 2.0**-53, 1 - 2.0**-53)))
    order_BE = np.argsort(-keys_BM, axis=1, kind="stable")[:, :drawn]
    chosen_BE = np.take_along_axis(logits_BM, order_BE, axis=1)
    there_BE = chosen_BE > -np.inf
    left_BM, chances_BE = logits_BM.copy(), np.full((num_users, drawn), np.nan)
    for draw in range(drawn):
        there_B = there_BE[:, draw]
        total_B = np.logaddexp.reduce(left_BM[there_B], axis=1)
        chances_BE[there_B, draw] = np.minimum(np.exp(chosen_BE[there_B, draw] - total_B), 1.0)
        np.put_along_axis(left_BM, order_BE[:, draw : draw + 1], -np.inf, axis=1)
    result_BE = np.full((num_users, places), -1, dtype=np.int64)
    told_BE = np.full((num_users, places), np.nan)
    result_BE[:, :drawn] = np.where(there_BE, order_BE, -1)
    told_BE[:, :drawn] = chances_BE
    return result_BE, told_BE


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers without a visible trace of their order.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators (OOPSLA 2014), the finaliser.
    """
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
