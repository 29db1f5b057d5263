import builtins
import os
import signal
from pathlib import Path

import pytest
import torch

from intentrec.errors import ConfigError, InputError, SetupError, TrainingError
from intentrec.model.distributed import Launch, check_slots, launch
from intentrec.model.distributed.launchers import LAUNCHERS
from intentrec.model.distributed.launching import _failure


def every_call(ranks, argument):
    """What the ranks of one job can do together; one of them may fail on the way."""
    summed = ranks.sum(torch.tensor([1.0, float(ranks.rank)])).tolist()
    joined = ranks.concat(torch.arange(ranks.rank + 1)).tolist()  # one number of the first rank, two of the second
    sent = ranks.broadcast(torch.tensor([ranks.rank + 5])).tolist()
    told = ranks.gather({"rank": ranks.rank, "argument": argument})
    if str(argument).startswith("refuse") and ranks.rank == 1:
        if folder := argument.partition(" ")[2]:
            assert len(list(Path(folder).glob("ranks-*"))) == 1
        raise InputError("vocabulary.json: is missing")
    if argument == "die" and ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    ranks.sum(torch.zeros(1))
    return ranks.rank, ranks.size, summed, sent, told, os.getpid(), torch.get_num_threads(), joined


@pytest.mark.parametrize("launcher", ["single", "local", "spark"])
def test_one_worker_runs_in_this_process_whatever_the_launcher(launcher):
    (result,) = launch(every_call, 7, Launch(1, launcher))
    assert result[:5] == (0, 1, [1.0, 0.0], [5], [{"rank": 0, "argument": 7}])
    assert result[5] == os.getpid()


def test_two_ranks_are_two_processes_that_see_the_same_sums():
    first, second = launch(every_call, 7, Launch(2, "local"))
    told = [{"rank": 0, "argument": 7}, {"rank": 1, "argument": 7}]
    assert first[:5] == (0, 2, [2.0, 1.0], [5], told)
    assert second[:5] == (1, 2, [2.0, 1.0], [5], told)
    assert len({first[5], second[5], os.getpid()}) == 3
    assert first[6] == max(1, os.cpu_count() // 2)
    assert first[7] == second[7] == [0, 0, 1]


def test_the_error_of_a_rank_comes_back_in_one_line(capfd):
    with pytest.raises(InputError, match=r"^rank 1 of 2: vocabulary.json: is missing$"):
        launch(every_call, "refuse", Launch(2, "local"))
    assert "Traceback" not in capfd.readouterr().err


def test_in_debugging_a_failing_rank_prints_its_trace_too_and_its_error_goes_through_a_folder_that_all_see(
    capfd, tmp_path
):
    notes = tmp_path / "notes"
    with pytest.raises(InputError, match=r"^rank 1 of 2: vocabulary.json: is missing$"):
        launch(every_call, f"refuse {notes}", Launch(2, "local", notes=str(notes), debug=True))
    said = capfd.readouterr()
    assert "in every_call" in said.out + said.err
    assert list(notes.iterdir()) == []  # told and removed


def test_notes_that_cannot_be_removed_cost_no_training(monkeypatch, tmp_path):
    def busy(*_, **__):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setitem(LAUNCHERS, "local", lambda entry, how: monkeypatch.setattr(os, "rmdir", busy) or ["trained"])
    assert launch(every_call, 7, Launch(2, "local", notes=str(tmp_path))) == ["trained"]
    monkeypatch.undo()
    assert len([*tmp_path.iterdir()]) == 1


def test_a_folder_for_notes_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"/file/notes: cannot be made \(Not a directory\); free space or correct its"):
        launch(every_call, 7, Launch(2, "local", notes=str(tmp_path / "file" / "notes")))


def test_a_rank_that_is_killed_ends_the_training():
    with pytest.raises(
        TrainingError, match=r"a rank of 2 died or waited longer than 120 s for the others .*; run again"
    ):
        launch(every_call, "die", Launch(2, "local"))


