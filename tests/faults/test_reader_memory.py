"""Memory of the reader over many epochs: what an epoch takes, it gives back."""

import multiprocessing
from pathlib import Path

from tests.model.synthetic import rows_of, write_shard

from intentrec.model.batches import Reading, Shard, read_batches

EPOCHS, WARM = 40, 10


def resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def memory_of_epochs(shard: Shard) -> list[float]:
    """Read every epoch to its end; return the megabytes in use after each."""
    used = []
    for epoch in range(EPOCHS):
        rows = sum(len(batch.row_ids_B) for batch in read_batches(shard, Reading(0, 1, 64, seed=epoch)))
        assert rows == shard.rows
        used.append(resident_mb())
    return used


def test_epochs_leave_no_memory_behind(tmp_path) -> None:
    rows = rows_of(2000, 64, seed=1)
    shard = write_shard(tmp_path, "train", 64, rows, [200] * 10)
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # of this process earlier tests have used some
        used = pool.apply(memory_of_epochs, (shard,))
    grown = used[-1] - used[WARM - 1]
    said = ", ".join(f"{used[epoch - 1]:.0f} MB after {epoch}" for epoch in (1, WARM, EPOCHS))
    print(f"\nepochs of {len(rows)} rows: {said}")
    assert grown < 15, used  # an epoch decodes 4 MB: one that was kept each time would be 120
