"""What a person meets at the command line: one line and the right exit code, and nothing published."""

import fcntl
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.generated import FIRST_NIGHT, SECOND_NIGHT
from tests.running import Flow, nightly_module
from tests.tables_oracle import contents, rows_of, versions

from intentrec.config import STAGES
from intentrec.tables import RUNS

NO_FILE = ("--set", "input.events.path=nowhere/*.json")


@pytest.fixture(scope="module")
def filled(flow: Flow, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A copy that nothing may change."""
    return flow.copied_to(tmp_path_factory.mktemp("nightly") / "copy")


@pytest.fixture
def untouched(filled: Flow) -> Iterator[Flow]:
    before = versions(filled.warehouse)
    yield filled
    after = versions(filled.warehouse)
    assert {name for name in after if after[name] != before.get(name)} <= {RUNS.name}


@pytest.mark.parametrize(
    ("flags", "code", "line"),
    [
        (("--set", "trainin.epochs=3"), 2, r"trainin.*: unknown key, the nearest is training"),
        (("--set", "training.epoch=3"), 2, r"training.epoch: unknown key, the nearest is training.epochs"),
        (("--set", "recommendations.k=0"), 2, r"recommendations.k: Input should be greater than 0"),
        # Before the next ones: where a stage has failed, those after it are not run alone.
        (("--set", "training.workers=64", "training.launcher=spark"), 7, r"training.workers: 64 ranks need as many"),
        (("--set", "sessions.gap_minutes=29"), 2, r"sessions.gap_minutes: is 29, but table sessions was built with 30"),
        (("--set", "input.events.time_unit=ms"), 2, r'time_unit: is "ms", but table events was filled with "iso"'),
        (NO_FILE, 3, r"nowhere/\*.json: no file matches"),
        (("--set", "warehouse=/dev/null/here"), 7, r"warehouse /dev/null/here is not writable: "),
        (("--set", "warehouse=nowhere.here", "artifacts=/tmp"), 2, r"warehouse: nowhere.here names a catalog"),
    ],
)
def test_what_is_refused_says_so_in_one_line_and_publishes_nothing(
    untouched: Flow, capfd: pytest.CaptureFixture[str], flags: tuple[str, ...], code: int, line: str
) -> None:
    if "training.workers=64" in flags:
        flags = (*flags, "--from", "train_model")
    assert untouched.night(SECOND_NIGHT, *flags) == code
    err = capfd.readouterr().err.strip()
    assert "\n" not in err
    assert re.search(line, err), err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--run-date", "2024-5-1"], "argument --run-date: must be a day as YYYY-MM-DD, is '2024-5-1'"),
        (["--run-date", "2024-02-30"], "argument --run-date: must be a day as YYYY-MM-DD, is '2024-02-30'"),
        ([], "the following arguments are required: --run-date"),
        (["--run-date", "2024-05-04", "--only", "train"], "argument --only: invalid choice: 'train'"),
        (
            ["--run-date", "2024-05-04", "--from", "train_model", "--only", "train_model"],
            "argument --only: not allowed with argument --from",
        ),
        (["--run-date", "2024-05-04", "--replay-quarantine"], "unrecognized arguments: --replay-quarantine"),
    ],
)
def test_flags_in_a_wrong_form_are_refused_in_one_line(
    untouched: Flow, capfd: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    from intentrec.ledger import run_job

    with pytest.raises(SystemExit) as ended:
        run_job(*(job.STAGE for job in nightly_module().JOBS), argv=["--config", str(untouched.config), *arguments])
    assert ended.value.code == 2
    err = capfd.readouterr().err.strip()
    assert err.startswith("jobs/nightly.py: ")
    assert line in err
    assert "\n" not in err


def test_debug_shows_the_trace_before_the_line(untouched: Flow, capfd: pytest.CaptureFixture[str]) -> None:
    assert untouched.night(SECOND_NIGHT, *NO_FILE, "--debug") == 3
    *trace, line = capfd.readouterr().err.strip().splitlines()
    assert trace[0].startswith("Traceback")
    assert "no file matches" in line


def test_a_run_that_holds_the_lock_is_named(untouched: Flow, capfd: pytest.CaptureFixture[str]) -> None:
    holder = {"run_id": "r1", "pid": 4321, "host": "night-host", "started_at": "2024-05-04T01:00:00+00:00"}
    with (untouched.warehouse / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate()
        lock.write(json.dumps(holder))
        lock.flush()
        assert untouched.night(SECOND_NIGHT) == 6
    err = capfd.readouterr().err.strip()
    assert "\n" not in err
    assert "locked by run r1: pid 4321 on host night-host since 2024-05-04T01:00:00+00:00" in err


def test_a_table_that_is_not_ours_is_refused_and_left_alone(flow: Flow, tmp_path: Path, spark, capfd) -> None:
    foreign = Flow.at(tmp_path / "foreign", flow.logs)
    spark.range(3).write.format("delta").save(str(foreign.warehouse / "items"))
    assert foreign.night(FIRST_NIGHT) == 3
    err = capfd.readouterr().err.strip()
    assert "\n" not in err
    assert err.startswith("table items: column run_date must be date, is missing")
    assert spark.read.format("delta").load(str(foreign.warehouse / "items")).count() == 3
    assert "recommendations" not in versions(foreign.warehouse)


def test_a_stage_is_refused_before_the_one_that_it_reads_from(flow: Flow, tmp_path: Path, capfd) -> None:
    empty = Flow.at(tmp_path / "empty", flow.logs)
    assert empty.night(FIRST_NIGHT, "--only", "build_sessions") == 3
    err = capfd.readouterr().err.strip()
    assert err == (
        f"table runs: ingest_events has not finished for run date {FIRST_NIGHT}, wanted by build_sessions; "
        "run it first, or jobs/nightly.py"
    )


def test_the_report_is_written_with_its_night(flow: Flow) -> None:
    for night in (FIRST_NIGHT, SECOND_NIGHT):
        report = flow.warehouse / "artifacts" / "reports" / night.isoformat() / "report.html"
        text = report.read_text(encoding="utf-8")
        assert night.isoformat() in text
        assert "<script src" not in text  # self-contained


def test_a_run_that_is_killed_and_run_again_leaves_the_tables_of_an_undisturbed_one(flow: Flow, tmp_path: Path) -> None:
    """A sample of tests/faults, which kills at every point."""
    copy, stage, point = flow.copied_to(tmp_path / "copy"), "write_recommendations", "recommendations:before_commit"
    died = copy.process(SECOND_NIGHT, "--only", stage, "--rebuild", INTENTREC_CRASH_AT=point)
    assert died.returncode == -signal.SIGKILL, died.stderr
    last = max(rows_of(copy.warehouse, RUNS, stage=stage, run_date=SECOND_NIGHT), key=lambda row: row["finished_at"])
    assert last["status"] == "failed"
    assert copy.night(SECOND_NIGHT, "--only", stage) == 0
    last = max(rows_of(copy.warehouse, RUNS, stage=stage, run_date=SECOND_NIGHT), key=lambda row: row["finished_at"])
    assert last["status"] == "finished"
    assert contents(copy.warehouse) == contents(flow.warehouse)


def test_the_stages_are_the_six_jobs_in_order() -> None:
    assert [job.STAGE.name for job in nightly_module().JOBS] == list(STAGES)
    assert os.access(Path(nightly_module().__file__), os.R_OK)
