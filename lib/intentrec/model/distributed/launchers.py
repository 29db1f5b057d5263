"""The ways to start ranks: each takes what a rank runs and returns what every rank brought back, by rank."""

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intentrec.errors import SetupError, TrainingError
from intentrec.model.distributed.loopback import few_variables, on_loopback
from intentrec.model.distributed.notes import Notes
from intentrec.model.ranks import cores

_LOG = logging.getLogger("intentrec.model")
_LOOK_S = 0.5  # between two looks at the notes
_GRACE_S = 3.0  # for ranks that lose the others to say so themselves
_END_S = 60.0  # for a launcher to end its ranks
_LAST_LOOK_S = 10.0  # for the watching thread to end; one that hangs in the storage ends with the process
Entry = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Launch:
    """How ranks are started.

    Attributes:
        workers: ranks.
        launcher: single (in this process), local (horovodrun on this machine), spark (the active session's executors).
        start_timeout_s: seconds until all ranks must have started.
        stall_timeout_s: seconds a rank may wait for the others.
        notes: folder that all ranks see, where they tell of their start, their progress and their errors; None: a
            temporary one, which only ranks on this machine see.
        debug: a failing rank prints its trace as well.
        slots: ranks that the launcher has room for; None: as many as wanted.
        shipped: names of the files with Python code that the Spark session has sent to its executors.
    """

    workers: int = 1
    launcher: str = "single"
    start_timeout_s: int = 120
    stall_timeout_s: int = 120
    notes: str | None = None
    debug: bool = False
    slots: int | None = None
    shipped: tuple[str, ...] = ()


def run_local(entry: Entry, how: Launch) -> list[Any]:
    """Run ``entry`` in processes of this machine, by horovodrun over the loopback interface."""
    from horovod.runner import run

    assert how.notes is not None
    with on_loopback(), few_variables(Path(how.notes), _settings(how)):  # horovodrun writes them on command lines
        results: list[Any] = run(
            entry,
            num_proc=how.workers,
            start_timeout=how.start_timeout_s,
            use_gloo=True,
            network_interfaces=[_loopback()],
            disable_cache=True,
        )
    return results


def run_on_spark(entry: Entry, how: Launch) -> list[Any]:
    """Run ``entry`` in a task of the active Spark session each; Horovod finds an interface that all tasks share."""
    from horovod.spark import run

    with _errors_of_the_launchers_thread(how.debug):
        results: list[Any] = run(
            entry,
            num_proc=how.workers,
            start_timeout=how.start_timeout_s,
            use_gloo=True,
            env={**_settings(how), **_shipped_path(how)},  # joins the executors' own environment
            verbose=0,
            executable=os.environ.get("PYSPARK_PYTHON", sys.executable),  # the executors' Python, not the driver's
        )
    return results


LAUNCHERS: dict[str, Callable[[Entry, Launch], list[Any]]] = {"local": run_local, "spark": run_on_spark}


