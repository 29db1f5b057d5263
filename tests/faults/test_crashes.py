"""A night killed at every crash point of every stage, then run again: the tables of an undisturbed night."""

import re
import shutil
import signal
import time
from collections import Counter

import pytest
from tests.generated import FIRST_NIGHT, NUM_USERS, SECOND_NIGHT
from tests.running import nightly_module
from tests.tables_oracle import contents, rows_of

from intentrec.crashes import CRASH_VARIABLE, file_points, layout_points
from intentrec.tables import EVENTS, RECOMMENDATIONS

POINTS = [(job.STAGE.name, point) for job in nightly_module().JOBS for point in job.STAGE.crash_points]
POINTS += [("write_recommendations", point) for point in file_points("report")[1:]]
# Only a rebuild changes what EVENTS remembers, and does so twice: that it is being filled, and with what.
REBUILDING = [f"{point}{time}" for point in layout_points(EVENTS.name) for time in ("", "#2")]


@pytest.mark.parametrize(("stage", "point"), POINTS, ids=[f"{stage}-{point}" for stage, point in POINTS])
def test_a_night_killed_anywhere_and_run_again_leaves_the_same_tables(copy_before, undisturbed, stage, point) -> None:
    began = time.monotonic()
    copy = copy_before(stage)
    only = () if point.startswith("report") else ("--only", stage)
    died = copy.process(SECOND_NIGHT, *only, **{CRASH_VARIABLE: point})
    assert died.returncode == -signal.SIGKILL, f"{point} was not reached: {died.stdout}{died.stderr}"
    lists = Counter(row["run_date"] for row in rows_of(copy.warehouse, RECOMMENDATIONS))
    assert set(lists.values()) == {NUM_USERS}  # every night that is there is complete
    again = copy.process(SECOND_NIGHT)
    assert again.returncode == 0, again.stderr
    assert contents(copy.warehouse) == undisturbed
    unfinished = re.compile(r"\.(report\.html\.\d+|\w+-[a-z0-9_]{8})")  # as write_report and mkdtemp name them
    assert not [path for path in copy.folder.rglob(".*") if unfinished.fullmatch(path.name)]
    print(f"\n{stage} killed at {point}, run again: tables equal ({time.monotonic() - began:.0f} s)")
    shutil.rmtree(copy.folder)


@pytest.mark.parametrize("point", ["ingested_files:before_create", "models:after_create", "runs:after_create"])
def test_a_first_night_killed_while_it_makes_its_tables_makes_the_rest(copy_before, undisturbed, point) -> None:
    """Tables are made one after the other by one loop: three places of it."""
    copy = copy_before("ingest_events")
    shutil.rmtree(copy.warehouse)
    died = copy.process(FIRST_NIGHT, **{CRASH_VARIABLE: point})
    assert died.returncode == -signal.SIGKILL, f"{point} was not reached: {died.stdout}{died.stderr}"
    for night in (FIRST_NIGHT, SECOND_NIGHT):
        again = copy.process(night)
        assert again.returncode == 0, again.stderr
    held = contents(copy.warehouse)
    late = {"events_quarantine", "ingested_files"}  # both days' files were there on the first night
    assert {name: held[name] for name in held if name not in late} == {
        name: undisturbed[name] for name in undisturbed if name not in late
    }
    shutil.rmtree(copy.folder)


@pytest.mark.parametrize("point", REBUILDING)
def test_a_rebuild_killed_anywhere_is_refused_until_it_is_repeated(copy_before, undisturbed, point) -> None:
    copy = copy_before("end")
    died = copy.process(SECOND_NIGHT, "--rebuild", "--only", "ingest_events", **{CRASH_VARIABLE: point})
    assert died.returncode == -signal.SIGKILL, f"{point} was not reached: {died.stdout}{died.stderr}"
    halfway = point in (f"{EVENTS.name}:after_layout", f"{EVENTS.name}:before_layout#2")
    assert copy.process(SECOND_NIGHT, "--only", "ingest_events").returncode == (2 if halfway else 0)
    again = copy.process(SECOND_NIGHT, "--rebuild", "--only", "ingest_events")
    assert again.returncode == 0, again.stderr
    assert copy.process(SECOND_NIGHT).returncode == 0
    assert contents(copy.warehouse) == undisturbed
    print(f"\nrebuild killed at {point}, repeated: tables equal")
    shutil.rmtree(copy.folder)
