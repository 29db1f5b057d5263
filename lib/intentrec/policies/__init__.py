"""Re-ranking policies on arrays of candidates; each is off by a zero that leaves the order as it was, bit for bit."""

from intentrec.policies.exploration import explored, user_seeds
from intentrec.policies.greedy import Candidates, Strengths, greedy_places
from intentrec.policies.quota import with_new_items
from intentrec.policies.taste import category_mix, novelty_propensity

__all__ = [
    "Candidates",
    "Strengths",
    "category_mix",
    "explored",
    "greedy_places",
    "novelty_propensity",
    "user_seeds",
    "with_new_items",
]
