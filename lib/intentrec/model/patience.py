"""When the learning rate falls, and when a training ends, by what validation said of its epochs."""

from collections.abc import Sequence
from dataclasses import dataclass

from intentrec.model.job import EpochFigures, Settings

FALL = 0.25  # what is left of the learning rate after a fall


@dataclass(frozen=True, slots=True)
class Patience:
    """So many epochs in a row that are no better than the best before, and the rate falls, or training ends.

    Attributes:
        epochs: that many.
        falls: how often the rate falls before training ends.
        by: what is better, as ``Settings.stop_by``.
    """

    epochs: int
    falls: int
    by: str

    @classmethod
    def of(cls, settings: Settings) -> "Patience":
        """Read what the settings say."""
        return cls(settings.patience, settings.rate_falls, settings.stop_by)

    def share(self, figures: Sequence[EpochFigures]) -> float:
        """Return the share of the learning rate that the epoch after these learns with."""
        return float(FALL ** self._counted(figures)[0])

    def fell(self, figures: Sequence[EpochFigures]) -> bool:
        """Return whether the rate fell after the last of these epochs; the next one begins from the best weights."""
        return self._counted(figures)[0] > self._counted(figures[:-1])[0]

    def is_over(self, figures: Sequence[EpochFigures]) -> bool:
        """Return whether training ends after these epochs; never without validation."""
        return self._counted(figures)[1]

    def _counted(self, figures: Sequence[EpochFigures]) -> tuple[int, bool]:
        best, since, falls = (float("inf"), float("inf")), 0, 0
        for epoch in figures:
            found = epoch.badness(self.by)
            if found is None:
                return 0, False
            best, since = (found, 0) if found < best else (best, since + 1)
            if since >= self.epochs:
                if falls == self.falls:
                    return falls, True
                falls, since = falls + 1, 0
        return falls, False
