import logging
import signal
import threading
import time

import pytest
from horovod.runner import gloo_run

from intentrec.errors import SetupError, TrainingError
from intentrec.model.distributed import launchers
from intentrec.model.distributed.horovod_ranks import RankLostError
from intentrec.model.distributed.launchers import (
    Launch,
    _errors_of_the_launchers_thread,
    _shipped_path,
    given_up,
    watched,
)
from intentrec.model.distributed.notes import Notes, leave_failure, leave_start


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(launchers, "_LOOK_S", 0.01)
    monkeypatch.setattr(launchers, "_GRACE_S", 0.05)


def ranks_that_wait(seconds=20.0):
    """Wait as Horovod's launcher does: for its ranks, or for the event that ends them."""
    if gloo_run.register_shutdown_event().wait(seconds):
        raise RuntimeError("all processes were ended")


def test_ranks_are_ended_soon_after_one_has_failed(tmp_path):
    notes = Notes(tmp_path, 2)
    for rank in (0, 1):
        leave_start(tmp_path, rank)
    began = time.monotonic()
    threading.Timer(0.1, leave_failure, [tmp_path, 1, ValueError("no")]).start()
    with pytest.raises(RuntimeError, match="all processes were ended"), watched(notes, Launch(2, "local", 1)):
        ranks_that_wait()
    assert time.monotonic() - began < 10  # not the 20 s of the wait


def test_ranks_of_which_one_does_not_start_are_ended(tmp_path):
    leave_start(tmp_path, 0)
    with (
        pytest.raises(SetupError, match=r"training.workers: 2 ranks did not start in 1 s; look at the machines"),
        watched(Notes(tmp_path, 2), Launch(2, "local", 1)),
    ):
        ranks_that_wait()


def test_an_own_failure_at_the_start_is_what_is_told(tmp_path):
    leave_failure(tmp_path, 1, ImportError("no horovod there"))
    with pytest.raises(RuntimeError, match="all processes"), watched(Notes(tmp_path, 2), Launch(2, "local", 1)):
        ranks_that_wait()


class Flickering(Notes):
    """Notes on storage that fails at the first look."""

    looks = 0

    def new_lines(self):
        self.looks += 1
        if self.looks == 1:
            raise OSError(116, "Stale file handle")
        return super().new_lines()


def test_storage_that_fails_once_does_not_end_the_watch(tmp_path):
    notes = Flickering(tmp_path, 2)
    leave_failure(tmp_path, 1, ValueError("no"))
    with pytest.raises(RuntimeError, match="all processes were ended"), watched(notes, Launch(2, "local", 1)):
        ranks_that_wait(5)
    assert notes.looks > 1


def test_a_watch_that_hangs_in_the_storage_does_not_hold_what_is_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(launchers, "_LAST_LOOK_S", 0.05)
    looking, never, notes = threading.Event(), threading.Event(), Notes(tmp_path, 2)

    def hang():
        looking.set()
        never.wait(20)
        return []

    monkeypatch.setattr(notes, "new_lines", hang)
    began = time.monotonic()
    with watched(notes, Launch(2, "local")):
        assert looking.wait(10)
    assert time.monotonic() - began < 10
    never.set()


def test_a_launcher_that_never_ends_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(launchers, "_END_S", 0.1)
    leave_failure(tmp_path, 1, RankLostError("waited 8 s"))  # its machine's neighbour: the machine itself is gone
    never = threading.Event()
    began = time.monotonic()
    with (
        pytest.raises(TrainingError, match=r"the launcher has not ended its ranks in 0.1 s, a machine is gone; run ag"),
        watched(Notes(tmp_path, 2), Launch(2, "spark")) as end,
    ):
        given_up(lambda: never.wait(30) and [], end)
    assert time.monotonic() - began < 10
    never.set()


def test_what_a_launcher_brings_or_raises_comes_through():
    assert given_up(lambda: [1, 2], threading.Event()) == [1, 2]
    with pytest.raises(KeyError, match="no"):
        given_up(lambda: {}["no"], threading.Event())


def test_an_interrupted_wait_ends_the_ranks_first(monkeypatch):
    end, ended = threading.Event(), []

    def interrupted(self, timeout=None):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        given_up(lambda: ended.append(end.wait(20)) or [], end)
    assert ended == [True]


def test_ranks_that_work_are_left_alone_and_their_log_is_handed_on(tmp_path, caplog):
    caplog.set_level(logging.INFO, "intentrec.model")
    for rank in (0, 1):
        leave_start(tmp_path, rank)
    with watched(Notes(tmp_path, 2), Launch(2, "local", 1)):
        ranks_that_wait(1.2)  # longer than the start may take
        (tmp_path / "log").write_text("epoch 1\n")
    assert caplog.messages == ["epoch 1"]


def test_the_jobs_signals_stay_its_own_and_horovod_gets_its_event_back(tmp_path):
    before = gloo_run.register_shutdown_event
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with watched(Notes(tmp_path, 0), Launch(2, "local")):
        event = gloo_run.register_shutdown_event()
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    assert event.is_set()  # nothing that was started inside outlives it
    assert gloo_run.register_shutdown_event is before


def test_ranks_find_shipped_code_where_executors_keep_it_and_then_what_this_process_finds(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/spark/python")
    assert _shipped_path(Launch(2, "spark", shipped=("a.zip", "b.py"))) == {"PYTHONPATH": "a.zip:b.py:/spark/python"}
    assert _shipped_path(Launch(2, "spark")) == {}  # their own stays
    monkeypatch.delenv("PYTHONPATH")
    assert _shipped_path(Launch(2, "spark", shipped=("a.zip",))) == {"PYTHONPATH": "a.zip"}


@pytest.mark.parametrize("shown", [False, True])
def test_the_spark_launchers_thread_prints_no_trace_and_others_do(monkeypatch, shown):
    heard = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: heard.append(failure.thread.name))

    def fail():
        raise RuntimeError("told elsewhere")

    def start_both():
        for name in ("Thread-7 (run_spark)", "reader"):
            thread = threading.Thread(target=fail, name=name)
            thread.start()
            thread.join()

    with _errors_of_the_launchers_thread(shown):
        start_both()
    assert heard == (["Thread-7 (run_spark)"] if shown else []) + ["reader"]
    raised = ValueError("see above")
    with pytest.raises(ValueError, match="see above") as caught, _errors_of_the_launchers_thread(shown):
        raise start_both() or raised
    assert str(caught.value.__cause__) == "told elsewhere"
