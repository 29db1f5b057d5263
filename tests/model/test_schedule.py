from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.model.ranks import in_ranks
from tests.model.synthetic import rows_of, write_shard

from intentrec.errors import TrainingError
from intentrec.model.batches import Batch, Shard
from intentrec.model.ranks import OneRank
from intentrec.model.schedule import (
    Plan,
    RowCheck,
    epoch_batches,
    in_touch,
    judged_share,
    outgrown,
    plans_of,
    thinned,
)


class OneOf:
    """One rank of several, in a process alone: what it gathers comes from itself."""

    local_rank, local_size = 0, 1

    def __init__(self, rank, size):
        self.rank, self.size = rank, size

    def gather(self, value):
        return [value]


@pytest.fixture
def shards(tmp_path):
    return (
        write_shard(tmp_path, "train", 8, rows_of(50, 8, seed=1), [20, 13, 17]),
        write_shard(tmp_path, "train", 16, rows_of(24, 16, seed=2, first_row=50), [24]),
    )


def test_steps_are_those_of_the_rank_with_most_rows(shards):
    eights, sixteens = plans_of(shards, OneOf(0, 2), events_per_batch=128)
    assert eights.rows_per_batch == 8  # 128 / (2 ranks x 8 events)
    assert sorted(eights.rows) == [13, 37]  # row groups 0 and 2, and 1
    assert eights.steps == 5  # 37 / 8
    assert sixteens.rows_per_batch == 4
    assert sorted(sixteens.rows) == [0, 24]
    assert sixteens.steps == 6


def test_a_row_longer_than_a_batch_still_has_its_turn(shards):
    plans = plans_of(shards, OneRank(), events_per_batch=4)
    assert [plan.rows_per_batch for plan in plans] == [1, 1]


def test_an_empty_shard_needs_no_plan(tmp_path, shards):
    empty = write_shard(tmp_path, "train", 32, [], [])
    assert len(plans_of([*shards, empty], OneRank(), 128)) == 2


def test_files_that_hold_other_rows_than_the_table_are_refused(shards):
    message = "examples, split train, length_bucket 8: the files hold 50 rows, the table counts 49"
    with pytest.raises(TrainingError, match=message):
        plans_of([replace(shards[0], rows=49)], OneRank(), 128)


def test_all_ranks_take_equal_steps_in_equal_buckets_and_read_every_row_once(shards):
    read, lengths = [], []
    for rank in (0, 1):
        plans = plans_of(shards, OneOf(rank, 2), events_per_batch=128)
        batches = list(epoch_batches(plans, OneOf(rank, 2), seed=3, timeout_s=60, columns=3))
        read += [row for batch in batches for row in batch.row_ids_B.tolist()]
        lengths.append([batch.items_BL.shape[1] for batch in batches])
    assert lengths[0] == lengths[1]
    assert sorted(lengths[0]) == [8] * 5 + [16] * 6
    assert lengths[0] != sorted(lengths[0])  # buckets are mixed
    assert sorted(read) == list(range(74))


def test_another_seed_gives_another_order(shards):
    plans = plans_of(shards, OneRank(), 128)

    def order(seed):
        return [b.row_ids_B.tolist() for b in epoch_batches(plans, OneRank(), seed, timeout_s=60, columns=3)]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_more_rows_than_planned_are_refused(shards):
    plan = Plan(shards[0], rows_per_batch=25, rows=(25,), files=(1,), steps=1)
    message = "split train, length_bucket 8: rank 0 read more than the 25 rows planned for it"
    with pytest.raises(TrainingError, match=message):
        list(epoch_batches([plan], OneRank(), seed=1, timeout_s=60, columns=3))


def confirmed(shards, rows):
    check = RowCheck()
    for part in np.array_split(np.array(rows), 3):
        check.add(torch.from_numpy(part))
    return check.confirm(OneRank(), plans_of(shards, OneRank(), 128))


