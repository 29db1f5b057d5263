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
WEIGHTS = (64.0, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0, 0.0)
SHRINKS = (64.0, 16.0, 4.0, 0.0)  # events
_WINDOW_AT = ((32.0, 16.0), (8.0, 16.0), (4.0, 0.0))  # (weight, shrink) that the window is chosen with
_MAX_USERS = 4000  # the standard error of NDCG is then below 0.005
_KEY = "prior"


@dataclass(frozen=True, slots=True)
class Prior:
    """A window of popularity, its weight, and how soon the network is trusted.

    Attributes:
        hours: length of the window that ends at the instant of scoring.
        weight: of ``popularity_scores``, which lie between 0 and 1, beside the network's logits.
        shrink_events: events of a user at which the network's logits count half; 0: they always count fully.
    """

    hours: int
    weight: float
    shrink_events: float = 0.0

    def bias(self, counts: Counts) -> NDArray[np.float32]:
        """Return float32 [V] to be added to the logits."""
        return np.float32(self.weight) * popularity_scores(np.asarray(counts[self.hours]))


def fit_prior(
    scorer: Scorer, users: JudgedUsers, counts: Counts, allowed: NDArray[np.bool_], k: int
) -> tuple[Prior, float]:
    """Choose window, weight and shrinkage by NDCG@k on validation users.

    Popularity needs no evidence, the network has to earn its share: of all weights and shrinkages whose mean lies
    within one standard error of the best one's, the one nearest to popularity is taken (first more shrinkage, then
    more weight). On 1,800 users the best by mean alone was 3 % worse a week later than this one.

    Args:
        scorer: the model, trained on what lies before the validation days.
        users: of the validation days.
        counts: events of every item in windows that end where those days begin.
        allowed: bool [V], whether an item may be recommended there.
        k: length of the list.

    Returns:
        The prior and its mean NDCG; without users no prior, and nan.

    Source: the one-standard-error rule, Breiman et al., Classification and Regression Trees (1984), section 3.4.3.
    """
    some = users.first(_MAX_USERS)
    if not len(some):
        return Prior(min(counts), 0.0), float("nan")
    plain = ModelRecommender("", scorer, scorer.shape.fields, np.zeros(len(allowed), np.float32), allowed)
    queries = list(plain.encoded(some))

    def quality(prior: Prior) -> NDArray[np.float64]:
        mixed = replace(plain, bias_V=prior.bias(counts), shrink_events=prior.shrink_events)
        lists = [mixed.best(some, chunk, queries_BD, k).numpy() for chunk, queries_BD in queries]
        return ranking_metrics(np.concatenate(lists), some.relevant, k)["ndcg"]

    windows = {hours: max(quality(Prior(hours, *at)).mean() for at in _WINDOW_AT) for hours in sorted(counts)}
    hours = max(windows, key=lambda length: windows[length])
    tried = [Prior(hours, weight, shrink) for shrink in SHRINKS for weight in WEIGHTS if weight or not shrink]
    return _nearest_to_popularity(tried, [quality(prior) for prior in tried])


def _nearest_to_popularity(tried: list[Prior], qualities: list[NDArray[np.float64]]) -> tuple[Prior, float]:
    """Return the first of ``tried`` that is not worse than the best by more than a standard error, and its mean."""
    best_U = max(qualities, key=lambda values_U: values_U.mean())
    for prior, values_U in zip(tried, qualities, strict=True):
        behind_U = best_U - values_U
        if behind_U.mean() <= behind_U.std() / np.sqrt(len(behind_U)):
            return prior, float(values_U.mean())
    raise AssertionError("the best one is not behind itself")


def save_prior(folder: Path, prior: Prior) -> tuple[tuple[str, str, int], ...]:
    """Write the prior into a finished model; return the new (name, sha256, bytes) of every file."""
    artifact = load_artifact(folder)
    return save_artifact(folder, replace(artifact, facts={**artifact.facts, _KEY: asdict(prior)}))


def prior_of(artifact: Artifact) -> Prior:
    """Read the prior from a model."""
    return Prior(**artifact.facts[_KEY])
