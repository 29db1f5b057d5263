"""The processes of a Horovod job as ranks.

N numbers, summed over ranks
"""

import os
import pickle
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_POLL_S = 0.0005  # an epoch makes some hundred calls of 1 to 5 ms
_LOW_PRIORITY = 10  # a ninth of the weight of other work: the lowest would starve them on a busy machine


class RankLostError(Exception):
    """Other ranks stall: this one cannot go on, and is not to blame."""


class HorovodRanks:
    """The processes of a Horovod job, started before this is made."""

    def __init__(self, stall_timeout_s: float) -> None:
        """Join the other ranks; waits for all of them, and later in no call longer than ``stall_timeout_s``."""
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
        self._calls, self._stall_timeout_s = 0, stall_timeout_s
        # NCCL refuses two ranks on one GPU, and all must go the same way: one that shares its GPU sends all by the CPU.
        own_gpu = bool(hvd.nccl_built()) and torch.cuda.device_count() >= self.local_size
        self._takes_gpu = all(self.gather(own_gpu))

    def sum(self, numbers_N: Tensor) -> Tensor:
        """Return the sum over ranks, reduced in place."""

        def call(own_N: Tensor) -> int:
            return int(self._hvd.allreduce_async_(own_N, op=self._hvd.Sum, name=self._name()))

        return numbers_N.copy_(self._done(call, numbers_N))

    def concat(self, numbers_N: Tensor) -> Tensor:
        """Return every rank's numbers, by rank."""
        return self._done(lambda own_N: int(self._hvd.allgather_async(own_N, name=self._name())), numbers_N)

    def broadcast(self, tensor: Tensor) -> Tensor:
        """Return rank 0's tensor, in place."""

        def call(own: Tensor) -> int:
            return int(self._hvd.broadcast_async_(own, root_rank=0, name=self._name()))

        return tensor.copy_(self._done(call, tensor))

    def gather(self, value: Any) -> list[Any]:
        """Return every rank's value, by rank."""
        own_N = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        lengths = self.concat(torch.tensor([len(own_N)])).tolist()
        parts = torch.split(self.concat(own_N), lengths)
        return [pickle.loads(part_N.numpy().tobytes()) for part_N in parts]  # noqa: S301 ours

    def _done(self, call: Callable[[Tensor], int], tensor: Tensor) -> Tensor:
        """Return what a call brings; without NCCL, or where ranks share a GPU, what lies on one goes by the CPU."""
        if not tensor.is_cuda or self._takes_gpu:
            return self._awaited(call(tensor))
        return self._awaited(call(tensor.cpu())).to(tensor.device)

    def _awaited(self, handle: int) -> Tensor:
        """Sleep until a call is done: Horovod's own wait spins, which takes the core from the threads that send.

        Raises:
            RankLostError: another rank makes no call for too long. Horovod's own check lets such a one wait for ever:
                measured with a rank asleep whose background thread still answered.
        """
        deadline = time.monotonic() + self._stall_timeout_s
        while not self._hvd.poll(handle):
            if time.monotonic() > deadline:
                raise RankLostError(f"waited {self._stall_timeout_s:g} s for the other ranks")
            time.sleep(_POLL_S)
        return self._hvd.synchronize(handle)  # type: ignore[no-any-return]

    def _name(self) -> str:
        """Return the call's number: ranks that lose step are found by Horovod's stall check, never mixed up."""
        self._calls += 1
        return f"intentrec.{self._calls % 64}"  # names are cached; 64 are enough, since every call is waited for


def _threads() -> set[int]:
    """Return the numbers of this process's threads; none where the system does not tell."""
    return {int(task.name) for task in Path("/proc/self/task").glob("*")}
