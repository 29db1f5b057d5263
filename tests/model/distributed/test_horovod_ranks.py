"""What two ranks do together is in test_launching.py: it takes two processes."""

import os

import pytest
import torch

from intentrec.model.distributed import Launch, launch
from intentrec.model.distributed.horovod_ranks import _LOW_PRIORITY, HorovodRanks, RankLostError, _threads


def priorities(ranks, _):
    """Return how this rank's threads stand, and what many calls in a row bring."""
    summed = [ranks.sum(torch.ones(1)).item() for _ in range(70)]  # more than there are names
    return sorted({os.getpriority(os.PRIO_PROCESS, thread) for thread in _threads()}), summed, ranks.local_rank


def test_horovods_threads_work_below_the_ranks_own_and_names_may_come_again():
    before = os.getpriority(os.PRIO_PROCESS, 0)
    told = launch(priorities, None, Launch(2, "local"))
    for rank, (found, summed, local_rank) in enumerate(told):
        assert found[0] == before
        assert found[-1] == min(19, max(before, _LOW_PRIORITY))
        assert summed == [2.0] * 70
        assert local_rank == rank


class Never:
    """A Horovod whose calls are never done, as where another rank makes none."""

    def poll(self, handle):
        return False


def test_a_rank_waits_no_longer_than_its_time_out():
    ranks = HorovodRanks.__new__(HorovodRanks)
    ranks._hvd, ranks._stall_timeout_s = Never(), 0.05
    with pytest.raises(RankLostError, match=r"waited 0.05 s for the other ranks"):
        ranks._awaited(7)


class OnGpu:
    """A tensor of a GPU, as far as it goes without one."""

    is_cuda, device = True, "cuda:1"

    def cpu(self):
        return torch.tensor([1.0])


@pytest.mark.parametrize("takes_gpu", [True, False])
def test_without_nccl_what_lies_on_a_gpu_goes_through_the_cpu(takes_gpu, monkeypatch):
    ranks, given = HorovodRanks.__new__(HorovodRanks), []
    ranks._takes_gpu = takes_gpu
    monkeypatch.setattr(HorovodRanks, "_awaited", lambda self, handle: Summed(handle))
    result = ranks._done(lambda tensor: given.append(type(tensor)) or 5, OnGpu())
    assert given == [OnGpu if takes_gpu else torch.Tensor]
    assert (result.handle, result.device) == (5, None if takes_gpu else "cuda:1")


class Summed:
    """What Horovod gives back for a handle."""

    def __init__(self, handle, device=None):
        self.handle, self.device = handle, device

    def to(self, device):
        return Summed(self.handle, device)


def test_a_process_has_at_least_one_thread():
    assert os.getpid() in _threads() or not _threads()
