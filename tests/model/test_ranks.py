import torch

from intentrec.model.ranks import OneRank, cuda_or_cpu


def test_one_rank_gives_back_what_it_gets():
    ranks, numbers = OneRank(), torch.tensor([1.0])
    assert ranks.sum(numbers) is numbers
    assert ranks.concat(numbers) is numbers
    assert ranks.broadcast(numbers) is numbers
    assert ranks.gather("x") == ["x"]


def test_a_rank_computes_on_its_gpu_or_on_the_cpu():
    assert cuda_or_cpu(OneRank()).type == ("cuda" if torch.cuda.is_available() else "cpu")
