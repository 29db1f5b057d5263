import numpy as np
import pytest
import torch

from intentrec.model.ragged import Ragged

ROWS = Ragged.of(
    [np.array([3, 1]), np.zeros(0, int), np.array([2])], [np.array([0.5, 1.5]), np.zeros(0), np.array([-1])]
)


def test_rows_are_joined():
    assert ROWS.starts_B.tolist() == [0, 2, 2, 3]
    assert ROWS.items_N.tolist() == [3, 1, 2]
    assert ROWS.values_N.tolist() == [0.5, 1.5, -1.0]


def test_entries_have_a_place_in_a_matrix():
    positions_N, values_N = ROWS.flat(slice(1, 3), 10)
    assert positions_N.tolist() == [12]
    assert values_N.tolist() == [-1.0]
    positions_N, values_N = ROWS.flat(slice(0, 3), 2, slice(2, 4))  # of items 2 and 3 alone
    assert positions_N.tolist() == [1, 4]
    assert values_N.tolist() == [0.5, -1.0]
    assert Ragged.of([np.array([4])]).flat(slice(0, 1), 10)[1] is None


@pytest.mark.parametrize(
    ("rows", "starts", "items"),
    [([2, 0], [0, 1, 3], [2, 3, 1]), ([1], [0, 0], []), ([], [0], []), ([0, 0], [0, 2, 4], [3, 1, 3, 1])],
)
def test_some_rows_in_another_order(rows, starts, items):
    some = ROWS.some(torch.tensor(rows, dtype=torch.int64))
    assert some.starts_B.tolist() == starts
    assert some.items_N.tolist() == items
    assert some.values_N.tolist() == [{3: 0.5, 1: 1.5, 2: -1.0}[item] for item in items]
