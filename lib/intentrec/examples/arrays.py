"""Encoded events in memory -> rows of examples on disk: what ``training_sequences`` makes with Spark, without it.

U sequences   N events, one sequence after the other   R rows   L events of a row   C columns of features
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from intentrec.examples.sequences import length_buckets

_GROUP_ROWS = 2048  # rows are ordered anew in every epoch within their row group; 2,048 of 200 events are 4 MB


@dataclass(frozen=True, slots=True)
class EventArrays:
    """Events of users or sessions: those of sequence u are ``offsets[u]:offsets[u + 1]``, oldest first.

    Attributes:
        offsets: int64, U + 1.
        items_N: int item indices; 0 is unknown.
        times_N: int64 UTC seconds since 1970, above 0.
        weights_N: float32 weight of the event as a target; 0 is context only.
        features_CN: int value indices.
    """

    offsets: NDArray[np.int64]
    items_N: NDArray[np.int64]
    times_N: NDArray[np.int64]
    weights_N: NDArray[np.float32]
    features_CN: NDArray[np.int64]

    def of(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> "EventArrays":
        """Return the events from each ``start`` up to its ``stop`` as one sequence each; they may overlap."""
        lengths = stop - start
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + np.repeat(start, lengths)
        return EventArrays(
            offsets,
            self.items_N[places],
            self.times_N[places],
            self.weights_N[places],
            self.features_CN[:, places],
        )


class RowFile(NamedTuple):
    """What was written for one length bucket: its length, the file, its rows, and the sum of their row_id."""

    bucket: int
    path: Path
    rows: int
    row_id_sum: int


def write_rows(events: EventArrays, history_length: int, folder: Path, seed: int) -> list[RowFile]:
    """Cut every sequence into rows and write them, one file per length bucket; what lay there is replaced.

    Counted from the latest event, each row takes one target less than it has room for and the one event before them, so
    every event but a sequence's first is a target of exactly one row. Rows without a target are left out.

    Args:
        events: with the weights of the targets.
        history_length: most events of a row, 2 at least.
        folder: of the files.
        seed: rows are written in an order of their own.
    """
    found = []
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.parquet"):
        old.unlink()
    random = np.random.default_rng(seed)
    start_R, stop_R, drop_R = _cut(events, history_length)
    bounds = np.array(length_buckets(history_length))
    buckets_R = bounds[np.searchsorted(bounds, stop_R - start_R)]
    for bucket in bounds.tolist():
        rows = np.flatnonzero(buckets_R == bucket)
        if len(rows):
            rows = random.permutation(rows)
            path = folder / f"length_bucket={bucket}.parquet"
            with pq.ParquetWriter(path, _SCHEMA) as writer:
                for part in _parts(rows):
                    writer.write_table(_table(events, bucket, part, (start_R[part], stop_R[part], drop_R[part])))
            found.append(RowFile(bucket, path, len(rows), int(rows.sum())))
    return found


_SCHEMA = pa.schema(
    [
        ("row_id", pa.int64()),
        ("items", pa.list_(pa.int32())),
        ("times", pa.list_(pa.int64())),
        ("weights", pa.list_(pa.float32())),
        ("features", pa.list_(pa.int32())),
    ]
)


def _cut(events: EventArrays, history_length: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return where each row begins and ends, and whether its first event is context only."""
    stride = history_length - 1
    lengths_U = np.diff(events.offsets)
    blocks_U = np.maximum(-(-(lengths_U - 1) // stride), 0)
    owner_R = np.repeat(np.arange(len(lengths_U)), blocks_U)
    block_R = np.arange(len(owner_R)) - np.repeat(np.cumsum(blocks_U) - blocks_U, blocks_U)
    stop_R = events.offsets[1:][owner_R] - block_R * stride
    start_R = np.maximum(stop_R - history_length, events.offsets[:-1][owner_R])
    so_far = np.concatenate([[0], np.cumsum(events.weights_N > 0)])
    some_R = so_far[stop_R] - so_far[start_R + 1] > 0
    start_R, stop_R = start_R[some_R], stop_R[some_R]
    return start_R, stop_R, stop_R - start_R == history_length


def _parts(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), _GROUP_ROWS):
        yield rows[start : start + _GROUP_ROWS]


def _table(
    events: EventArrays,
    bucket: int,
    row_ids: NDArray[np.int64],
    places: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]],
) -> pa.Table:
    start_R, stop_R, drop_R = places
    places_RL = stop_R[:, None] - bucket + np.arange(bucket)
    there_RL = places_RL >= start_R[:, None]
    places_RL = np.where(there_RL, places_RL, 0)
    is_target_RL = there_RL & ~(drop_R[:, None] & (places_RL == start_R[:, None]))
    features_RCL = events.features_CN[:, places_RL].transpose(1, 0, 2) * there_RL[:, None, :]
    columns = {
        "items": events.items_N[places_RL] * there_RL,
        "times": events.times_N[places_RL] * there_RL,
        "weights": events.weights_N[places_RL] * is_target_RL,
        "features": features_RCL.reshape(len(row_ids), -1),
    }
    arrays = [_lists(values, _SCHEMA.field(name).type) for name, values in columns.items()]
    return pa.Table.from_arrays([pa.array(row_ids), *arrays], schema=_SCHEMA)


def _lists(values_RL: NDArray[np.generic], kind: pa.ListType) -> pa.ListArray:
    rows, length = values_RL.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * length
    return pa.ListArray.from_arrays(offsets, pa.array(values_RL.ravel(), type=kind.value_type))
