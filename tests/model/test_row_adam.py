import torch
from torch import nn

from intentrec.model.row_adam import RowAdam


def test_rows_move_as_under_torchs_sparse_adam():
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.arange(12.0).view(4, 3)) for _ in range(2))
    biases = nn.Parameter(torch.zeros(4))
    adam, rows_adam = torch.optim.SparseAdam([theirs], lr=0.1, betas=(0.9, 0.98)), RowAdam([ours, biases], (0.9, 0.98))
    for rows in ([0, 2], [2, 3], [3], [0, 2, 3]):
        gradient = torch.randn(len(rows), 3)
        theirs.grad = torch.sparse_coo_tensor([rows], gradient, (4, 3), check_invariants=True)
        adam.step()
        rows_adam.step(torch.tensor(rows), [gradient, gradient[:, 0]], rate=0.1)
    torch.testing.assert_close(ours, theirs)
    moved = ours[:, 0] - torch.tensor([0.0, 3.0, 6.0, 9.0])
    torch.testing.assert_close(biases, moved, rtol=1e-4, atol=1e-5)  # a table of one number a row
    assert ours[1].tolist() == [3.0, 4.0, 5.0]  # never touched
    assert rows_adam.steps == 4


def test_the_state_is_living():
    adam = RowAdam([nn.Parameter(torch.zeros(2, 1))], (0.9, 0.98))
    state = adam.state()
    adam.step(torch.tensor([1]), [torch.tensor([[1.0]])], rate=0.1)
    assert state["steps"] == 1
    torch.testing.assert_close(state["0.first"], torch.tensor([[0.0], [0.1]]))
    torch.testing.assert_close(state["0.second"], torch.tensor([[0.0], [0.02]]))
