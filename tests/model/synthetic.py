"""Small example tables on disk, in the form that build_examples writes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from intentrec.model.batches import Batch, Shard
from intentrec.model.shape import Catalogue, Field

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
