"""The places where the fault checks end a process."""

import signal
import subprocess
import sys

import pytest

from intentrec.io import CRASH_VARIABLE, crash_point, crash_points
from intentrec.tables import ITEMS, VOCABULARY


def test_every_commit_has_a_place_before_and_after_it() -> None:
    assert crash_points([ITEMS, VOCABULARY]) == [
        "items:before_commit", "items:after_commit", "vocabulary:before_commit", "vocabulary:after_commit",
    ]  # fmt: skip


def test_a_point_that_is_not_named_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CRASH_VARIABLE, raising=False)
    crash_point("items:before_commit")
    monkeypatch.setenv(CRASH_VARIABLE, "items:after_commit")
    crash_point("items:before_commit")


def test_a_named_point_kills_the_process_without_any_cleaning_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CRASH_VARIABLE, "items:before_commit")
    code = (
        "import atexit; from intentrec.io import crash_point; atexit.register(print, 'cleaned up')\n"
        "try:\n    crash_point('items:before_commit')\nfinally:\n    print('cleaned up')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "")
