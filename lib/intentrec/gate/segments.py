"""Guard rails: in which segments of users a challenger falls behind the champion.

U users
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentrec.config import GateConfig
from intentrec.metrics import Interval, paired_relative_difference

Members = NDArray[np.bool_]  # [U]


@dataclass(frozen=True, slots=True)
class Compared:
    """A segment of enough users, and the challenger's paired relative difference to the champion in it."""

    name: str
    num_users: int
    difference: Interval


def compare_segments(
    challenger_U: NDArray[np.floating[Any]],
    champion_U: NDArray[np.floating[Any]],
    segments: Mapping[str, Members],
    settings: GateConfig,
    seed: int,
) -> tuple[Compared, ...]:
    """Compare the two in every segment of at least ``min_segment_users`` users, in the order of ``segments``."""
    if settings.segment_margin is None:
        return ()
    return tuple(
        Compared(name, int(own_U.sum()), paired_relative_difference(challenger_U[own_U], champion_U[own_U], seed))
        for name, own_U in segments.items()
        if own_U.sum() >= settings.min_segment_users
    )


def falls(compared: Sequence[Compared], settings: GateConfig) -> tuple[str, ...]:
    """Say in which segments the challenger is worse than the champion beyond ``segment_margin``.

    The point estimate decides by how much. With ten segments one is 10 % below by chance alone every few nights, so the
    fall counts only where the whole 90 % interval is below 0.

    Returns:
        A sentence for every such segment.
    """
    margin = settings.segment_margin
    return tuple(
        f"{each.difference.value:+.2%} to the champion for the {each.num_users:,} users of {each.name!r} "
        f"(wanted at least {-margin:+.2%})"
        for each in compared
        if margin is not None and each.difference.value < -margin and each.difference.high < 0
    )
