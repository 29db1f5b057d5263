import os
import threading
import time

import pytest
import torch

from intentrec.errors import TrainingError
from intentrec.model import ranks as module
from intentrec.model.ranks import OneRank, cores, cuda_or_cpu, on_first_rank, own_threads, repeatable


def test_one_rank_gives_back_what_it_gets():
    ranks, numbers = OneRank(), torch.tensor([1.0])
    assert ranks.sum(numbers) is numbers
    assert ranks.concat(numbers) is numbers
    assert ranks.broadcast(numbers) is numbers
    assert ranks.gather("x") == ["x"]


def test_ranks_share_the_gpus_of_their_machine(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for local_rank in range(3):
        ranks = OneRank()
        ranks.local_rank = local_rank
        assert cuda_or_cpu(ranks) == torch.device("cuda", local_rank % 2)
    assert chosen == [torch.device("cuda", number) for number in (0, 1, 0)]


def test_a_rank_computes_on_its_gpu_or_on_the_cpu():
    assert cuda_or_cpu(OneRank()).type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_gpu_gives_the_same_bits_again_where_it_can_and_only_while_it_trains(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    states = {torch.device("cuda", 1): "before"}
    monkeypatch.setattr(torch.cuda, "get_rng_state", states.__getitem__)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: states.update({device: state}))
    with repeatable(torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()
    with repeatable(torch.device("cuda", 1)):
        states[torch.device("cuda", 1)] = "drawn from"
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    assert states == {torch.device("cuda", 1): "before"}  # no other GPU was asked


def test_random_numbers_go_on_outside_as_if_nothing_was_trained():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    with repeatable(torch.device("cpu")):
        torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_rank_takes_its_share_of_the_cores_and_gives_the_callers_threads_back():
    before, ranks = torch.get_num_threads(), OneRank()
    ranks.local_size = 2
    with own_threads(None, ranks):
        assert torch.get_num_threads() == max(1, cores() // 2)
    with own_threads(3, ranks):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("limits", "found"),
    [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 64), ("6400000 100000", 64), ("?", 64)],
)
def test_cores_are_those_of_the_container(tmp_path, monkeypatch, limits, found):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert cores(tmp_path / "none") == 64
    (tmp_path / "cpu.max").write_text(f"{limits}\n")
    assert cores(tmp_path / "cpu.max") == found


class FirstOfTwo(OneRank):
    """Rank 0 of two, which notes what it tells the other."""

    size = 2

    def __init__(self):
        self.told = []

    def gather(self, value):
        self.told.append(value)
        return [value, None]


def test_while_the_first_rank_writes_the_others_are_told_that_it_lives(monkeypatch):
    monkeypatch.setattr(module, "_POLL_S", 0.02)
    ranks = FirstOfTwo()
    assert on_first_rank(ranks, lambda: time.sleep(0.2) or "written", 0, "x") == "written"
    assert len(ranks.told) > 3
    assert ranks.told == [False] * (len(ranks.told) - 1) + [True]
    quick = FirstOfTwo()
    assert on_first_rank(quick, lambda: "written", 0, "x") == "written"
    assert quick.told == [True]


def test_the_other_ranks_wait_for_it_and_do_nothing(monkeypatch):
    said = iter([[False, True], [False, True], [True, True]])

    class Second(OneRank):
        rank, size = 1, 2

        def gather(self, value):
            return next(said)

    assert on_first_rank(Second(), lambda: pytest.fail("the work of rank 0"), 0, "x") is None
    assert next(said, None) is None


def test_what_goes_wrong_with_the_files_is_raised_and_a_wait_without_end_is_ended(monkeypatch):
    monkeypatch.setattr(module, "_POLL_S", 0.02)

    def fail():
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        on_first_rank(FirstOfTwo(), fail, 0, "x")
    with pytest.raises(OSError, match="No space left"):
        on_first_rank(OneRank(), fail, 0, "x")
    hanging = threading.Event()
    monkeypatch.setattr(module, "_LEAST_S", 0.1)
    monkeypatch.setattr(module, "_SLOWEST", 10.0)
    with pytest.raises(TrainingError, match=r"/models/m1: not done in 0 s; check that the storage answers"):
        on_first_rank(FirstOfTwo(), lambda: hanging.wait(30), 1, "/models/m1")
    hanging.set()
