import pytest
import torch

from intentrec.model.selection import COARSE, GROUP, NEVER, best, greatest, members, num_groups


@pytest.mark.parametrize(("items", "groups"), [(1, 8), (128, 8), (129, 16), (100_000, 6256)])
def test_all_items_are_in_groups_of_groups(items, groups):
    assert num_groups(items) == groups
    assert groups * GROUP >= items
    assert groups % COARSE == 0


def test_members_of_a_group_lie_a_stride_apart():
    assert members(torch.tensor([[2, 0], [1, 1]]), 3, 5).tolist() == [[2, 7, 12, 0, 5, 10], [1, 6, 11, 1, 6, 11]]


@pytest.mark.parametrize("k", [1, 5, 24])
def test_the_greatest_of_groups_are_those_of_a_sort(k):
    maxima_RG = torch.randn(6, 24, generator=torch.Generator().manual_seed(k))
    found = greatest(maxima_RG, k).sort(dim=1).values
    assert torch.equal(found, maxima_RG.topk(k, dim=1).indices.sort(dim=1).values)


def test_the_best_of_rows_equal_scores_by_smaller_index():
    scores_RV = torch.full((3, 256), NEVER)
    scores_RV[0, [9, 200, 40]] = torch.tensor([1.0, 3.0, 1.0])
    scores_RV[1, 100:] = 2.0
    assert best(scores_RV, 3)[1].tolist() == [[200, 9, 40], [100, 101, 102], [0, 0, 0]]
    assert best(scores_RV, 3)[0].tolist() == [[3.0, 1.0, 1.0], [2.0] * 3, [NEVER] * 3]
