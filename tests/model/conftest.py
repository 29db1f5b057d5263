"""A small training on disk."""

import pytest
import torch
from tests.model.synthetic import write_job


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors on several threads wait for each other; on a busy machine a hundred times longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_job(tmp_path):
    """Return a function that writes a small table and gives the job that trains on it."""
    return lambda settings=None, shape=None, name="run", **changes: write_job(
        tmp_path, settings, shape, name, **changes
    )
