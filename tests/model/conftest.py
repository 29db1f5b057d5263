"""A small training on disk."""

from dataclasses import replace

import pytest
import torch
from tests.model.synthetic import FIELDS, NUM_ITEMS, catalogue_of, rows_of, write_shard

from intentrec.model.checkpoint import Vocabulary, save_catalogue, save_vocabulary
from intentrec.model.job import Settings, TrainingJob
from intentrec.model.shape import preset_shape


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

    def make(settings=None, shape=None, name="run", **changes):
        folder = tmp_path / "examples"
        eights, sixteens = rows_of(50, 8, seed=1), rows_of(24, 16, seed=2, first_row=50)
        train = (
            write_shard(folder, "train", 8, eights, [20, 13, 17]),
            write_shard(folder, "train", 16, sixteens, [24]),  # one row group: a rank of two has none
        )
        validation = (write_shard(folder, "validation", 8, rows_of(20, 8, seed=3), [10, 10]),)
        save_catalogue(tmp_path / "catalogue.safetensors", catalogue_of())
        items = tuple(f"item {number}" for number in range(1, NUM_ITEMS + 1))
        values = {"action": ("view", "buy"), "categories": ("red", "green", "blue")}
        save_vocabulary(tmp_path / "vocabulary.json", Vocabulary(items, values))
        job = {
            "train": train,
            "validation": validation,
            "shape": shape or preset_shape("intent", NUM_ITEMS, FIELDS, width=16),
            "settings": replace(settings or Settings(), threads=1),
            "catalogue": str(tmp_path / "catalogue.safetensors"),
            "vocabulary": str(tmp_path / "vocabulary.json"),
            "output": str(tmp_path / name / "model"),
            "checkpoints": str(tmp_path / name / "checkpoints"),
        }
        return TrainingJob(**{**job, **changes})

    return make
