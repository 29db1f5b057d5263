"""Spark's own processes killed under a night: it ends within a minute, in one line, and the next run goes on."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.generated import SECOND_NIGHT
from tests.running import reason_of
from tests.tables_oracle import contents


def below(pid: int) -> Iterator[tuple[int, str]]:
    """Yield the processes that a process started, and those that they started, with their command lines."""
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (entry / "cmdline").read_text().replace("\0", " ")
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid:
            yield int(entry.name), command
            yield from below(int(entry.name))


def wait_for(night: subprocess.Popen[str], wanted: str, stage: str, log: Path) -> int:
    """Return the first process below a night whose command holds a word, once a stage has begun."""
    while True:
        assert night.poll() is None, "the night ended before there was something to kill"
        if f"{stage} started" in log.read_text():
            found = [pid for pid, command in below(night.pid) if wanted in command]
            if found:
                return found[0]
        time.sleep(0.05)


@pytest.mark.parametrize(("wanted", "stage"), [("org.apache.spark", "build_sessions"), ("daemon", "build_sessions")])
def test_a_dead_process_of_spark_ends_the_night_in_one_line(copy_before, undisturbed, tmp_path, wanted, stage) -> None:
    copy = copy_before("ingest_events")
    log = tmp_path / "log"
    with log.open("w") as out:
        night = subprocess.Popen(
            copy.command(SECOND_NIGHT), stdout=out, stderr=subprocess.PIPE, text=True, cwd=copy.folder,
            env=copy.environment(),
        )  # fmt: skip
        victim = wait_for(night, wanted, stage, log)
        os.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        _, err = night.communicate(timeout=600)
    took = time.monotonic() - began
    assert night.returncode in (0, 7)  # a Python worker that was idle is started again
    if night.returncode:
        assert took < 60
        reason_of(err)
    assert not [*below(night.pid)]
    assert copy.forked(SECOND_NIGHT).returncode == 0
    assert contents(copy.warehouse) == undisturbed
    print(f"\n{wanted} killed in {stage}: over after {took:.1f} s with {night.returncode}: {err.strip()}")
