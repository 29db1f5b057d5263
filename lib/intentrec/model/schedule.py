"""Equal steps on all ranks, every row once: what is read when, and the proof that it was."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from intentrec.errors import TrainingError
from intentrec.model.batches import Batch, Reading, Shard, read_batches, seed_of, shares_of_ranks
from intentrec.model.ranks import Ranks

_LOW_BITS = 2**32 - 1
_BATCHES_A_SIGN = 4  # a call of all ranks costs 1 to 5 ms, a batch of training three times a batch that is judged
_MOST_JUDGED = 20_000  # rows after an epoch: a pass over those of half a million users takes longer than learning
_LEAST_JUDGED = 100  # rows: some thousand events, of which a mean still tells one epoch from another
_MOST_SCORES = 5e10  # of events and items: 6e12 operations at width 64, some minutes of one core


@dataclass(frozen=True, slots=True)
class Plan:
    """How the ranks share one shard.

    Attributes:
        shard: what is read.
        rows_per_batch: of one rank.
        rows: of each rank.
        files: of each rank; two ranks may share one.
        steps: of every rank; one that has no rows left fills its turn with a blank batch.
    """

    shard: Shard
    rows_per_batch: int
    rows: tuple[int, ...]
    files: tuple[int, ...]
    steps: int


def plans_of(
    shards: Sequence[Shard], ranks: Ranks, events_per_batch: int, timeout_s: float = 120.0
) -> tuple[Plan, ...]:
    """Agree on the plan of every shard that has rows.

    Args:
        shards: of one split or more; all buckets of each split.
        ranks: all of them make this call.
        events_per_batch: slots of all ranks together.
        timeout_s: seconds to wait for a file.

    Raises:
        TrainingError: the files do not hold the rows that the table counts, or one is gone.
    """
    plans = []
    for shard in shards:
        shares = ranks.gather(shares_of_ranks(shard, ranks.size, timeout_s))[0]  # rank 0's view, so that all agree
        rows, files = zip(*shares, strict=True)
        if sum(rows) != shard.rows:
            raise TrainingError(
                f"examples, split {shard.split}, length_bucket {shard.bucket}: the files hold {sum(rows)} rows, "
                f"the table counts {shard.rows}; run build_examples again"
            )
        rows_per_batch = max(1, events_per_batch // (ranks.size * shard.bucket))
        if shard.rows:
            plans.append(Plan(shard, rows_per_batch, rows, files, -(-max(rows) // rows_per_batch)))
    return tuple(plans)


def epoch_batches(plans: Sequence[Plan], ranks: Ranks, seed: int, timeout_s: float, columns: int) -> Iterator[Batch]:
    """Yield the batches of one epoch: on every rank equally many, of the same bucket at the same step.

    Args:
        plans: of ``plans_of``.
        ranks: only its numbers are read.
        seed: of the order; another one for each epoch, the same on all ranks.
        timeout_s: seconds to wait for rows.
        columns: of ``features``, for blank batches.

    Raises:
        TrainingError: more rows arrive than were planned, or a file cannot be read.
    """
    order = np.repeat(np.arange(len(plans)), [plan.steps for plan in plans])
    np.random.default_rng(seed_of(seed, "order")).shuffle(order)
    readers: list[Iterator[Batch] | None] = [None] * len(plans)
    try:
        for number in order:
            plan, reader = plans[number], readers[number]
            if reader is None:
                shard_seed = seed_of(seed, plan.shard.split, plan.shard.bucket)
                reading = Reading(ranks.rank, ranks.size, plan.rows_per_batch, shard_seed, timeout_s)
                reader = readers[number] = read_batches(plan.shard, reading)
            yield next(reader, None) or Batch.blank(plan.shard.bucket, columns)
        for plan, reader in zip(plans, readers, strict=True):
            if reader is not None and next(reader, None) is not None:
                raise TrainingError(
                    f"examples, split {plan.shard.split}, length_bucket {plan.shard.bucket}: rank {ranks.rank} read "
                    f"more than the {plan.rows[ranks.rank]} rows planned for it; run again"
                )
    finally:
        for reader in readers:
            if reader is not None:
                reader.close()  # type: ignore[attr-defined]


def outgrown(plans: Sequence[Plan], ranks: Ranks, events_per_batch: int) -> str | None:
    """Say where a row of every rank is more than a batch was to be: more ranks then learn otherwise than fewer."""
    longest = max((plan.shard.bucket for plan in plans), default=0)
    if longest * ranks.size <= events_per_batch:
        return None
    return (
        f"training.events_per_batch: {events_per_batch} is less than a row of {longest} events for each of "
        f"{ranks.size} ranks; a step takes {longest * ranks.size}, and the model is not that of fewer ranks"
    )


def in_touch(batches: Iterable[Batch], ranks: Ranks) -> Iterator[Batch]:
    """Yield the batches of a pass without a step, at every fourth of which the ranks tell each other that they live.

    A rank that was done first would wait for the others longer than ``stall_timeout_s``, and take them for dead. It
    still does where another takes so much longer for four batches, or for what follows the last of them.

    Args:
        batches: of ``epoch_batches``: equally many on all ranks.
        ranks: all of them make this call, and no other until the last batch.
    """
    for number, batch in enumerate(batches):
        if number % _BATCHES_A_SIGN == 0:
            ranks.sum(torch.zeros(1))
        yield batch


def judged_share(plans: Sequence[Plan], num_items: int) -> float:
    """Return the share of the validation rows that is judged after an epoch, for ``thinned``.

    All up to 20,000 rows; fewer where their events times ``num_items`` are more than 5e10 scores, but at least 100.
    Rows of 100 events are 20,000 of up to 25,000 items, 5,000 of 100,000 items, 500 of a million.
    """
    rows = sum(plan.shard.rows for plan in plans)
    scores = num_items * sum(plan.shard.rows * plan.shard.bucket for plan in plans)
    affordable = max(_LEAST_JUDGED, rows * _MOST_SCORES / max(1, scores))
    return min(_MOST_JUDGED, affordable) / max(1, rows)


def thinned(batches: Iterable[Batch], share: float) -> Iterator[Batch]:
    """Yield a share of the rows, chosen by their numbers: the same ones whatever ranks and batches they come in.

    Args:
        batches: of any lengths, in any order.
        share: of all rows; row numbers are hashes. From 1 on batches come as they are.

    Yields:
        Rows of one length, joined until there are as many as the first batch of that length had.
    """
    if share >= 1:
        yield from batches
        return
    waiting: dict[int, list[Batch]] = {}
    sizes: dict[int, int] = {}
    for batch in batches:
        length = batch.items_BL.shape[1]
        if not len(batch.row_ids_B):
            continue
        size = sizes.setdefault(length, len(batch.row_ids_B))
        parts = waiting.setdefault(length, [])
        parts.append(batch.rows((batch.row_ids_B & _LOW_BITS) < int(share * (_LOW_BITS + 1))))
        if sum(len(part.row_ids_B) for part in parts) >= size:
            yield Batch.joined(waiting.pop(length))
    for parts in waiting.values():
        if any(len(part.row_ids_B) for part in parts):
            yield Batch.joined(parts)


class RowCheck:
    """Counts the rows of one epoch and adds up their numbers, which tells a doubled row from a lost one."""

    def __init__(self) -> None:
        """Start at no rows."""
        self.rows = 0
        self._sum = 0

    def add(self, row_ids_B: Tensor) -> None:
        """Count the rows of a batch; numbers are hashes, so that two sets of rows do not have equal sums."""
        self.rows += len(row_ids_B)
        self._sum += int(row_ids_B.sum())  # wraps around, as the table's own sum does

    def counted(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Count what passes."""
        for batch in batches:
            self.add(batch.row_ids_B)
            yield batch

    def confirm(self, ranks: Ranks, plans: Sequence[Plan]) -> int:
        """Return the rows of all ranks together.

        Args:
            ranks: all of them make this call.
            plans: of all buckets that were read.

        Raises:
            TrainingError: a row was lost or read twice.
        """
        wanted = sum(plan.shard.rows for plan in plans)
        seen = ranks.gather((self.rows, self._sum))
        rows: int = sum(count for count, _ in seen)
        if rows != wanted:
            raise TrainingError(f"examples: the ranks read {rows} rows, the table has {wanted}; run again")
        if (sum(total for _, total in seen) - sum(plan.shard.row_id_sum for plan in plans)) % 2**64:
            raise TrainingError(
                f"examples.row_id: of {rows} rows some were read twice and others not at all; "
                "run build_examples again with --rebuild"
            )
        return rows
