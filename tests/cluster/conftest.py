"""One thread for torch."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors on several threads wait for each other; on a busy machine a hundred times longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
