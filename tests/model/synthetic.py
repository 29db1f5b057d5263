"""Small example tables on disk, in the form that build_examples writes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from intentrec.model.batches import Batch, Shard
from intentrec.model.checkpoint import Vocabulary, save_catalogue, save_vocabulary
from intentrec.model.job import Settings, TrainingJob
from intentrec.model.shape import Catalogue, Field, preset_shape

DAY_S = 86400
START_S = 1_700_000_000
NUM_ITEMS = 12
FIELDS = (Field("action", 2), Field("categories", 3, columns=2))


def catalogue_of(num_items=NUM_ITEMS):
    """Item i has main category 1 + i mod 3; every third item a second one; first seen i hours after the start."""
    items = torch.arange(num_items + 1)
    first_VC = torch.stack([1 + items % 3, torch.where(items % 3 == 0, 2, 0)], dim=1)
    first_VC[0] = 0
    return Catalogue(first_VC, torch.where(items > 0, START_S + items * 3600, 0))


def rows_of(num_rows, bucket, seed, num_items=NUM_ITEMS, first_row=0):
    """Histories that walk from an item to the next: item i is followed by i + 1 (mod num_items)."""
    random = np.random.default_rng(seed)
    catalogue = catalogue_of(num_items)
    rows = []
    for row in range(num_rows):
        length = int(random.integers(max(2, bucket // 2), bucket + 1))
        items = (int(random.integers(num_items)) + np.arange(length)) % num_items + 1
        times = START_S + 10 * DAY_S + np.cumsum(random.integers(60, 2 * DAY_S, length))
        actions = 1 + (items % 2)
        categories = catalogue.categories_VC.numpy()[items]
        pad = np.zeros(bucket - length, np.int64)
        padded = [np.concatenate([pad, column]) for column in (items, times, actions, *categories.T)]
        weights = np.concatenate([pad, np.ones(length)]).astype(np.float32)
        rows.append(
            {
                "row_id": first_row + row,
                "length": length,
                "items": padded[0].tolist(),
                "times": padded[1].tolist(),
                "weights": weights.tolist(),
                "features": np.concatenate(padded[2:]).tolist(),
            }
        )
    return rows


def batch_of(rows):
    """The rows as one batch, in their order."""
    tensors = {name: torch.tensor([row[name] for row in rows]) for name in ("items", "times", "weights", "features")}
    features_BCL = tensors["features"].view(len(rows), -1, tensors["items"].shape[1])
    row_ids_B = torch.tensor([row["row_id"] for row in rows])
    return Batch(tensors["items"], tensors["times"], tensors["weights"], features_BCL, row_ids_B)


SCHEMA = pa.schema(
    [
        ("row_id", pa.int64()),
        ("length", pa.int32()),
        ("items", pa.list_(pa.int32())),
        ("times", pa.list_(pa.int64())),
        ("weights", pa.list_(pa.float32())),
        ("features", pa.list_(pa.int32())),
    ]
)


def write_shard(folder: Path, split: str, bucket: int, rows: list[dict], group_rows: list[int]) -> Shard:
    """Write rows as one file, in row groups of the sizes given."""
    path = folder / f"split={split}" / f"length_bucket={bucket}" / "part-0.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    assert sum(group_rows) == len(rows)
    with pq.ParquetWriter(path, SCHEMA) as writer:
        start = 0
        for size in group_rows:
            writer.write_table(pa.Table.from_pylist(rows[start : start + size], SCHEMA), row_group_size=max(size, 1))
            start += size
    return Shard(split, bucket, (path.as_uri(),), len(rows), sum(row["row_id"] for row in rows))


def write_job(folder: Path, settings=None, shape=None, name="run", **changes) -> TrainingJob:
    """Write a small table, and give the job that trains on it."""
    examples = folder / "examples"
    eights, sixteens = rows_of(50, 8, seed=1), rows_of(24, 16, seed=2, first_row=50)
    train = (
        write_shard(examples, "train", 8, eights, [20, 13, 17]),
        write_shard(examples, "train", 16, sixteens, [24]),  # one row group: a rank of two has none
    )
    validation = (write_shard(examples, "validation", 8, rows_of(20, 8, seed=3), [10, 10]),)
    save_catalogue(folder / "catalogue.safetensors", catalogue_of())
    items = tuple(f"item {number}" for number in range(1, NUM_ITEMS + 1))
    values = {"action": ("view", "buy"), "categories": ("red", "green", "blue")}
    save_vocabulary(folder / "vocabulary.json", Vocabulary(items, values))
    job = {
        "train": train,
        "validation": validation,
        "shape": shape or preset_shape("intent", NUM_ITEMS, FIELDS, width=16),
        "settings": replace(settings or Settings(), threads=1),
        "catalogue": str(folder / "catalogue.safetensors"),
        "vocabulary": str(folder / "vocabulary.json"),
        "output": str(folder / name / "model"),
        "checkpoints": str(folder / name / "checkpoints"),
    }
    return TrainingJob(**{**job, **changes})
