"""What two ranks do together is in test_launching.py: it takes two processes."""

import os
import sys

import horovod.torch
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


class Built:
    """A Horovod of two ranks on one machine, as far as a rank asks before its first call."""

    def __init__(self, nccl):
        self.nccl_built = lambda: nccl
        self.init = lambda: None
        self.rank = self.local_rank = lambda: 1
        self.size = self.local_size = lambda: 2


@pytest.mark.parametrize(
    ("nccl", "gpus", "first_has_one", "takes_gpu"),
    [(True, 2, True, True), (True, 1, True, False), (True, 2, False, False), (False, 2, True, False)],
)
def test_nccl_is_used_where_every_rank_has_a_gpu_of_its_own(nccl, gpus, first_has_one, takes_gpu, monkeypatch):
    hvd, told = Built(nccl), []
    monkeypatch.setattr(horovod, "torch", hvd)
    monkeypatch.setitem(sys.modules, "horovod.torch", hvd)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(HorovodRanks, "gather", lambda self, own: told.append(own) or [first_has_one, own])
    assert HorovodRanks(1.0)._takes_gpu is takes_gpu
    assert told == [nccl and gpus == 2]  # the others hear of it, else they would go another way


class Summed:
    """What Horovod gives back for a handle."""

    def __init__(self, handle, device=None):
        self.handle, self.device = handle, device

    def to(self, device):
        return Summed(self.handle, device)


def test_a_process_has_at_least_one_thread():
    assert os.getpid() in _threads() or not _threads()
