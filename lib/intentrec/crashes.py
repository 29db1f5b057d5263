"""Places where the fault checks can end the process, as a power cut would: around every commit, rename and fsync."""

import os
import signal
from collections import Counter

CRASH_VARIABLE = "INTENTREC_CRASH_AT"

_reached: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """End the process at once if the environment names this point: ``name``, or ``name#2`` where it is met again."""
    wanted = os.environ.get(CRASH_VARIABLE)
    if wanted is None:
        return
    _reached[name] += 1
    if wanted in (f"{name}#{_reached[name]}", name):
        os.kill(os.getpid(), signal.SIGKILL)


def commit_points(table: str) -> list[str]:
    """Name the places around a commit of rows."""
    return [f"{table}:before_commit", f"{table}:after_commit"]


def layout_points(table: str) -> list[str]:
    """Name the places around a commit of what a table remembers."""
    return [f"{table}:before_layout", f"{table}:after_layout"]


def file_points(what: str) -> list[str]:
    """Name the places around the fsync and the rename by which a file or folder comes into its place."""
    return [f"{what}:before_sync", f"{what}:before_rename", f"{what}:after_rename"]
