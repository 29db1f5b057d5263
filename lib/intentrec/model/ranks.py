"""What the ranks of a training do together, and the one rank that needs no other.

N numbers, summed or joined over ranks
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from intentrec.errors import TrainingError


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


@contextmanager
def own_threads(wanted: int | None, ranks: Ranks) -> Iterator[None]:
    """Compute with so many threads; None: with this rank's share of the cores that the process may use."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or max(1, len(os.sched_getaffinity(0)) // ranks.local_size))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def repeatable() -> Iterator[None]:
    """Let CUDA take the algorithms that give the same bits every time, where it has one; those of the CPU do."""
    if not torch.cuda.is_available():
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else its products differ from run to run
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)


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
