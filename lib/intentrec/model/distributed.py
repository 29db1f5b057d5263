"""Starts ranks that train together; the only importer of horovod. One rank needs none of it.

N numbers, summed over ranks
"""

import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from intentrec.errors import ConfigError, InputError, IntentrecError, SetupError, TrainingError
from intentrec.model.ranks import OneRank, Ranks

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")
_POLL_S = 0.0005  # an epoch makes some hundred calls of 1 to 5 ms
_LOW_PRIORITY = 10  # a ninth of the weight of other work: the lowest would starve them on a busy machine
_KNOWN_ERRORS = {kind.__name__: kind for kind in (ConfigError, InputError, SetupError, TrainingError)}


class HorovodRanks:
    """The processes of a Horovod job, started before this is made."""

    def __init__(self) -> None:
        """Join the other ranks; waits for all of them."""
        import horovod.torch as hvd

        before = _threads()
        hvd.init()
        # Gloo's thread asks without pause for what another rank has not sent yet: it took half of two cores.
        for thread in _threads() - before:
            with suppress(OSError):  # it has ended, or this process runs below that already
                os.setpriority(os.PRIO_PROCESS, thread, _LOW_PRIORITY)
        self._hvd = hvd
        self.rank, self.size = hvd.rank(), hvd.size()
        self.local_rank, self.local_size = hvd.local_rank(), hvd.local_size()
        self._calls = 0

    def sum(self, numbers_N: Tensor) -> Tensor:
        """Return the sum over ranks, reduced in place."""
        return self._awaited(self._hvd.allreduce_async_(numbers_N, op=self._hvd.Sum, name=self._name()))

    def concat(self, numbers_N: Tensor) -> Tensor:
        """Return every rank's numbers, by rank."""
        return self._awaited(self._hvd.allgather_async(numbers_N, name=self._name()))

    def broadcast(self, tensor: Tensor) -> Tensor:
        """Return rank 0's tensor, in place."""
        return self._awaited(self._hvd.broadcast_async_(tensor, root_rank=0, name=self._name()))

    def gather(self, value: Any) -> list[Any]:
        """Return every rank's value, by rank."""
        return list(self._hvd.allgather_object(value, name=self._name()))

    def _awaited(self, handle: int) -> Tensor:
        """Sleep until a call is done: Horovod's own wait spins, which takes the core from the threads that send."""
        while not self._hvd.poll(handle):
            time.sleep(_POLL_S)
        return self._hvd.synchronize(handle)  # type: ignore[no-any-return]

    def _name(self) -> str:
        """Return the call's number: ranks that lose step are found by Horovod's stall check, never mixed up."""
        self._calls += 1
        return f"intentrec.{self._calls % 64}"  # names are cached; 64 are enough, since every call is waited for


@dataclass(frozen=True, slots=True)
class Launch:
    """How ranks are started.

    Attributes:
        workers: ranks.
        launcher: single (in this process), local (horovodrun on this machine), spark (the active session's executors).
        start_timeout_s: seconds until all ranks must have started.
        stall_timeout_s: seconds a rank may wait for the others.
        notes: folder that all ranks see, where a failing rank leaves its error; None: a temporary one, which only ranks
            on this machine see.
        debug: a failing rank prints its trace as well.
    """

    workers: int = 1
    launcher: str = "single"
    start_timeout_s: int = 120
    stall_timeout_s: int = 120
    notes: str | None = None
    debug: bool = False


def launch(
    function: Callable[[Ranks, _Argument], _Result], argument: _Argument, how: Launch | None = None
) -> list[_Result]:
    """Run ``function(ranks, argument)`` on every rank and return the results by rank.

    One worker runs in this process, whatever the launcher. Otherwise ``function`` must be importable where the ranks
    run, and ``argument`` picklable.

    Raises:
        SetupError: Horovod is not installed, or the ranks did not start in time.
        TrainingError: a rank failed or died, or waited too long for another; all of them have ended.
        ConfigError: the launcher is unknown.
    """
    how = Launch() if how is None else how
    if how.launcher not in ("single", "local", "spark"):
        raise ConfigError(f"training.launcher must be single, local or spark, is {how.launcher!r}")
    if how.workers == 1:
        return [function(OneRank(), argument)]
    if how.launcher == "single":
        raise ConfigError(f"training.launcher single needs workers 1, is {how.workers}")
    _check_horovod()
    if how.notes is not None:
        Path(how.notes).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ranks-", dir=how.notes) as folder:
        entry = _RankEntry(function, argument, folder, _lowest_threads(how.workers), how.debug)
        try:
            results = _run_local(entry, how) if how.launcher == "local" else _run_on_spark(entry, how)
        except Exception as error:
            raise _failure(error, Path(folder), how) from error
    return list(results)


