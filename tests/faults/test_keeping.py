"""A warehouse kept for years: users erased for good, maintenance beside a night, a past night built again."""

import json
import shutil
import signal
from datetime import date, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests import generated
from tests.generated import FIRST_NIGHT, NUM_USERS, SECOND_NIGHT
from tests.running import Flow
from tests.searching import places_of
from tests.tables_oracle import contents, rows_of

from intentrec.crashes import CRASH_VARIABLE
from intentrec.tables import ALL, ERASURE_REQUESTS, RECOMMENDATIONS, RUNS

PERSON = "walker-{:02d}@example.org"  # long enough that no packed bytes hold it by chance
GONE = tuple(map(PERSON.format, (5, 11, 37)))
KEY = {"INTENTREC_ERASURE_KEY": "0123456789abcdef0123456789abcdef"}
THIRD_NIGHT = SECOND_NIGHT + timedelta(days=1)
ASKED = [part for user in GONE for part in ("--user", user)]
# One place of each kind, in the order in which an erasure meets them.
POINTS = (
    "erase_users:start", "erased_users:after_claim", "examples:after_removal", "users:before_removal",
    "sessions:after_removal", "events:after_removal", "sessions:after_layout", "events_quarantine:after_removal",
    "ingested_files:before_change", "events:after_purge", "events:before_purged", "events:after_purged",
    "sessions:before_purge", "recommendations:after_purged", "erased_users:before_change", "receipt:before_rename",
    "erase_users:before_record",
)  # fmt: skip


