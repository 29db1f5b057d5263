"""From a command line to its exit code and its one line on standard error."""

from dataclasses import replace
from pathlib import Path

import pytest
from delta.exceptions import ConcurrentAppendException
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.sql import SparkSession
from tests.ledger.nights import DAY, NAMES, Night, command, raising, write_config

from intentrec.errors import GateError, InputError, IntentrecError, PublishError, SetupError, TrainingError
from intentrec.ledger import Run, opening, run_job
from intentrec.ledger.command import _chosen, translated
from intentrec.ledger.lock import folder_lock


def flags(config: Path, *more: str) -> list[str]:
    return ["--config", str(config), "--run-date", f"{DAY}", *more]


def no_spark(*_: object) -> None:
    raise AssertionError("Spark was started")


def refuse(run: Run) -> None:
    run.refuse("challenger is 7 % worse")


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text.strip()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "jobs/nightly.py: the following arguments are required: --config, --run-date; see --help"),
        (["--config", "c", "--run-date", "31.01.2024"], "--run-date: must be a day as YYYY-MM-DD, is '31.01.2024';"),
        (["--config", "c", "--run-date", "2024-W01-1"], "--run-date: must be a day as YYYY-MM-DD, is '2024-W01-1';"),
        (["--config", "c", "--run-date", "20240131"], "--run-date: must be a day as YYYY-MM-DD, is '20240131';"),
        (["--config", "c", "--run-date", "2024-02-30"], "--run-date: must be a day as YYYY-MM-DD, is '2024-02-30';"),
        (["--from", "build_sessions", "--only", "build_sessions"], "--only: not allowed with argument --from; see"),
        (["--config", "c", "--run-date", "2024-01-31", "--only", "x"], "argument --only: invalid choice: 'x'"),
        (["--config", "c", "--run-date", "2024-01-31", "--sets", "a=b"], "unrecognized arguments: --sets a=b"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_job(*Night().stages(), argv=arguments)
    assert caught.value.code == 2
    assert said in one_line(capsys)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--set", "session.gap_minutes=3"], "session: unknown key, the nearest is sessions"),
        (["--set", "sessions.gap_minutes=-3"], "sessions.gap_minutes: Input should be greater than 0"),
    ],
)
def test_a_wrong_config_is_exit_code_2_before_spark_starts(
    tmp_path: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "start_spark", no_spark)
    assert run_job(*Night().stages(), argv=flags(write_config(tmp_path), *more)) == 2
    assert said in one_line(capsys)
    assert run_job(*Night().stages(), argv=flags(tmp_path / "none.yaml")) == 2
    assert "No such file or directory" in one_line(capsys)


def test_a_held_or_unwritable_warehouse_is_told_before_spark_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "start_spark", no_spark)
    config = write_config(tmp_path)
    with folder_lock(tmp_path / "warehouse", "20240131-first"):
        assert run_job(*Night().stages(), argv=flags(config)) == 6
    assert "is locked by run 20240131-first: pid " in one_line(capsys)
    assert run_job(*Night().stages(), argv=flags(write_config(tmp_path, "config.yaml/warehouse"))) == 7
    assert "config.yaml/warehouse is not writable: Not a directory" in one_line(capsys)


