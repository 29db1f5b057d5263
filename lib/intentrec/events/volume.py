"""Whether a night brings as many rows as the nights before it."""

import statistics
from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from math import log

from intentrec.config import VolumeConfig
from intentrec.errors import GateError

# A weekday differs from a Sunday by a factor of two or three; whatever the nights before, with the default of 4 a fifth
# to five times of the usual rows pass: exp(4 * 0.4) = 4.95.
_LEAST_SPREAD = 0.4


def refuse_odd_volume(rows: int, run_date: date, before: Mapping[date, int], limits: VolumeConfig) -> None:
    """Refuse a night whose rows are out of all proportion to the nights before.

    Compared are logarithms of rows a day: a night that follows a pause of three days may bring three times as many. The
    first night brings history, one without a row is a day without logs: neither is compared, nor is a run date
    before the newest.

    Args:
        rows: of files that no night has read before.
        run_date: of tonight.
        before: the same number for every run date so far, tonight's for earlier runs of it.
        limits: nights to compare with, and how far tonight may be off.

    Raises:
        GateError: more than ``max_z`` deviations above or below.
    """
    nights = sorted(night for night in before if night < run_date)
    total = rows + before.get(run_date, 0)
    if limits.max_z is None or not rows or not nights or max(before) > run_date:
        return
    rates = [before[night] / (night - previous).days for previous, night in pairwise(nights) if before[night]]
    rates = rates[-limits.nights :]
    if len(rates) < limits.min_nights:
        return
    usual = [log(rate) for rate in rates]
    rate = total / (run_date - nights[-1]).days
    z = (log(rate) - statistics.mean(usual)) / max(statistics.pstdev(usual), _LEAST_SPREAD)
    if abs(z) > limits.max_z:
        usually = f"{statistics.geometric_mean(rates):,.0f} ({len(rates)} nights; {z:+.1f} deviations"
        raise GateError(
            f"input.events: {rate:,.0f} rows a day since {nights[-1]}, usual are {usually}, wanted at most "
            f"{limits.max_z:g}); check the delivery, or accept it with --set input.volume.max_z=null; "
            "no table was changed"
        )
