"""From a function to its results on every rank, or to the one error that ended them."""

import logging
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from intentrec.errors import ConfigError, IntentrecError, SetupError, TrainingError
from intentrec.model.distributed.horovod_ranks import HorovodRanks
from intentrec.model.distributed.launchers import LAUNCHERS, Launch, given_up, lowest_threads, watched
from intentrec.model.distributed.loopback import take_environment
from intentrec.model.distributed.notes import Notes, leave_failure, leave_start, log_into
from intentrec.model.ranks import OneRank, Ranks

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_OTHER_PYTHON = re.compile(r"\[PYTHON_VERSION_MISMATCH\] ([^\n]{1,200})")  # as Spark says it
_FIRST_TO_END = re.compile(r"Process name: (\d+) Exit code: (-?\d+)")  # as Horovod says it


def launch(
    function: Callable[[Ranks, _Argument], _Result], argument: _Argument, how: Launch | None = None
) -> list[_Result]:
    """Run ``function(ranks, argument)`` on every rank and return the results by rank.

    One worker runs in this process, whatever the launcher. Otherwise ``function`` must be importable where the ranks
    run, and ``argument`` picklable.

    Raises:
        SetupError: Horovod is not installed, there are fewer slots than ranks, or the ranks did not start in time.
        TrainingError: a rank failed or died, or waited too long for another; all of them have ended.
        ConfigError: the launcher is unknown.
    """
    how = Launch() if how is None else how
    if how.launcher not in ("single", *LAUNCHERS):
        raise ConfigError(f"training.launcher must be single, local or spark, is {how.launcher!r}")
    if how.workers == 1:
        return [_alone(function, argument)]
    if how.launcher == "single":
        raise ConfigError(f"training.launcher single needs workers 1, is {how.workers}")
    check_slots(how)
    _check_horovod()
    if how.notes is not None:
        _make(Path(how.notes))
    # What NFS keeps for a file that is still open cannot be removed: no reason to lose a finished training.
    with tempfile.TemporaryDirectory(prefix="ranks-", dir=how.notes, ignore_cleanup_errors=True) as folder:
        entry = _RankEntry(function, argument, folder, lowest_threads(how.workers), how)
        notes = Notes(Path(folder), how.workers)
        try:
            with watched(notes, how) as end:
                start = partial(LAUNCHERS[how.launcher], entry, replace(how, notes=folder))
                # Processes of this machine always end, and their launcher forks them, best from the main thread.
                return given_up(start, end) if how.launcher == "spark" else start()
        except Exception as error:
            raise notes.failure() or _failure(error, how) from error


def _alone(function: Callable[[Ranks, _Argument], _Result], argument: _Argument) -> _Result:
    try:
        return function(OneRank(), argument)
    except IntentrecError:
        raise
    except Exception as error:  # as of a rank among others
        text = " ".join(str(error).split())
        raise TrainingError(f"rank 0 of 1: {type(error).__name__}{': ' if text else ''}{text}") from error


def check_slots(how: Launch) -> None:
    """Refuse more ranks than the launcher has room for: it would wait for it until the start times out.

    Raises:
        SetupError: naming both numbers.
    """
    if how.slots is not None and how.slots < how.workers:
        raise SetupError(
            f"training.workers: {how.workers} ranks need as many task slots, Spark has {how.slots}. "
            "Lower training.workers, give spark.master more cores, or set training.launcher to local"
        )


@dataclass(frozen=True, slots=True)
class _RankEntry:
    """What a rank runs."""

    function: Callable[[Ranks, Any], Any]
    argument: Any
    notes: str
    threads: int
    how: Launch

    def __call__(self) -> Any:
        torch.set_num_threads(self.threads)
        folder, rank = Path(self.notes), int(os.environ.get("HOROVOD_RANK", "0"))
        take_environment(folder)
        try:
            ranks = HorovodRanks(self.how.stall_timeout_s)
            leave_start(folder, rank)
            if rank == 0:
                logger = logging.getLogger("intentrec")
                logger.addHandler(log_into(folder))
                logger.setLevel(logging.INFO)
            return self.function(ranks, self.argument)
        except Exception as error:  # noqa: BLE001 the parent raises it
            leave_failure(folder, rank, error)
            if self.how.debug:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            # The one line is told by the parent. At once, since Horovod's own end waits for ranks that may be stalled.
            os._exit(1)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"{folder}: cannot be made ({error.strerror}); free space or correct its permissions, then run again"
        ) from error


def _check_horovod() -> None:
    try:
        import horovod.torch  # noqa: F401
    except ImportError as error:
        raise SetupError(
            f"horovod cannot be imported ({error}); install it with make setup, or set training.workers to 1"
        ) from None


def _failure(error: Exception, how: Launch) -> IntentrecError:
    """Return one line for what ended ranks that could not tell it themselves."""
    if isinstance(error, IntentrecError):
        return error
    surroundings = _surroundings(error, how)
    if surroundings is not None:
        return surroundings
    text = " ".join(str(error).split())[:400]
    if "Unable to find a port" in text:
        return SetupError(f"training.launcher {how.launcher}: no port of this machine is free ({text}); free some")
    if "timed out" in text.lower() and "start" in text.lower():
        return SetupError(f"training.workers: {how.workers} ranks did not start in {how.start_timeout_s} s ({text})")
    first = _FIRST_TO_END.search(text)
    if first is not None:
        text = f"rank {first[1]} ended first, with exit code {first[2]}"
    return TrainingError(
        f"a rank of {how.workers} died or waited longer than {how.stall_timeout_s} s for the others ({text}); run again"
    )


def _surroundings(error: Exception, how: Launch) -> SetupError | None:
    """Return what the machines lack, by an error and what it came from; None where it is not that."""
    texts, found = [str(error)], error.__cause__
    while found is not None:
        with suppress(Exception):  # py4j asks the JVM for the text, and that may be gone
            texts.append(str(found))
        found = found.__cause__
    place, whole = f"training.launcher {how.launcher}", "\n".join(texts)
    missing, other = _NO_MODULE.search(whole), _OTHER_PYTHON.search(whole)
    if other is not None:
        return SetupError(f"{place}: {other[1].strip()} Let PYSPARK_PYTHON name the same Python on all machines")
    if missing is not None:
        return SetupError(
            f"{place}: a rank cannot import {missing[1]}; install the packages of deploy/requirements.lock for the "
            "Python of PYSPARK_PYTHON on every executor"
        )
    if isinstance(error, OSError) and not isinstance(error, (ConnectionError, TimeoutError)):
        said = f"{error.filename or 'a file of the launcher'}: {error.strerror or error}"
        return SetupError(f"{place}: {said}; free space or correct permissions, then run again")
    return None