@dataclass(frozen=True, slots=True)
class _RankEntry:
    """What a rank runs. It leaves its error as a file, since launchers pass on no more than an exit code."""

    function: Callable[[Ranks, Any], Any]
    argument: Any
    failures: str
    threads: int
    debug: bool

    def __call__(self) -> Any:
        torch.set_num_threads(self.threads)
        ranks = HorovodRanks()
        try:
            return self.function(ranks, self.argument)
        except Exception as error:
            _leave_note(Path(self.failures, f"{ranks.rank:05d}.txt"), error)
            if self.debug:
                raise
            # The launcher ends the other ranks; the one line is told by this one's parent.
            raise SystemExit(1) from None


def _leave_note(note: Path, error: Exception) -> None:
    text = " ".join(str(error).split()) or type(error).__name__
    known = type(error).__name__ in _KNOWN_ERRORS
    if note.parent.is_dir():
        kind, text = (type(error).__name__, text) if known else ("TrainingError", f"{type(error).__name__}: {text}")
        note.write_text(f"{kind}\n{text}")


def _lowest_threads(workers: int) -> int:
    return max(1, (os.cpu_count() or 1) // workers)


def _settings(how: Launch) -> dict[str, str]:
    """Return Horovod's settings; its own default is to wait for ever for a rank that has stopped."""
    return {
        "HOROVOD_STALL_CHECK_TIME_SECONDS": str(max(1, how.stall_timeout_s // 2)),
        "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(how.stall_timeout_s),
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(how.stall_timeout_s),
        "OMP_NUM_THREADS": str(_lowest_threads(how.workers)),
        "HOROVOD_LOG_LEVEL": os.environ.get("HOROVOD_LOG_LEVEL", "error"),
    }


def _run_local(entry: _RankEntry, how: Launch) -> list[Any]:
    from horovod.runner import run

    before = dict(os.environ)
    os.environ.update(_settings(how))  # horovodrun hands its own environment to the ranks
    try:
        results: list[Any] = run(
            entry,
            num_proc=how.workers,
            start_timeout=how.start_timeout_s,
            use_gloo=True,
            network_interfaces=[_loopback()],
            disable_cache=True,
        )
    finally:
        os.environ.clear()
        os.environ.update(before)
    return results


def _run_on_spark(entry: _RankEntry, how: Launch) -> list[Any]:
    from horovod.spark import run

    with nullcontext() if how.debug else _without_trace_of_the_launcher():
        results: list[Any] = run(
            entry,
            num_proc=how.workers,
            start_timeout=how.start_timeout_s,
            use_gloo=True,
            env=_settings(how),  # joins the executors' own environment
            verbose=0,
            executable=os.environ.get("PYSPARK_PYTHON", sys.executable),  # the executors' Python, not the driver's
        )
    return results


@contextmanager
def _without_trace_of_the_launcher() -> Iterator[None]:
    """Keep horovod's Spark thread from printing its Java trace when a rank fails; the failure itself is raised."""
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if failure.thread is None or "run_spark" not in failure.thread.name:
            before(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        for thread in threading.enumerate():
            if "run_spark" in thread.name:
                thread.join(timeout=10)
        threading.excepthook = before


def _threads() -> set[int]:
    """Return the numbers of this process's threads; none where the system does not tell."""
    return {int(task.name) for task in Path("/proc/self/task").glob("*")}


def _loopback() -> str:
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in names if name.startswith("lo")), names[0])


def _check_horovod() -> None:
    try:
        import horovod.torch  # noqa: F401
    except ImportError as error:
        raise SetupError(
            f"horovod cannot be imported ({error}); install it with make setup, or set training.workers to 1"
        ) from None


def _failure(error: Exception, folder: Path, how: Launch) -> IntentrecError:
    """Return one line for what ended the ranks: the first rank's own error, else the launcher's."""
    for note in sorted(folder.glob("*.txt")):
        kind, _, told = note.read_text().partition("\n")
        if "Horovod has been shut down" not in told:  # such a rank only lost the others
            return _KNOWN_ERRORS[kind](f"rank {int(note.stem)} of {how.workers}: {told}")
    text = " ".join(str(error).split())[:400]
    if "timed out" in text.lower() and "start" in text.lower():
        return SetupError(f"training.workers: {how.workers} ranks did not start in {how.start_timeout_s} s ({text})")
    return TrainingError(
        f"a rank of {how.workers} died or waited longer than {how.stall_timeout_s} s for the others ({text}); run again"
    )
