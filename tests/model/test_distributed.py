import builtins
import os
import signal
import threading
from pathlib import Path

import pytest
import torch

from intentrec.errors import ConfigError, InputError, SetupError, TrainingError
from intentrec.model.distributed import Launch, _failure, _leave_note, _without_trace_of_the_launcher, launch


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


def test_a_rank_that_is_killed_ends_the_training():
    with pytest.raises(
        TrainingError, match=r"a rank of 2 died or waited longer than 120 s for the others .*; run again"
    ):
        launch(every_call, "die", Launch(2, "local"))


def test_a_bug_in_a_rank_is_named_with_its_type(tmp_path):
    _leave_note(tmp_path / "00003.txt", ZeroDivisionError("1 / 0"))
    _leave_note(
        tmp_path / "00001.txt", RuntimeError("Horovod has been shut down. This was caused by")
    )  # lost the other
    error = _failure(RuntimeError("exited"), tmp_path, Launch(4, "local"))
    assert isinstance(error, TrainingError)
    assert str(error) == "rank 3 of 4: ZeroDivisionError: 1 / 0"


def test_the_spark_launchers_thread_prints_no_trace_and_others_do(monkeypatch):
    heard = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: heard.append(failure.thread.name))

    def fail():
        raise RuntimeError("told elsewhere")

    with _without_trace_of_the_launcher():
        for name in ("Thread-7 (run_spark)", "reader"):
            thread = threading.Thread(target=fail, name=name)
            thread.start()
            thread.join()
    assert heard == ["reader"]


def test_ranks_that_do_not_start_in_time_are_a_matter_of_set_up(tmp_path):
    error = _failure(RuntimeError("Timed out waiting for Spark tasks to start."), tmp_path, Launch(4, "spark", 9))
    assert isinstance(error, SetupError)
    assert str(error).startswith("training.workers: 4 ranks did not start in 9 s")


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
