"""A rank that dies in training: exit code 4, one line, nothing published; run again, the night ends well."""

import os
import signal
import time

import psutil
import pytest
from tests.generated import NUM_USERS, SECOND_NIGHT
from tests.tables_oracle import contents, rows_of

from intentrec.tables import MODELS, RECOMMENDATIONS


def rank_processes(job: int) -> list[psutil.Process]:
    """Find the processes that Horovod started for its ranks, below a job."""
    found = []
    for process in psutil.Process(job).children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if any("exec_fn" in word or "run_task" in word for word in words) and "python" in words[0]:
            found.append(process)
    return found


@pytest.mark.parametrize("launcher", ["spark", "local"])
def test_a_killed_rank_ends_the_night_and_the_next_run_goes_on(copy_before, launcher: str) -> None:
    copy = copy_before("train_model")
    held = contents(copy.warehouse)
    flags = (
        "--set",
        "training.workers=2",
        f"training.launcher={launcher}",
        "training.epochs=60",
        "training.patience=60",
    )
    night = copy.started(SECOND_NIGHT, *flags, "--from", "train_model")
    checkpoints = copy.warehouse / "artifacts" / "training"
    while not [*checkpoints.glob("*/checkpoints/*")]:
        assert night.poll() is None, night.communicate()
        time.sleep(0.1)
    *_, rank = rank_processes(night.pid)
    os.kill(rank.pid, signal.SIGKILL)
    began = time.monotonic()
    out, err = night.communicate(timeout=300)
    took = time.monotonic() - began
    assert night.returncode == 4, out + err
    said = [line for line in err.splitlines() if "rank" in line]
    assert len(said) == 1, err
    assert "Traceback" not in err
    assert contents(copy.warehouse) == held
    again = copy.process(SECOND_NIGHT, *flags, "--from", "train_model")
    assert again.returncode == 0, again.stderr
    assert len(rows_of(copy.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)) == NUM_USERS
    assert len(rows_of(copy.warehouse, MODELS, run_date=SECOND_NIGHT)) == 2
    print(f"\n{launcher}: a rank killed, exit code 4 after {took:.0f} s: {said[0]}")
