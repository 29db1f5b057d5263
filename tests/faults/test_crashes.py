"""A night killed at every crash point of every stage, then run again: the tables of an undisturbed night."""

import shutil
import signal
import time
from collections import Counter

import pytest
from tests.generated import NUM_USERS, SECOND_NIGHT
from tests.running import nightly_module
from tests.tables_oracle import contents, rows_of

from intentrec.io import CRASH_VARIABLE
from intentrec.tables import RECOMMENDATIONS

POINTS = [(job.STAGE.name, point) for job in nightly_module().JOBS for point in job.STAGE.crash_points]


@pytest.mark.parametrize(("stage", "point"), POINTS, ids=[f"{stage}-{point}" for stage, point in POINTS])
def test_a_night_killed_anywhere_and_run_again_leaves_the_same_tables(copy_before, undisturbed, stage, point) -> None:
    began = time.monotonic()
    copy = copy_before(stage)
    died = copy.process(SECOND_NIGHT, "--from", stage, **{CRASH_VARIABLE: point})
    assert died.returncode == -signal.SIGKILL, f"{point} was not reached: {died.stdout}{died.stderr}"
    lists = Counter(row["run_date"] for row in rows_of(copy.warehouse, RECOMMENDATIONS))
    assert set(lists.values()) == {NUM_USERS}  # every night that is there is complete
    again = copy.process(SECOND_NIGHT)
    assert again.returncode == 0, again.stderr
    assert contents(copy.warehouse) == undisturbed
    print(f"\n{stage} killed at {point}, run again: tables equal ({time.monotonic() - began:.0f} s)")
    shutil.rmtree(copy.folder)