def given_up(work: Callable[[], list[Any]], end: threading.Event) -> list[Any]:
    """Return what ``work`` returns, but wait for no launcher that does not end though it was told to.

    Horovod on Spark asks every machine for the end of its rank, without a limit: one that has vanished never answers.
    The thread is left behind then, and ends with the process.

    Args:
        work: the launcher.
        end: set once all ranks are to end.

    Raises:
        TrainingError: it has not ended 60 s after that.
        Exception: of the launcher.
    """
    outcome: list[list[Any] | BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001 raised by the thread that waits
            outcome.append(error)

    launcher = threading.Thread(target=run, name="launcher", daemon=True)
    launcher.start()
    try:
        while launcher.is_alive() and not end.is_set():
            launcher.join(_LOOK_S)
    finally:
        if launcher.is_alive():  # ended by the watch, or this process is interrupted
            end.set()
            launcher.join(_END_S)
    if not outcome:
        raise TrainingError(f"the launcher has not ended its ranks in {_END_S:g} s, a machine is gone; run again")
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


@contextmanager
def watched(notes: Notes, how: Launch) -> Iterator[threading.Event]:
    """Hand on the log of the ranks started inside, and end them all where one of them does not start or fails.

    Horovod on Spark waits for every rank for ever, for a stalled one too; only an event ends them, which it ties to
    SIGINT and SIGTERM of this process, for good. It is given ours instead, and the signals stay as they were.

    Yields:
        That event.

    Raises:
        SetupError: not all ranks had started in time.
    """
    from horovod.runner import gloo_run

    end, over, late = threading.Event(), threading.Event(), threading.Event()
    register = gloo_run.register_shutdown_event
    gloo_run.register_shutdown_event = lambda: end

    def watch() -> None:
        deadline, started = time.monotonic() + how.start_timeout_s, False
        while not over.wait(_LOOK_S):
            with suppress(OSError):  # storage that fails once must not end the watch: the next look tells
                _hand_on(notes)
                started = started or notes.all_started()
                if notes.any_failed():
                    over.wait(_GRACE_S)
                    end.set()
                elif not started and time.monotonic() > deadline:
                    late.set()
                    end.set()
        with suppress(OSError):
            _hand_on(notes)

    watcher = threading.Thread(target=watch, name="ranks", daemon=True)
    watcher.start()
    try:
        yield end
    except Exception as error:
        if late.is_set():
            raise SetupError(
                f"training.workers: {how.workers} ranks did not start in {how.start_timeout_s} s; look at the machines "
                "or raise training.start_timeout_s"
            ) from error
        raise
    finally:
        end.set()
        over.set()
        watcher.join(_LAST_LOOK_S)
        gloo_run.register_shutdown_event = register


def lowest_threads(workers: int) -> int:
    """Return the threads of a rank where all ranks share this machine's cores."""
    return max(1, cores() // workers)


def _hand_on(notes: Notes) -> None:
    for line in notes.new_lines():
        _LOG.info(line)


def _settings(how: Launch) -> dict[str, str]:
    """Return Horovod's settings; its own default is to wait for ever for a rank that has stopped."""
    return {
        "HOROVOD_STALL_CHECK_TIME_SECONDS": str(max(1, how.stall_timeout_s // 2)),
        "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(how.stall_timeout_s),
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(how.stall_timeout_s),
        "OMP_NUM_THREADS": str(lowest_threads(how.workers)),
        "HOROVOD_LOG_LEVEL": os.environ.get("HOROVOD_LOG_LEVEL", "error"),
    }


def _shipped_path(how: Launch) -> dict[str, str]:
    """Return where ranks find shipped code: Spark tells its own workers alone, and a rank is a process below one.

    An executor keeps the files in the folder that it runs in; Spark's own packages are where this process has them.
    """
    if not how.shipped:
        return {}
    return {"PYTHONPATH": os.pathsep.join([*how.shipped, *filter(None, [os.environ.get("PYTHONPATH")])])}


def _loopback() -> str:
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in names if name.startswith("lo")), names[0])


@contextmanager
def _errors_of_the_launchers_thread(shown: bool) -> Iterator[None]:
    """Let an error in horovod's Spark thread be the cause of the one raised inside, which says no more than "failed".

    Args:
        shown: whether the thread prints its Java trace.
    """
    before = threading.excepthook
    failures: list[BaseException] = []

    def hook(failure: threading.ExceptHookArgs) -> None:
        own = failure.thread is not None and "run_spark" in failure.thread.name
        if own and failure.exc_value is not None:
            failures.append(failure.exc_value)
        if shown or not own:
            before(failure)

    threading.excepthook = hook
    try:
        yield
    except Exception as error:
        _await_the_launchers_thread()
        if failures:
            raise error from failures[0]
        raise
    finally:
        _await_the_launchers_thread()
        threading.excepthook = before


def _await_the_launchers_thread() -> None:
    for thread in threading.enumerate():
        if "run_spark" in thread.name:
            thread.join(timeout=10)
