from dataclasses import FrozenInstanceError, fields
from datetime import date

import pytest

from intentrec.report import ReportData


def test_only_the_run_and_its_place_are_needed():
    night = ReportData(run_id="r", run_date=date(2024, 5, 1), warehouse="/w")
    empty = {field.name: getattr(night, field.name) for field in fields(night)}
    assert set(empty.values()) == {"r", date(2024, 5, 1), "/w", None, (), 0}


def test_a_night_never_changes(empty_night):
    with pytest.raises(FrozenInstanceError):
        empty_night.verdict = "promoted"