@pytest.fixture(scope="session")
def filled(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """Two nights, and rows in quarantine that name one of those who will be erased."""
    folder = tmp_path_factory.mktemp("keeping")
    logs = generated.write_logs(folder / "logs", person=PERSON)
    day = logs / f"{FIRST_NIGHT}.json"
    bad = {"id": "bad", "who": GONE[0], "what": "i01", "at": f"{FIRST_NIGHT}T12:00:00+00:00", "did": "steal"}
    day.write_text(day.read_text() + json.dumps(bad) + "\n" + f'{{"who": "{GONE[1]}", broken\n')
    flow = Flow.at(folder / "filled", logs)
    for night in (FIRST_NIGHT, SECOND_NIGHT):
        done = flow.forked(night)
        assert done.returncode == 0, done.stderr
    return flow


def others(flow: Flow, run_date: date | None = None) -> dict[str, list[str]]:
    """Return the rows of everybody else in all tables with users, without the names of runs."""
    wanted = {} if run_date is None else {"run_date": run_date}
    return {
        table.name: sorted(str(row) for row in rows_of(flow.warehouse, table, **wanted) if row["user_id"] not in GONE)
        for table in ALL
        if table is not ERASURE_REQUESTS and "user_id" in table.schema.names and (flow.warehouse / table.name).exists()
        if not wanted or "run_date" in table.schema.names
    }


def traces(flow: Flow) -> list[str]:
    return [place for user in GONE for place in places_of(user, flow.warehouse)]


def test_three_users_leave_no_byte_and_the_next_night_with_the_same_logs_does_not_bring_them_back(
    spark, filled: Flow, tmp_path: Path
) -> None:
    copy = filled.copied_to(tmp_path / "copy")
    before = others(copy)
    assert traces(copy)
    done = copy.forked(SECOND_NIGHT, *ASKED, job="erase_users", **KEY)
    assert done.returncode == 0, done.stderr
    assert not any(user in done.stdout + done.stderr for user in GONE)
    assert traces(copy) == []
    assert others(copy) == before

    logs = shutil.copytree(filled.logs, tmp_path / "logs")
    text = (logs / f"{SECOND_NIGHT}.json").read_text()
    (logs / f"{THIRD_NIGHT}.json").write_text(text.replace(str(SECOND_NIGHT), str(THIRD_NIGHT)).replace("-3-", "-4-"))
    places = (f"input.events.path={logs}/*.json", f"input.users.path={logs}/users.csv")
    second = others(copy, SECOND_NIGHT)
    done = copy.forked(THIRD_NIGHT, "--set", *places, **KEY)
    assert done.returncode == 0, done.stderr
    assert traces(copy) == []
    lists = rows_of(copy.warehouse, RECOMMENDATIONS, run_date=THIRD_NIGHT)
    assert len(lists) == NUM_USERS - len(GONE)
    assert others(copy, SECOND_NIGHT) == second
    without = copy.forked(THIRD_NIGHT + timedelta(days=1), "--set", *places, "--only", "ingest_events")
    assert without.returncode == 7, without.stderr
    print("\nthree users erased: no byte of them is left, before and after the next night with the same logs")


@pytest.mark.parametrize("point", POINTS)
def test_an_erasure_killed_anywhere_and_run_again_is_complete(spark, filled: Flow, tmp_path: Path, point: str) -> None:
    copy = filled.copied_to(tmp_path / "copy")
    before = others(copy)
    died = copy.forked(SECOND_NIGHT, *ASKED, job="erase_users", **KEY, **{CRASH_VARIABLE: point})
    assert died.returncode == -signal.SIGKILL, f"{point} was not reached: {died.stdout}{died.stderr}"
    again = copy.forked(SECOND_NIGHT, *ASKED, job="erase_users", **KEY)
    assert again.returncode == 0, again.stderr
    assert traces(copy) == []
    assert others(copy) == before
    shutil.rmtree(copy.folder)
    print(f"\nerasure killed at {point}, run again: complete")


def test_maintenance_beside_a_night_and_between_its_stages_loses_nothing(copy_before, undisturbed) -> None:
    copy = copy_before("ingest_events")
    least = ("--set", "maintenance.retention_hours=0")
    night, turns = copy.started(SECOND_NIGHT), 0
    while night.poll() is None:
        done = copy.process(SECOND_NIGHT, *least, job="maintain_tables")
        assert done.returncode == 0, done.stderr
        turns += 1
    _, err = night.communicate()
    assert night.returncode == 0, err
    assert contents(copy.warehouse) == undisturbed
    done = copy.forked(SECOND_NIGHT, *least, job="maintain_tables")
    assert done.returncode == 0, done.stderr
    assert contents(copy.warehouse) == undisturbed
    again = copy.forked(SECOND_NIGHT)
    assert again.returncode == 0, again.stderr
    assert contents(copy.warehouse) == undisturbed
    print(f"\nmaintenance {turns} times beside a night: tables equal")


@pytest.mark.parametrize("stage", ["build_sessions", "build_examples", "train_model", "write_recommendations"])
def test_maintenance_before_a_stage_changes_nothing_that_it_sees(copy_before, after, stage: str) -> None:
    copy = copy_before(stage)
    done = copy.forked(SECOND_NIGHT, "--set", "maintenance.retention_hours=0", job="maintain_tables")
    assert done.returncode == 0, done.stderr
    done = copy.forked(SECOND_NIGHT, "--only", stage)
    assert done.returncode == 0, done.stderr
    assert contents(copy.warehouse) == after[stage]
    print(f"\nmaintenance before {stage}: tables equal")
    shutil.rmtree(copy.folder)


def test_the_second_night_is_built_again_with_equal_tables(filled: Flow, tmp_path: Path) -> None:
    copy = filled.copied_to(tmp_path / "copy")
    run_id = rows_of(copy.warehouse, RUNS, run_date=SECOND_NIGHT)[0]["run_id"]
    before = contents(copy.warehouse)
    done = copy.process(SECOND_NIGHT, "--reproduce", run_id)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tables are equal" in done.stdout
    assert contents(copy.warehouse) == before
    again = copy.warehouse / "artifacts" / "reproduced" / run_id / "warehouse"
    night = contents(copy.warehouse, run_date=SECOND_NIGHT)
    assert contents(again, run_date=SECOND_NIGHT)[RECOMMENDATIONS.name] == night[RECOMMENDATIONS.name]
    print(f"\nrun {run_id} built again: {done.stdout.strip().splitlines()[-1]}")
