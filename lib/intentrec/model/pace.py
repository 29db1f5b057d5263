"""How fast a training goes, what it says of that on the way, and when its time is up."""

import logging
import time
from collections.abc import Callable

import torch

from intentrec.model.job import EpochFigures
from intentrec.model.ranks import Ranks

_LOG = logging.getLogger("intentrec.model")
_STEPS_A_LOOK = 16  # a call of all ranks costs 1 to 5 ms
_SECONDS_A_LINE = 20.0


class Pace:
    """The clock of one training; rank 0's decides, so that all ranks stop after the same step."""

    def __init__(self, ranks: Ranks, limit_minutes: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock."""
        self._ranks, self._clock = ranks, clock
        self._deadline = None if limit_minutes is None else clock() + 60 * limit_minutes
        self._epoch_began = self._told = clock()

    def begin_epoch(self) -> None:
        """Count seconds and rows anew."""
        self._epoch_began = self._told = self._clock()

    def seconds(self) -> float:
        """Return the seconds since the epoch began."""
        return self._clock() - self._epoch_began

    def is_over(self, step: int = 0) -> bool:
        """Return whether the time is up; all ranks make this call, and only every 16th step looks at the clock."""
        if self._deadline is None or step % _STEPS_A_LOOK:
            return False
        over = torch.tensor([float(self._ranks.rank == 0 and self._clock() >= self._deadline)])
        return bool(self._ranks.sum(over).item())

    def tell(self, epoch: int, done: tuple[int, int], rows: int, loss: float) -> None:
        """Log a line on rank 0, every twenty seconds at most.

        Args:
            epoch: that is under way.
            done: steps of it that are finished, and all of them.
            rows: that all ranks have read in it so far, about.
            loss: mean item loss of the epoch so far, nats.
        """
        now = self._clock()
        if self._ranks.rank or now - self._told < _SECONDS_A_LINE or not done[0]:
            return
        self._told = now
        took = now - self._epoch_began
        _LOG.info(
            f"epoch {epoch}: {done[0]} of {done[1]} steps, {rows / took:.0f} rows/s, item loss {loss:.4f}, "
            f"{took * (done[1] - done[0]) / done[0]:.0f} s to its end"
        )


def epoch_line(figures: EpochFigures, most: int) -> str:
    """Say how an epoch went, and how long it takes at most to the last one."""
    losses = ", ".join(f"{term} {loss:.4f}" for term, loss in figures.train_loss.items())
    held_out = "" if figures.validation_loss is None else f"; validation item loss {figures.validation_loss:.4f}"
    if figures.skipped_steps:
        held_out += f"; {figures.skipped_steps} steps skipped, their loss or gradient was not finite"
    speed = figures.rows / max(figures.seconds, 1e-9)
    return (
        f"epoch {figures.epoch} of at most {most}: {figures.rows} rows in {figures.seconds:.1f} s, {speed:.0f} rows/s, "
        f"at most {(most - figures.epoch) * figures.seconds:.0f} s to go; losses: {losses}{held_out}"
    )
