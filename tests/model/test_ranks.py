import os

import torch

from intentrec.model.ranks import OneRank, cuda_or_cpu, own_threads, repeatable


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
    with repeatable():
        assert torch.are_deterministic_algorithms_enabled() == torch.cuda.is_available()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with repeatable():
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_rank_takes_its_share_of_the_cores_and_gives_the_callers_threads_back():
    before, ranks = torch.get_num_threads(), OneRank()
    ranks.local_size = 2
    with own_threads(None, ranks):
        assert torch.get_num_threads() == max(1, len(os.sched_getaffinity(0)) // 2)
    with own_threads(3, ranks):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before
