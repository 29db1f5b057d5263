import builtins
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.model.synthetic import SCHEMA, rows_of, write_shard

from intentrec.errors import InputError, SetupError, TrainingError
from intentrec.model import batches
from intentrec.model.batches import Batch, Reading, Shard, read_batches, seed_of, shares_of_ranks


@pytest.fixture
def shard(tmp_path):
    return write_shard(tmp_path / "examples of may", "train", 8, rows_of(50, 8, seed=1), [20, 13, 17])


def ids(read):
    return [batch.row_ids_B.tolist() for batch in read]


def test_rows_arrive_as_they_were_written(tmp_path):
    row = {
        "row_id": 7,
        "length": 2,
        "items": [0, 5, 6],
        "times": [0, 10**10, 10**10 + 1],
        "weights": [0.0, 1.0, 0.5],
        "features": [0, 1, 2, 0, 3, 4],  # two columns, each as long as the items
    }
    (batch,) = read_batches(write_shard(tmp_path, "train", 3, [row], [1]), Reading(0, 1, 4, seed=1))
    assert batch.items_BL.tolist() == [[0, 5, 6]]
    assert batch.times_BL.tolist() == [[0, 10**10, 10**10 + 1]]
    assert batch.weights_BL.tolist() == [[0.0, 1.0, 0.5]]
    assert batch.features_BCL.tolist() == [[[0, 1, 2], [0, 3, 4]]]
    assert batch.row_ids_B.tolist() == [7]
    dtypes = [batch.items_BL.dtype, batch.times_BL.dtype, batch.weights_BL.dtype, batch.features_BCL.dtype]
    assert dtypes == [torch.int64, torch.int64, torch.float32, torch.int64]


@pytest.mark.parametrize("size", [1, 2, 3, 5])  # five ranks share three row groups: two have no rows
def test_the_ranks_together_read_every_row_once(shard, size):
    read = [ids(read_batches(shard, Reading(rank, size, 16, seed=4))) for rank in range(size)]
    assert sorted(row for rank in read for batch in rank for row in batch) == list(range(50))
    assert [sum(map(len, rank)) for rank in read] == [rows for rows, _ in shares_of_ranks(shard, size)]


def test_every_batch_but_the_last_is_full(shard):
    assert [len(batch) for batch in ids(read_batches(shard, Reading(0, 1, 16, seed=4)))] == [16, 16, 16, 2]
    assert [len(batch) for batch in ids(read_batches(shard, Reading(0, 1, 50, seed=4)))] == [50]


def test_the_order_is_the_seeds(shard):
    first, again, other = (ids(read_batches(shard, Reading(0, 1, 16, seed=seed))) for seed in (4, 4, 5))
    assert first == again
    assert first != other
    assert [row for batch in first for row in batch] != list(range(50))


def test_small_shards_do_not_all_fall_to_the_first_rank(tmp_path):
    holders = set()
    for bucket in (4, 8, 16, 32, 64):
        shard = write_shard(tmp_path, "train", bucket, rows_of(3, bucket, seed=1), [3])
        holders.add(shares_of_ranks(shard, 2).index((3, 1)))
    assert holders == {0, 1}


def test_a_blank_batch_has_one_row_of_padding_without_a_number():
    blank = Batch.blank(4, 3)
    assert blank.items_BL.shape == blank.times_BL.shape == blank.weights_BL.shape == (1, 4)
    assert blank.features_BCL.shape == (1, 3, 4)
    assert len(blank.row_ids_B) == 0
    assert blank.to(torch.device("cpu")).weights_BL.sum() == 0


def test_a_vanished_file_is_named_with_what_to_do(shard, tmp_path):
    path = tmp_path / "examples of may" / "split=train" / "length_bucket=8" / "part-0.parquet"
    assert shares_of_ranks(shard, 1) == [(50, 1)]
    path.unlink()
    message = "part-0.parquet: a file of the pinned version of examples is gone.*run build_examples again"
    with pytest.raises(TrainingError, match=message):
        shares_of_ranks(shard, 1)
    with pytest.raises(TrainingError, match=message):
        list(read_batches(shard, Reading(0, 1, 16, seed=1)))


