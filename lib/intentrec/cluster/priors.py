"""How much popularity joins the network's scores: fitted on validation users, kept with the model.

V items + 1 (0 is padding)
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from intentrec.baselines import popularity_scores
from intentrec.cluster.judging import Counts, JudgedUsers, ModelRecommender
from intentrec.metrics import ranking_metrics
from intentrec.model.checkpoint import Artifact, load_artifact, save_artifact
from intentrec.model.inference import Scorer

# Logits of a trained network spread over some ten nats, popularity_scores over 1: 64 is popularity nearly alone.
WEIGHTS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_MAX_USERS = 4000  # the best of 50 combinations is found well before the interval of the metric matters
_KEY = "prior"


@dataclass(frozen=True, slots=True)
class Prior:
    """A window of popularity and its weight.

    Attributes:
        hours: length of the window that ends at the instant of scoring.
        weight: of ``popularity_scores``, which lie between 0 and 1, beside the network's logits.
    """

    hours: int
    weight: float

    def bias(self, counts: Counts) -> NDArray[np.float32]:
        """Return float32 [V] to be added to the logits."""
        return np.float32(self.weight) * popularity_scores(np.asarray(counts[self.hours]))


def fit_prior(
    scorer: Scorer, users: JudgedUsers, counts: Counts, allowed: NDArray[np.bool_], k: int
) -> tuple[Prior, float]:
    """Choose the window and weight with the greatest mean NDCG@k on validation users; the lighter of equals.

    Args:
        scorer: the model, trained on what lies before the validation days.
        users: of the validation days.
        counts: events of every item in windows that end where those days begin.
        allowed: bool [V], whether an item may be recommended there.
        k: length of the list.

    Returns:
        The prior and its NDCG; without users no prior, and nan.
    """
    some = users.first(_MAX_USERS)
    shortest = min(counts)
    if not len(some):
        return Prior(shortest, 0.0), float("nan")
    plain = ModelRecommender("", scorer, scorer.shape.fields, np.zeros(len(allowed), np.float32), allowed)
    queries = list(plain.encoded(some))

    def quality(prior: Prior) -> float:
        mixed = replace(plain, bias_V=prior.bias(counts))
        lists = [mixed.best(queries_BD, some.seen[chunk], k).numpy() for chunk, queries_BD in queries]
        return float(ranking_metrics(np.concatenate(lists), some.relevant, k)["ndcg"].mean())

    tried = [Prior(shortest, 0.0)]
    tried += [Prior(hours, weight) for weight in WEIGHTS if weight > 0 for hours in counts]
    qualities = [quality(prior) for prior in tried]
    best = int(np.argmax(qualities))  # the first of equals: the lightest
    return tried[best], qualities[best]


def save_prior(folder: Path, prior: Prior) -> tuple[tuple[str, str, int], ...]:
    """Write the prior into a finished model; return the new (name, sha256, bytes) of every file."""
    artifact = load_artifact(folder)
    return save_artifact(folder, replace(artifact, facts={**artifact.facts, _KEY: asdict(prior)}))


def prior_of(artifact: Artifact) -> Prior:
    """Read the prior from a model."""
    return Prior(**artifact.facts[_KEY])
