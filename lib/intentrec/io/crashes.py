"""Places where the fault checks can end the process, as a power cut would."""

import os
import signal
from collections.abc import Iterable

from intentrec.tables import Table

CRASH_VARIABLE = "INTENTREC_CRASH_AT"


def crash_points(written: Iterable[Table]) -> list[str]:
    """List the places around the commits to these tables where ``crash_point`` can end the process."""
    return [f"{table.name}:{moment}" for table in written for moment in ("before_commit", "after_commit")]


def crash_point(name: str) -> None:
    """End the process at once if the environment names this point; for the fault checks."""
    if os.environ.get(CRASH_VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