def test_a_file_that_vanishes_between_count_and_reading_is_named(shard, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "rows_of_groups", lambda files, timeout_s: [[50] for _ in files])
    (tmp_path / "examples of may" / "split=train" / "length_bucket=8" / "part-0.parquet").unlink()
    with pytest.raises(TrainingError, match=r"part-0.parquet: a file of the pinned version of examples is gone"):
        list(read_batches(shard, Reading(0, 1, 16, seed=1)))


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "x.parquet").write_text("not a table")
    with pytest.raises(TrainingError, match=r"x.parquet: examples cannot be read \(ArrowInvalid"):
        shares_of_ranks(Shard("train", 8, ((tmp_path / "x.parquet").as_uri(),), 1), 1)


def test_arrays_of_another_length_than_the_bucket_are_refused(tmp_path):
    shard = write_shard(tmp_path, "train", 8, rows_of(3, 16, seed=1), [3])
    with pytest.raises(InputError, match=r"examples.items of train, length_bucket 8: arrays have 16 entries"):
        list(read_batches(shard, Reading(0, 1, 16, seed=1)))


def test_arrays_of_unequal_length_are_refused(tmp_path):
    rows = [*rows_of(2, 8, seed=1), *rows_of(2, 16, seed=1)]
    shard = write_shard(tmp_path, "train", 8, rows, [4])
    with pytest.raises(
        InputError, match=r"examples.features: arrays of 24 to 48 entries, 0 null, in one row group; run bui"
    ):
        list(read_batches(shard, Reading(0, 1, 16, seed=1)))


def test_storage_that_does_not_answer_ends_the_wait(shard, monkeypatch):
    hanging = threading.Event()
    monkeypatch.setattr(batches, "_open_reader", lambda files, options: hanging.wait(60))
    monkeypatch.setattr(batches, "_CLOSE_S", 0.1)
    began = time.monotonic()
    with pytest.raises(TrainingError, match=r"part-0.parquet: no rows of examples in 2 s; check that the storage"):
        list(read_batches(shard, Reading(0, 1, 16, seed=1, timeout_s=2)))
    assert time.monotonic() - began < 3.5  # the reading thread is not waited for another two seconds
    hanging.set()


def test_without_petastorm_the_package_is_named(shard, monkeypatch):
    real = builtins.__import__

    def without(name, *args):
        if name == "intentrec.model.row_groups":
            raise ImportError("No module named 'petastorm'")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SetupError, match=r"petastorm cannot be imported .*; install the packages of requirements.lock"):
        list(read_batches(shard, Reading(0, 1, 16, seed=1)))


def test_a_reader_that_is_left_early_ends_its_thread(shard):
    read = read_batches(shard, Reading(0, 1, 4, seed=1))
    next(read)
    read.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "examples"]


def test_further_columns_in_the_file_are_not_read(tmp_path):
    table = pa.Table.from_pylist(rows_of(3, 8, seed=1), SCHEMA)
    table = table.append_column("items_of_old", pa.array([[1], [2, 3], []]))  # of unequal length
    pq.write_table(table, tmp_path / "x.parquet")
    shard = Shard("train", 8, ((tmp_path / "x.parquet").as_uri(),), 3)
    assert sorted(ids(read_batches(shard, Reading(0, 1, 16, seed=1)))[0]) == [0, 1, 2]


def test_seeds_differ_by_every_part():
    seeds = {seed_of(1), seed_of(2), seed_of(1, "order"), seed_of(1, "rows"), seed_of(11), seed_of(1, 1)}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seed_of(1, "rows", 2) == 1537024098  # a checkpoint's order must not change between versions