def test_a_rank_alone_fails_as_one_of_several_does():
    with pytest.raises(InputError, match=r"^vocabulary.json: is missing$"):
        launch(fail_with, InputError("vocabulary.json: is missing"))
    with pytest.raises(TrainingError, match=r"^rank 0 of 1: ZeroDivisionError: 1 / 0$"):
        launch(fail_with, ZeroDivisionError("1 / 0"))
    with pytest.raises(TrainingError, match=r"^rank 0 of 1: ValueError$"):
        launch(fail_with, ValueError())


def fail_with(ranks, error):
    raise error


def caused(error, text):
    error.__cause__ = RuntimeError(text)
    return error


NO_HOROVOD = "Traceback:\n  File 'x.py', line 1\nModuleNotFoundError: No module named 'horovod'\n\tat org.apache.spark"
OTHER_PYTHON = (
    "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.10 than that in driver: 3.11, PySpark cannot "
    "run with different minor versions.\nPlease check environment variables"
)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            RuntimeError("Timed out waiting for Spark tasks to start."),
            SetupError,
            "training.workers: 4 ranks did not start in 9 s",
        ),
        (
            Exception("Unable to find a port to bind to."),
            SetupError,
            "training.launcher spark: no port of this machine is free (Unable to find",
        ),
        (
            RuntimeError("exit code\n1"),
            TrainingError,
            "a rank of 4 died or waited longer than 120 s for the others (exit",
        ),
        (
            RuntimeError("Horovod detected that one process exited\nProcess name: 1\nExit code: 137\n"),
            TrainingError,
            "a rank of 4 died or waited longer than 120 s for the others (rank 1 ended first, with exit code 137); run",
        ),
        (SetupError("as it is"), SetupError, "as it is"),
        (
            caused(Exception("Spark job has failed, see the error above."), NO_HOROVOD),
            SetupError,
            "training.launcher spark: a rank cannot import horovod; install the packages of deploy/requirements.lock",
        ),
        (
            caused(Exception("Spark job has failed, see the error above."), OTHER_PYTHON),
            SetupError,
            "training.launcher spark: Python in worker has different version: 3.10 than that in driver: 3.11, Py",
        ),
        (
            OSError(28, "No space left on device", "/notes/environment.json"),
            SetupError,
            "training.launcher spark: /notes/environment.json: No space left on device; free space or correct perm",
        ),
        (
            OSError(28, "No space left on device"),
            SetupError,
            "training.launcher spark: a file of the launcher: No space left on device; free space",
        ),
        (ConnectionResetError(104, "reset by peer"), TrainingError, "a rank of 4 died or waited longer than 120 s"),
    ],
)
def test_what_ended_ranks_that_could_not_tell_it_is_one_line(error, kind, said):
    made = _failure(error, Launch(4, "spark", 9))
    assert type(made) is kind
    assert str(made).startswith(said)
    assert "\n" not in str(made)


def test_a_cause_that_cannot_be_asked_any_more_is_passed_over():
    class GoneError(Exception):
        def __str__(self):
            raise ConnectionRefusedError

    error = Exception("Spark job has failed")
    error.__cause__ = GoneError()
    assert str(_failure(error, Launch(4, "spark"))).startswith("a rank of 4 died or waited")


def test_more_ranks_than_slots_are_refused():
    with pytest.raises(SetupError, match=r"training.workers: 3 ranks need as many task slots, Spark has 2. Lower"):
        launch(every_call, 7, Launch(3, "spark", slots=2))
    check_slots(Launch(2, "spark", slots=2))
    check_slots(Launch(99, "local"))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (Launch(1, "cluster"), "training.launcher must be single, local or spark, is 'cluster'"),
        (Launch(2, "single"), "training.launcher single needs workers 1, is 2"),
    ],
)
def test_an_impossible_launch_is_refused(how, message):
    with pytest.raises(ConfigError, match=message):
        launch(every_call, 7, how)


def test_without_horovod_the_package_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args):
        if name.startswith("horovod"):
            raise ImportError("No module named 'horovod'")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SetupError, match=r"horovod cannot be imported .*; install it with make setup, or set"):
        launch(every_call, 7, Launch(2, "local"))
    assert launch(every_call, 7, Launch(1))[0][0] == 0  # one worker needs none
