"""A night killed at every crash point, or at any time, and run again: the tables of an undisturbed night."""

import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter

import pytest
from tests.generated import FIRST_NIGHT, NUM_USERS, SECOND_NIGHT
from tests.running import nightly_module
from tests.tables_oracle import contents, rows_of

from intentrec.crashes import CRASH_VARIABLE, file_points, layout_points
from intentrec.tables import EVENTS, RECOMMENDATIONS

POINTS = [(job.STAGE.name, point) for job in nightly_module().JOBS for point in job.STAGE.crash_points]
REPORT_POINTS = file_points("report")[1:]  # it is written after the last stage
# Only a rebuild changes what EVENTS remembers, and does so twice: that it is being filled, and with what.
REBUILDING = [f"{point}{time}" for point in layout_points(EVENTS.name) for time in ("", "#2")]
UNFINISHED = re.compile(r"\.(report\.html\.\d+|\w+-[a-z0-9_]{8})")  # as write_report and mkdtemp name them


def assert_nothing_is_lost(copy) -> None:
    """Every night that is there is complete."""
    lists = Counter(row["run_date"] for row in rows_of(copy.warehouse, RECOMMENDATIONS))
    assert set(lists.values()) == {NUM_USERS}


def assert_nothing_is_left(copy) -> None:
    assert not [path for path in copy.folder.rglob(".*") if UNFINISHED.fullmatch(path.name)]
    shutil.rmtree(copy.folder)


@pytest.mark.parametrize(("stage", "point"), POINTS, ids=[f"{stage}-{point}" for stage, point in POINTS])
def test_a_stage_killed_anywhere_and_run_again_leaves_the_same_tables(copy_before, after, stage, point) -> None:
    began = time.monotonic()
    copy = copy_before(stage)
    died = copy.forked(SECOND_NIGHT, "--only", stage, **{CRASH_VARIABLE: point})
    assert died.returncode == -signal.SIGKILL, f"{point} was not reached: {died.stdout}{died.stderr}"
    assert_nothing_is_lost(copy)
    again = copy.forked(SECOND_NIGHT, "--only", stage)
    assert again.returncode == 0, again.stderr
    assert contents(copy.warehouse) == after[stage]
    print(f"\n{stage} killed at {point}, run again: tables equal ({time.monotonic() - began:.0f} s)")
    assert_nothing_is_left(copy)


@pytest.mark.parametrize("point", REPORT_POINTS)
def test_a_night_killed_while_it_writes_its_report_writes_it_again(copy_before, undisturbed, point) -> None:
    copy = copy_before("write_recommendations")
    died = copy.forked(SECOND_NIGHT, **{CRASH_VARIABLE: point})
    assert died.returncode == -signal.SIGKILL, f"{point} was not reached: {died.stdout}{died.stderr}"
    again = copy.forked(SECOND_NIGHT)
    assert again.returncode == 0, again.stderr
    assert contents(copy.warehouse) == undisturbed
    assert [*copy.folder.rglob(f"{SECOND_NIGHT}/report.html")]
    assert_nothing_is_left(copy)


@pytest.fixture(scope="session")
def night_s(before, undisturbed, tmp_path_factory) -> float:
    """Return the seconds of a whole night, which leaves the same tables as its stages one by one."""
    copy = before["ingest_events"].copied_to(tmp_path_factory.mktemp("timed") / "copy")
    began = time.monotonic()
    done = copy.process(SECOND_NIGHT)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert contents(copy.warehouse) == undisturbed
    return took


@pytest.mark.parametrize("seed", range(10))
def test_a_night_killed_at_any_time_and_run_again_leaves_the_same_tables(
    copy_before, undisturbed, night_s, seed
) -> None:
    copy = copy_before("ingest_events")
    night = copy.started(SECOND_NIGHT)
    after_s = random.Random(seed).uniform(0, night_s)
    try:
        night.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        night.kill()
        night.communicate()
    assert_nothing_is_lost(copy)
    again = copy.forked(SECOND_NIGHT)
    assert again.returncode == 0, again.stderr
    assert contents(copy.warehouse) == undisturbed
    print(f"\nkilled after {after_s:.1f} of {night_s:.1f} s, run again: tables equal")
    assert_nothing_is_left(copy)


@pytest.mark.parametrize("point", ["ingested_files:before_create", "models:after_create", "runs:after_create"])
def test_a_first_night_killed_while_it_makes_its_tables_makes_the_rest(copy_before, undisturbed, point) -> None:
    """Tables are made one after the other by one loop: three places of it."""
    copy = copy_before("ingest_events")
    shutil.rmtree(copy.warehouse)
    died = copy.forked(FIRST_NIGHT, **{CRASH_VARIABLE: point})
    assert died.returncode == -signal.SIGKILL, f"{point} was not reached: {died.stdout}{died.stderr}"
    for night in (FIRST_NIGHT, SECOND_NIGHT):
        again = copy.forked(night)
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
    died = copy.forked(SECOND_NIGHT, "--rebuild", "--only", "ingest_events", **{CRASH_VARIABLE: point})
    assert died.returncode == -signal.SIGKILL, f"{point} was not reached: {died.stdout}{died.stderr}"
    halfway = point in (f"{EVENTS.name}:after_layout", f"{EVENTS.name}:before_layout#2")
    assert copy.forked(SECOND_NIGHT, "--only", "ingest_events").returncode == (2 if halfway else 0)
    again = copy.forked(SECOND_NIGHT, "--rebuild", "--only", "ingest_events")
    assert again.returncode == 0, again.stderr
    assert copy.forked(SECOND_NIGHT).returncode == 0
    assert contents(copy.warehouse) == undisturbed
    print(f"\nrebuild killed at {point}, repeated: tables equal")
    assert_nothing_is_left(copy)
