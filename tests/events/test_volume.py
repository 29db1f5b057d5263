from datetime import date, timedelta

import pytest

from intentrec.config import VolumeConfig
from intentrec.errors import GateError
from intentrec.events import refuse_odd_volume

FIRST = date(2026, 1, 1)
TONIGHT = date(2026, 1, 9)
# History, then seven nights of a thousand rows.
USUAL = {FIRST: 500_000} | {FIRST + timedelta(days=day): 1000 for day in range(1, 8)}


@pytest.mark.parametrize("rows", [203, 1000, 4900])
def test_a_fifth_to_five_times_of_the_usual_rows_pass(rows: int) -> None:
    refuse_odd_volume(rows, TONIGHT, USUAL, VolumeConfig())


@pytest.mark.parametrize(("rows", "told"), [(10, "10 rows a day"), (10_000, "10,000 rows a day")])
def test_a_hundredth_and_ten_times_are_refused(rows: int, told: str) -> None:
    with pytest.raises(GateError, match=f"{told} since 2026-01-08, usual are 1,000 .7 nights.*max_z=null"):
        refuse_odd_volume(rows, TONIGHT, USUAL, VolumeConfig())


def test_the_limit_is_in_deviations_of_the_logarithm() -> None:
    """With a spread of 0.4 two deviations are a factor of exp(0.8) = 2.2255."""
    refuse_odd_volume(2225, TONIGHT, USUAL, VolumeConfig(max_z=2))
    with pytest.raises(GateError, match=r"\+2\.0 deviations, wanted at most 2\)"):
        refuse_odd_volume(2226, TONIGHT, USUAL, VolumeConfig(max_z=2))


def test_nights_that_vary_allow_more() -> None:
    """Logarithms of 100 and 10,000, four and four, lie 2.3 from their mean: 4 deviations are a factor of 10,000."""
    days = [FIRST, *(FIRST + timedelta(days=day) for day in range(1, 9))]
    varied = {night: (100 if number % 2 else 10_000) for number, night in enumerate(days)}
    refuse_odd_volume(9_900_000, days[-1] + timedelta(days=1), varied, VolumeConfig())
    with pytest.raises(GateError, match=r"\+4\.0 deviations"):
        refuse_odd_volume(10_100_000, days[-1] + timedelta(days=1), varied, VolumeConfig())


def test_rows_are_counted_by_the_day_so_that_a_pause_is_no_surprise() -> None:
    refuse_odd_volume(10_000, date(2026, 1, 18), USUAL, VolumeConfig())
    slow = {FIRST + timedelta(days=10 * night): 10_000 for night in range(9)}
    last = max(slow)
    refuse_odd_volume(1000, last + timedelta(days=1), slow, VolumeConfig())
    with pytest.raises(GateError, match="10,000 rows a day"):
        refuse_odd_volume(10_000, last + timedelta(days=1), slow, VolumeConfig())


def test_an_earlier_run_of_the_night_counts() -> None:
    refuse_odd_volume(10, TONIGHT, USUAL | {TONIGHT: 990}, VolumeConfig())


@pytest.mark.parametrize(
    ("rows", "run_date", "before", "limits"),
    [
        (10, TONIGHT, USUAL, VolumeConfig(max_z=None)),
        (0, TONIGHT, USUAL, VolumeConfig()),
        (10, TONIGHT, {}, VolumeConfig()),
        (10, TONIGHT, USUAL, VolumeConfig(min_nights=8)),
        (10, TONIGHT, USUAL | {date(2026, 2, 1): 1000}, VolumeConfig()),
        (10, TONIGHT, dict.fromkeys(USUAL, 0), VolumeConfig()),
    ],
    ids=["switched_off", "no_row", "first_night", "too_few_nights", "back_fill", "nights_without_rows"],
)
def test_what_is_not_judged(rows, run_date, before, limits) -> None:
    refuse_odd_volume(rows, run_date, before, limits)


def test_only_the_newest_nights_are_compared_with() -> None:
    grown = {night: 10 * 10 ** (number > 0) for number, night in enumerate(USUAL)} | {
        FIRST + timedelta(days=day): 100_000 for day in range(8, 22)
    }
    refuse_odd_volume(100_000, FIRST + timedelta(days=22), grown, VolumeConfig(max_z=1))
