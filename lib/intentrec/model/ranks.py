"""What the ranks of a training do together, and the one rank that needs no other.

N numbers, summed or joined over ranks
"""

import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from intentrec.errors import TrainingError

_Result = TypeVar("_Result")
_POLL_S = 0.5  # how often the others are told that rank 0 is still at its files
_SLOWEST = 4e6  # bytes a second, written, read again for their hash, and on disk
_LEAST_S = 60.0


class Ranks(Protocol):
    """The processes that train one model. Every rank must make the same calls in the same order."""

    rank: int
    size: int
    local_rank: int
    local_size: int

    def sum(self, numbers_N: Tensor) -> Tensor:
        """Return the sum over ranks, the same bits on every rank; may reuse ``numbers_N``."""

    def concat(self, numbers_N: Tensor) -> Tensor:
        """Return every rank's numbers, by rank; ranks may give different numbers of them."""

    def broadcast(self, tensor: Tensor) -> Tensor:
        """Return rank 0's tensor; may reuse ``tensor``."""

    def gather(self, value: Any) -> list[Any]:
        """Return every rank's value, by rank. Only for values made by the ranks themselves."""


class OneRank:
    """A single process."""

    rank, size, local_rank, local_size = 0, 1, 0, 1

    def sum(self, numbers_N: Tensor) -> Tensor:
        """Return ``numbers_N``."""
        return numbers_N

    def concat(self, numbers_N: Tensor) -> Tensor:
        """Return ``numbers_N``."""
        return numbers_N

    def broadcast(self, tensor: Tensor) -> Tensor:
        """Return ``tensor``."""
        return tensor

    def gather(self, value: Any) -> list[Any]:
        """Return the one value."""
        return [value]


def cuda_or_cpu(ranks: Ranks) -> torch.device:
    """Return this rank's device: the GPU of its local number, made the current one, else the CPU."""
    if torch.cuda.is_available():
        device = torch.device("cuda", ranks.local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)  # else every rank holds memory on the first GPU too
        return device
    return torch.device("cpu")


def cores(limits: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return the cores that this process may use: of its affinity, and of a container's share of their time."""
    own = len(os.sched_getaffinity(0))
    try:
        quota, period = limits.read_text().split()
        return max(1, min(own, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or the quota is "max"
        return own


@contextmanager
def own_threads(wanted: int | None, ranks: Ranks) -> Iterator[None]:
    """Compute with so many threads; None: with this rank's share of the cores that the process may use."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or max(1, cores() // ranks.local_size))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Leave random states outside as they were, and let CUDA take algorithms that give the same bits every time."""
    if device.type == "cpu":
        with torch.random.fork_rng([]):  # by default every rank would start every GPU of its machine
            yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else its products differ from run to run
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with torch.random.fork_rng([device]):
            yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)


def on_first_rank(ranks: Ranks, work: Callable[[], _Result], num_bytes: int, what: str) -> _Result | None:
    """Let rank 0 read or write files, for longer than ranks may wait for each other; all ranks make this call.

    Ten gigabytes of weights and moments take minutes on slow storage. The others are told all the while that rank 0 is
    alive, so that none takes it for stalled.

    Args:
        ranks: all of them.
        work: done on rank 0 alone.
        num_bytes: that it moves, about; at 4 MB a second, and a minute more, rank 0 gives up.
        what: the files, for the error.

    Returns:
        On rank 0 what ``work`` returned, elsewhere None.

    Raises:
        TrainingError: rank 0 gave up.
        Exception: of ``work``, on rank 0.
    """
    if ranks.size == 1:
        return work()
    outcome: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001 raised by the thread that waits
            errors.append(error)

    limit_s = _LEAST_S + num_bytes / _SLOWEST
    worker = threading.Thread(target=run, name="files", daemon=True)
    deadline = time.monotonic() + limit_s
    if ranks.rank == 0:
        worker.start()
    done = False
    while not done:
        if ranks.rank == 0:
            worker.join(_POLL_S)
        done = ranks.gather(not worker.is_alive())[0]
        if not done and time.monotonic() > deadline:
            raise TrainingError(f"{what}: not done in {limit_s:.0f} s; check that the storage answers")
    if errors:
        raise errors[0]
    return outcome[0] if outcome else None


def agree_on(ranks: Ranks, tensors: Mapping[str, Tensor]) -> str:
    """Return the hash of weights in the CPU's memory that all ranks have.

    Raises:
        TrainingError: a rank has others.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    hashes: list[str] = ranks.gather(digest.hexdigest())
    if len(set(hashes)) > 1:
        raise TrainingError(f"the ranks ended with {len(set(hashes))} different sets of weights; run again")
    return hashes[0]
