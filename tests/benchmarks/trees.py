"""The memory of a process and of all below it; pages that they share count once."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from form import ROOT

_POLL_S = 0.25


def watched(command: list[str], folder: Path) -> tuple[str, float]:
    """Run a command to its end; return what it printed, and the most memory of its tree, in MB."""
    with (folder / "stdout").open("w+") as out, (folder / "stderr").open("w+") as err:
        with subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT) as child:
            peak = 0.0
            while child.poll() is None:
                peak = max(peak, sum(map(_pss_mb, [child.pid, *_below(child.pid)])))
                time.sleep(_POLL_S)
        if child.returncode:
            err.seek(0)
            said = err.read().strip().splitlines() or ["nothing was said"]
            sys.exit(f"{' '.join(command)} ended with {child.returncode}: {said[-1]}")
        out.seek(0)
        return out.read(), peak


def _below(parent: int) -> Iterator[int]:
    try:
        lists = [*Path("/proc", str(parent), "task").glob("*/children")]
    except OSError:
        return  # ended while we looked
    for file in lists:
        try:
            pids = [int(pid) for pid in file.read_text().split()]
        except OSError:
            continue  # so did a thread
        for pid in pids:
            yield pid
            yield from _below(pid)


def _pss_mb(pid: int) -> float:
    try:
        lines = Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
