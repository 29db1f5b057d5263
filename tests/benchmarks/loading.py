"""The reader of examples: petastorm's path to batches against plain Parquet decoding, and how long steps wait for rows.

Both decode the same columns of the same files: a row number, and four arrays of 50 numbers a row. Decoding alone is
pyarrow's dataset scanner with as many threads as cores; ours is what a rank of training does, shuffled within row
groups. The wait is what a training loop of the sasrec preset spends until its next batch is there.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import torch
from form import Flags, Measured, compared, interleaved, run_benchmark
from training import FEW_ITEMS, WIDTH

from intentrec.model.batches import Batch, Reading, Shard, read_batches
from intentrec.model.job import Settings
from intentrec.model.network import IntentNetwork
from intentrec.model.ranks import OneRank
from intentrec.model.schedule import epoch_batches, plans_of
from intentrec.model.shape import Catalogue, Field, preset_shape
from intentrec.model.steps import Optimiser

LENGTH = 50
GROUP_ROWS = 10_000
FILES = 4
BATCH_ROWS = 1024
STEP_ROWS = 32
COLUMNS = ("row_id", "items", "times", "weights", "features")


def main(flags: Flags) -> Measured:
    """Measure decoding, then the wait of a training loop."""
    num_rows, steps = (100_000, 20) if flags.quick else (1_000_000, 100)
    rounds = 3 if flags.quick else 5
    with tempfile.TemporaryDirectory() as folder:
        shard = _written(Path(folder), num_rows)
        costs = interleaved({"raw": lambda: _decoded(shard), "loader": lambda: _loaded(shard)}, rounds)
        figures = compared(costs, "raw")
        waits = [_wait_share(shard, steps) for _ in range(rounds)]
    figures["loader_vs_raw_decode"] = round(1 / figures["loader_x_raw"], 4)
    figures["loader_rows_per_s"] = round(num_rows / figures["loader_s"], 1)
    figures["loader_wait_share"] = round(float(np.median([share for share, _ in waits])), 5)
    figures["first_batch_s"] = round(float(np.median([first for _, first in waits])), 4)
    config = {"rows": num_rows, "length": LENGTH, "group_rows": GROUP_ROWS, "files": FILES, "batch_rows": BATCH_ROWS}
    return Measured({**config, "steps": steps, "rows_of_a_step": STEP_ROWS, "rounds": rounds}, figures)


def _written(folder: Path, num_rows: int) -> Shard:
    """Write random rows, as build_examples lays them out."""
    random, urls, total = np.random.default_rng(1), [], 0
    for number in range(FILES):
        rows = num_rows // FILES
        ids = np.arange(number * rows, (number + 1) * rows)
        values = {
            "items": (random.integers(1, FEW_ITEMS, rows * LENGTH), pa.int32()),
            "times": (1_700_000_000 + random.integers(0, 86400, rows * LENGTH), pa.int64()),
            "weights": (np.ones(rows * LENGTH), pa.float32()),
            "features": (random.integers(1, 9, rows * LENGTH), pa.int32()),
        }
        offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * LENGTH)
        arrays = [pa.ListArray.from_arrays(offsets, pa.array(given, type=kind)) for given, kind in values.values()]
        path = folder / f"part-{number}.parquet"
        pq.write_table(pa.Table.from_arrays([pa.array(ids), *arrays], names=COLUMNS), path, row_group_size=GROUP_ROWS)
        urls.append(path.as_uri())
        total += int(ids.sum())
    return Shard("train", LENGTH, tuple(urls), num_rows, total)


def _decoded(shard: Shard) -> int:
    files = ds.dataset([url.removeprefix("file://") for url in shard.files], format="parquet")
    return sum(batch.num_rows for batch in files.to_batches(columns=list(COLUMNS)))


def _loaded(shard: Shard) -> int:
    return sum(len(batch.row_ids_B) for batch in read_batches(shard, Reading(0, 1, BATCH_ROWS, seed=1)))


def _wait_share(shard: Shard, steps: int) -> tuple[float, float]:
    """Return the share of a training loop's time that it waits for batches, and the seconds until the first one."""
    torch.manual_seed(1)
    catalogue = Catalogue.without_categories([1] * FEW_ITEMS)
    shape = preset_shape("sasrec", FEW_ITEMS, (Field("kind", 9),), width=WIDTH, layers=2, attention_heads=2)
    optimiser = Optimiser(IntentNetwork(shape, catalogue), catalogue, OneRank(), Settings(warmup_steps=0))
    plans = plans_of([shard], OneRank(), STEP_ROWS * LENGTH)
    batches: Iterator[Batch] = epoch_batches(plans, OneRank(), 1, 120.0, 1)
    began = time.perf_counter()
    optimiser.step(next(batches))
    first, waited, began = time.perf_counter() - began, 0.0, time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        optimiser.step(batch)
    share = waited / (time.perf_counter() - began)
    batches.close()
    return share, first


if __name__ == "__main__":
    sys.exit(run_benchmark("loading", main))
