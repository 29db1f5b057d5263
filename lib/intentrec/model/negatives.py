"""Items drawn to stand for all others in a sampled loss, the same on every rank.

S negatives of a step   V items + 1 (0 is padding)   I items
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from intentrec.model.batches import seed_of


@dataclass(frozen=True, slots=True)
class Negatives:
    """What is drawn in one step, for all its events together.

    Attributes:
        items_S: int64 item indices, above 0; one may be drawn several times.
        log_counts_S: float32, the log of how often each is drawn in a step on average.
    """

    items_S: Tensor
    log_counts_S: Tensor

    def to(self, device: torch.device) -> "Negatives":
        """Return the negatives on a device."""
        return Negatives(self.items_S.to(device, non_blocking=True), self.log_counts_S.to(device, non_blocking=True))


class NegativeSampler:
    """Draws with the seed of a step, so that all ranks draw alike and a resumed training draws what it would have."""

    def __init__(self, num_items: int, num_drawn: int, seed: int, counts_V: Tensor | None = None) -> None:
        """Draw uniformly, or, with ``counts_V``, half uniformly and half by how often an item is a target.

        Args:
            num_items: greatest item index.
            num_drawn: negatives of a step.
            seed: of the training.
            counts_V: float64, targets of every item in the training rows; None: uniform draws alone.
        """
        self.seed, self.num_items = seed, num_items
        self.num_popular = num_drawn // 2 if counts_V is not None else 0
        self.num_uniform = num_drawn - self.num_popular
        self._shares_I = torch.zeros(num_items, dtype=torch.float64)
        if counts_V is not None:
            self._shares_I = counts_V[1:].double() / counts_V[1:].sum().clamp(min=1)
        self._sums_I = self._shares_I.cumsum(0)

    def draw(self, step: int) -> Negatives:
        """Return the negatives of a step."""
        random = torch.Generator().manual_seed(seed_of(self.seed, "negatives", step))
        places_S = torch.randint(self.num_items, (self.num_uniform,), generator=random)
        if self.num_popular:
            height_S = torch.rand(self.num_popular, generator=random, dtype=torch.float64) * self._sums_I[-1]
            popular_S = torch.searchsorted(self._sums_I, height_S, right=True).clamp(max=self.num_items - 1)
            places_S = torch.cat([places_S, popular_S])
        counts_S = self.num_uniform / self.num_items + self.num_popular * self._shares_I[places_S]
        return Negatives(places_S + 1, counts_S.log().float())