@pytest.fixture(scope="module")
def config(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("commands"))


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("three\nlines\n here"), 3, "three lines here"),
        (TrainingError("loss is nan"), 4, "loss is nan"),
        (OSError(28, "No space left on device"), 7, "No space left on device. What to do: free disk space"),
    ],
)
def test_an_error_of_a_stage_is_one_line_and_its_exit_code(
    config: Path, error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    night = Night()
    night.does["ingest_events"] = raising(error)
    assert run_job(night.stage("ingest_events"), argv=flags(config)) == code
    assert said in one_line(capsys)


def test_debug_adds_the_trace_and_an_error_of_ours_keeps_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night = Night()
    night.does["ingest_events"] = raising(InputError("no rows"))
    assert run_job(night.stage("ingest_events"), argv=flags(config, "--debug")) == 3
    written = capsys.readouterr().err
    assert written.startswith("Traceback")
    assert "in fail" in written
    assert written.endswith("\nno rows\n")
    night.does["ingest_events"] = raising(KeyError("a bug"))
    with pytest.raises(KeyError, match="a bug"):
        run_job(night.stage("ingest_events"), argv=flags(config))


def test_a_refusal_is_exit_code_5_under_strict_and_only_after_the_last_stage(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night, stages, ended = Night(), NAMES[:2], list[str]()
    night.does["ingest_events"] = refuse
    arguments = flags(write_config(tmp_path))
    assert (
        run_job(
            *night.stages(stages),
            argv=[*arguments, "--strict"],
            after=lambda run: ended.append(str(run.outcomes[0].message)),
        )
        == 5
    )
    assert one_line(capsys) == "challenger is 7 % worse"
    assert night.executed() == ["ingest_events", "build_sessions"]
    assert ended == ["challenger is 7 % worse"]
    # Run once more, the night is skipped: nothing has changed, the refusal neither.
    assert run_job(*night.stages(stages), argv=[*arguments, "--strict"]) == 5
    assert one_line(capsys) == "challenger is 7 % worse"
    assert night.executed() == []
    assert run_job(*night.stages(stages), argv=arguments) == 0
    assert "WARNING" in capsys.readouterr().out
    night.does.clear()
    assert run_job(*night.stages(stages), argv=[*arguments, "--rebuild"]) == 0
    assert run_job(*night.stages(stages), argv=[*arguments, "--strict"]) == 0
    assert capsys.readouterr().err == ""
    # The session was active before: it still is, and kept its own settings.
    assert spark.range(2).count() == 2


def test_lists_that_were_refused_are_concluded_too_and_what_fails_there_is_not_what_the_user_reads(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night, concluded = Night(), list[str]()
    night.does["ingest_events"] = raising(GateError("check distinct fails for 3 users"))

    def after(run: Run) -> None:
        concluded.extend(str(outcome.message) for outcome in run.outcomes)
        raise KeyError("the report")

    assert run_job(night.stage("ingest_events"), argv=flags(config), after=after) == 5
    assert one_line(capsys) == "check distinct fails for 3 users"
    assert concluded == ["check distinct fails for 3 users"]
    night.does["ingest_events"] = raising(InputError("no rows"))
    assert run_job(night.stage("ingest_events"), argv=flags(config), after=after) == 3
    assert len(concluded) == 1  # nothing was made that a report could show


def test_from_and_only_choose_stages(tmp_path: Path) -> None:
    every = command(write_config(tmp_path))

    def chosen(**flags: str) -> list[str]:
        return [stage.name for stage in _chosen(Night().stages(), replace(every, **flags))]  # type: ignore[arg-type]

    assert chosen() == list(NAMES)
    assert chosen(first="build_sessions") == list(NAMES[1:])
    assert chosen(only="build_sessions") == ["build_sessions"]


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (OSError(122, "Disk quota exceeded"), SetupError, "free disk space"),
        (
            RuntimeError("x\njava.io.IOException: No space left on device\ny"),
            SetupError,
            "No space left on device. What",
        ),
        (PermissionError(13, "Permission denied", "/data"), SetupError, "make the place writable"),
        (OSError(30, "Read-only file system"), SetupError, "make the place writable"),
        (RuntimeError("java.lang.OutOfMemoryError: Java heap space"), SetupError, "spark.driver.memory"),
        (MemoryError("Cannot allocate memory"), SetupError, "spark.driver.memory"),
        (ConcurrentAppendException("[DELTA_CONCURRENT_APPEND] Files were added"), PublishError, "run again"),
        (RuntimeError("[DELTA_METADATA_CHANGED] by another"), PublishError, "another writer changed the table"),
        (
            Py4JNetworkError("Answer from Java side is empty"),
            SetupError,
            "the Java process died: Py4JNetworkError: Answer",
        ),
        (Py4JError("An error occurred while calling o1.count"), SetupError, "the Java process died"),
        (ConnectionRefusedError(111, "Connection refused"), SetupError, "the Java process died"),
        (RuntimeError("java.net.ConnectException: Connection refused: hms:9083"), SetupError, "metastore or cluster"),
        (RuntimeError("java.net.UnknownHostException: bucket"), SetupError, "check that the storage"),
        (
            RuntimeError("Job 3 cancelled because SparkContext was shut down"),
            SetupError,
            "Spark ended; see above",
        ),
    ],
)
def test_what_the_system_did_is_named_with_a_remedy(error: Exception, kind: type[IntentrecError], said: str) -> None:
    found = translated(error)
    assert type(found) is kind
    assert said in str(found)
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    "error", [KeyError("item_id"), Py4JError("An error occurred while calling o1.f. Trace:\npy4j: no such method")]
)
def test_what_we_did_is_not_explained_away(error: Exception) -> None:
    assert translated(error) is None
