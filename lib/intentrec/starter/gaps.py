"""Pauses between a user's events -> the gap that parts sessions, from the valley of their histogram."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DEFAULT_MINUTES = 30
_BINS_A_DECADE = 20
_LONGEST_S = 60 * 86_400.0
_SMOOTH_BINS = 2.0  # standard deviation: a tenth of a decade
_SHORT_S, _LONG_S = 3600.0, 2 * 3600.0  # the peak within sessions lies below, that between them above
_VALLEY_S = (300.0, 6 * 3600.0)
_DEPTH = 0.7  # a valley is at most so high as the lower of its two peaks
_FEWEST = 200  # pauses; fewer make no histogram
_FLOOR = 0.1  # of the way up from the lowest point to the lower peak: all of it is the valley's floor
SHORTEST_S = 86_400.0  # a stretch of log that is shorter does not show the pauses between sessions
_PREFERRED_MINUTES = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 360)


@dataclass(frozen=True, slots=True)
class Gap:
    """What the histogram says.

    Attributes:
        minutes: the proposed gap.
        valley: whether there is a valley; without one ``minutes`` is the usual 30.
        num_pauses: of one second or more.
        edges_s: of the bins, seconds; one more than counts.
        counts: pauses in each bin.
        smooth: the counts after smoothing.
    """

    minutes: int
    valley: bool
    num_pauses: int
    edges_s: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]
    smooth: npt.NDArray[np.float64]


def find_gap(pauses_s: npt.NDArray[np.float64], span_s: float) -> Gap:
    """Propose a session gap.

    Args:
        pauses_s: seconds between consecutive events of one user, of all users, in any order.
        span_s: seconds from the first event to the last; below a day no valley is looked for.

    People pause for seconds to minutes within a session and for hours to days between sessions, so the logarithms of
    the pauses have two peaks. The gap is the middle of the valley's floor, from 5 minutes to 6 hours, as a round number
    of minutes.

    Source: Halfaker et al. 2015, User session identification based on strong regularities in inter-activity time.
    """
    pauses_s = pauses_s[(pauses_s >= 1.0) & (pauses_s < _LONGEST_S)]
    decades = np.log10(_LONGEST_S)
    edges_s = np.logspace(0.0, decades, round(decades * _BINS_A_DECADE) + 1)
    counts = np.histogram(pauses_s, edges_s)[0].astype(np.float64)
    smooth = _smoothed(counts)
    enough = len(pauses_s) >= _FEWEST and span_s >= SHORTEST_S
    valley_s = _valley(smooth, np.sqrt(edges_s[:-1] * edges_s[1:])) if enough else None
    minutes = DEFAULT_MINUTES if valley_s is None else _rounded(valley_s / 60.0)
    return Gap(minutes, valley_s is not None, len(pauses_s), edges_s, counts, smooth)


def pauses_of(users: npt.NDArray[np.int64], times_us: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the seconds between each user's consecutive events; both arrays hold one entry per event."""
    order = np.lexsort((times_us, users))
    same = users[order][1:] == users[order][:-1]
    return np.diff(times_us[order])[same] / 1e6  # type: ignore[no-any-return]


def _smoothed(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    reach = np.arange(-8, 9)
    kernel = np.exp(-0.5 * (reach / _SMOOTH_BINS) ** 2)
    return np.convolve(counts, kernel / kernel.sum(), mode="same")


def _valley(smooth: npt.NDArray[np.float64], centres_s: npt.NDArray[np.float64]) -> float | None:
    """Return the seconds in the middle of the floor, on the logarithmic axis, between the two peaks."""
    short = int(np.argmax(np.where(centres_s < _SHORT_S, smooth, -1.0)))
    long = int(np.argmax(np.where(centres_s > _LONG_S, smooth, -1.0)))
    lower_peak = min(smooth[short], smooth[long])
    within = (centres_s >= _VALLEY_S[0]) & (centres_s <= _VALLEY_S[1])
    within[: short + 1] = within[long:] = False
    if lower_peak == 0 or not within.any():
        return None
    lowest = smooth[within].min()
    if lowest > _DEPTH * lower_peak:
        return None
    floor = np.flatnonzero(within & (smooth <= lowest + _FLOOR * (lower_peak - lowest)))
    return float(np.sqrt(centres_s[floor[0]] * centres_s[floor[-1]]))


def _rounded(minutes: float) -> int:
    return min(_PREFERRED_MINUTES, key=lambda preferred: abs(np.log(preferred / minutes)))
