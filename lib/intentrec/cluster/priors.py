"""What joins the network's scores: recent popularity, evidence of the last items, how far the network is trusted.

B users   Q queries of a user   V items + 1 (0 is padding)   D width
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intentrec.baselines import Additive, log_popularity, weighted_sum
from intentrec.cluster.judging import Counts, Indices
from intentrec.metrics import Calibration
from intentrec.model.checkpoint import CALIBRATIONS, Artifact, load_artifact, save_artifact

_KEY = "prior"


@dataclass(frozen=True, slots=True)
class Prior:
    """A calibrated mix: score = weight * log popularity + trust in the user's history * (query - center) . item.

    The network learns from months what is popular, and that is stale at night: what all users share, its mean query,
    is taken out of its scores, and popularity as of tonight takes its place.

    Attributes:
        half_life_hours: time in which an event's share of an item's popularity halves.
        weight: of ``log_popularity``.
        shrink_events: events of a user at which the network's logits count half; 0: they always count fully.
        center: mean query of the model that the prior is kept with, D numbers; empty: nothing is taken out.
        evidence: (name of a source, weight of its ``log_shares``).
    """

    half_life_hours: float
    weight: float
    shrink_events: float = 0.0
    center: tuple[float, ...] = ()
    evidence: tuple[tuple[str, float], ...] = ()

    def bias(self, counts: Counts) -> NDArray[np.float32]:
        """Return float32 [V] to be added to the logits."""
        return np.float32(self.weight) * log_popularity(counts, self.half_life_hours)

    def personal(self, queries_BQD: Tensor, items: Sequence[Indices]) -> Tensor:
        """Return what is a user's own of the queries, times n / (n + shrink_events) for users with n events.

        Args:
            queries_BQD: of the network; one vector is taken out of all, so the greatest of Q scores stays the same.
            items: every user's events.
        """
        if self.center:
            queries_BQD = queries_BQD - torch.tensor(self.center)
        lengths_B11 = torch.tensor([len(own) for own in items], dtype=torch.float32).reshape(-1, 1, 1)
        return queries_BQD * (lengths_B11 / (lengths_B11 + self.shrink_events))

    def item_scores(self, bias_V: Tensor | None, num_rows: int) -> Tensor:
        """Return what the network adds to an item for everybody, float32 [V]: it goes out with the mean query."""
        return torch.zeros(num_rows) if bias_V is None or self.center else bias_V

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the names of the evidence that has a weight."""
        return tuple(name for name, weight in self.evidence if weight)

    def additive(self, found: Mapping[str, Additive], num_items: int) -> Additive | None:
        """Return what the evidence adds to each user's scores; None where none has a weight.

        Args:
            found: source -> ``log_shares`` of the users.
            num_items: greatest item index; evidence for later ones is left out.
        """
        parts = [(weight, found[name].up_to(num_items)) for name, weight in self.evidence if weight]
        return weighted_sum(parts, num_items) if parts else None

    def around(self, queries_BQD: Tensor) -> "Prior":
        """Return the same mix for the model that gave these queries; without queries unchanged."""
        if not len(queries_BQD):
            return self
        return replace(self, center=tuple(queries_BQD.double().mean(dim=(0, 1)).float().tolist()))


def half_lives(hours: Sequence[int]) -> tuple[float, ...]:
    """Return the half-lives that are tried, in hours: half of every window."""
    return tuple(length / 2 for length in sorted(hours))


def save_prior(
    folder: Path, prior: Prior, calibrations: Mapping[str, Calibration] | None = None
) -> tuple[tuple[str, str, int], ...]:
    """Write the prior and the calibrations of the heads into a finished model.

    Returns:
        The new (name, sha256, bytes) of every file.
    """
    artifact = load_artifact(folder)
    kept = {head: asdict(own) for head, own in (calibrations or {}).items()}
    facts = {**artifact.facts, _KEY: asdict(prior), CALIBRATIONS: kept}
    return save_artifact(folder, replace(artifact, facts=facts))


def prior_of(artifact: Artifact) -> Prior:
    """Read the prior from a model."""
    facts = artifact.facts[_KEY]
    evidence = tuple((name, weight) for name, weight in facts.get("evidence", ()))
    return Prior(**{**facts, "center": tuple(facts["center"]), "evidence": evidence})