def test_every_row_once_is_confirmed_in_any_order(shards):
    assert confirmed(shards, np.random.default_rng(0).permutation(74)) == 74


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (list(range(73)), "examples: the ranks read 73 rows, the table has 74"),
        ([0, *range(74)], "examples: the ranks read 75 rows, the table has 74"),
        ([0, 0, *range(2, 74)], "examples.row_id: of 74 rows some were read twice"),
        ([*range(73), 74], "examples.row_id: of 74 rows some were read twice and others not at all"),
        ([1, 1, 3, 3, *range(4, 74)], "examples.row_id"),
    ],
)
def test_a_lost_or_doubled_row_is_noticed(shards, rows, message):
    with pytest.raises(TrainingError, match=message):
        confirmed(shards, rows)


def hashed_rows(size, rank, length):
    """Some of 4,000 rows of one length with hashes for numbers, 100 a batch, as one of several ranks gets them."""
    numbers = np.random.default_rng(length).integers(-(2**63), 2**63, 4000)[rank::size]
    for part in np.array_split(numbers, len(numbers) // 100):
        rows = torch.zeros(len(part), length, dtype=torch.int64)
        yield Batch(rows + 1, rows, rows.float(), rows[:, None], torch.from_numpy(part))


def test_a_share_of_the_rows_is_the_same_whatever_ranks_they_come_to():
    def chosen(size):
        found = []
        for rank in range(size):
            mixed = [
                batch for pair in zip(*(hashed_rows(size, rank, n) for n in (8, 16)), strict=True) for batch in pair
            ]
            batches = [*thinned([*mixed, Batch.blank(8, 1)], 0.1)]
            assert all(len(batch.row_ids_B) == len(batch.items_BL) for batch in batches)
            assert {batch.items_BL.shape[1] for batch in batches} == {8, 16}
            assert [len(batch.row_ids_B) >= 100 for batch in batches].count(False) <= 2  # the last of each length
            found += [number for batch in batches for number in batch.row_ids_B.tolist()]
        return sorted(found)

    alone = chosen(1)
    assert len(alone) == pytest.approx(800, rel=0.15)
    assert chosen(3) == alone


def test_all_rows_pass_as_they_come():
    batches = [*hashed_rows(1, 0, 8), Batch.blank(8, 1)]
    assert [*thinned(batches, 1.0)] == batches
    check = RowCheck()
    assert [*check.counted(batches)] == batches
    assert check.rows == 4000


def test_ranks_hear_of_each_other_at_every_fourth_batch():
    def passed(ranks):
        return [*in_touch(range(9), ranks)], len(ranks.sent)

    assert in_ranks(2, passed) == [([*range(9)], 3)] * 2  # at 0, 4 and 8


@pytest.mark.parametrize(
    ("rows", "bucket", "num_items", "judged"),
    [
        (15_000, 100, 25_000, 15_000),
        (40_000, 100, 25_000, 20_000),
        (40_000, 100, 100_000, 5_000),  # 5,000 x 100 x 100,000 = 5e10
        (40_000, 100, 1_000_000, 500),
        (40_000, 100, 100_000_000, 100),
    ],
)
def test_the_more_items_there_are_the_fewer_rows_are_judged(rows, bucket, num_items, judged):
    plans = [Plan(Shard("validation", bucket, (), part), 1, (part,), (1,), part) for part in (rows // 4, 3 * rows // 4)]
    assert min(1.0, judged_share(plans, num_items)) * rows == pytest.approx(judged)
    assert judged_share([], num_items) >= 1


def test_a_batch_that_cannot_be_divided_among_the_ranks_is_told(shards):
    plans = plans_of(shards, OneOf(0, 2), events_per_batch=32)
    assert outgrown(plans, OneOf(0, 2), 32) is None  # 2 x 16
    assert outgrown(plans, OneOf(0, 2), 31) == (
        "training.events_per_batch: 31 is less than a row of 16 events for each of 2 ranks; a step takes 32, and the "
        "model is not that of fewer ranks"
    )


def test_splits_are_numbered_each_from_zero(tmp_path, shards):
    held_out = write_shard(tmp_path, "holdout", 8, rows_of(10, 8, seed=3), [10])
    assert confirmed([*shards, held_out], [*range(74), *range(10)]) == 84
