"""Parquet files -> batches of tensors.

B rows   L events, left-padded: one length per shard   C columns of features   N rows of a row group
"""

import hashlib
import queue
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intentrec.errors import InputError, SetupError
from intentrec.model.files import explained, petastorm_urls, rows_of_groups, silent

_COLUMNS = ("row_id", "items", "times", "weights", "features")
_POLL_S = 0.2  # how soon a reading thread notices that nobody reads its groups any more
_AHEAD = 1  # row groups that wait in each of two queues; every length bucket has its reader open at once
_CLOSE_S = 2.0  # for a thread to end; one that hangs in the storage ends with the process
_Group = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Shard:
    """The files of one split and length bucket of ``examples``, at one version of the table.

    Attributes:
        split: train, validation or holdout.
        bucket: length of every array, events.
        files: their URLs, escaped as URLs are, in the same order on every rank.
        rows: rows in them by the table's own count.
        row_id_sum: sum of their row_id modulo 2^64, by the table's own count.
    """

    split: str
    bucket: int
    files: tuple[str, ...]
    rows: int
    row_id_sum: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What one rank reads of a shard in one epoch.

    Attributes:
        rank: number of this rank, from 0.
        size: ranks.
        rows_per_batch: of one rank.
        seed: orders row groups and the rows within them; another one for each epoch and shard.
        timeout_s: seconds to wait for a row group.
    """

    rank: int
    size: int
    rows_per_batch: int
    seed: int
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one length.

    Attributes:
        items_BL: int64 item indices, oldest first, padded with 0 on the left.
        times_BL: int64 UTC seconds since 1970, 0 is padding.
        weights_BL: float32 weight of the event as a target, 0 is context only.
        features_BCL: int64 value indices.
        row_ids_B: int64; empty for rows that only fill a rank's turn.
    """

    items_BL: Tensor
    times_BL: Tensor
    weights_BL: Tensor
    features_BCL: Tensor
    row_ids_B: Tensor

    @classmethod
    def blank(cls, length: int, columns: int) -> "Batch":
        """Return one row of padding, of weight 0: the turn of a rank that has no rows left."""
        zeros_BL = torch.zeros(1, length, dtype=torch.int64)
        features_BCL = torch.zeros(1, columns, length, dtype=torch.int64)
        return cls(zeros_BL, zeros_BL, zeros_BL.float(), features_BCL, torch.zeros(0, dtype=torch.int64))

    def rows(self, chosen_B: Tensor) -> "Batch":
        """Return some of the rows, by a bool for each."""
        return Batch(*(getattr(self, name)[chosen_B] for name in self.__slots__))

    @classmethod
    def joined(cls, parts: Sequence["Batch"]) -> "Batch":
        """Return the rows of several batches of one length."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__slots__))

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device; to a GPU from pinned memory, without waiting for the copy."""

        def moved(tensor: Tensor) -> Tensor:
            return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)

        return Batch(
            moved(self.items_BL),
            moved(self.times_BL),
            moved(self.weights_BL),
            moved(self.features_BCL),
            self.row_ids_B,
        )


def shares_of_ranks(shard: Shard, size: int, timeout_s: float = 120.0) -> list[tuple[int, int]]:
    """Return how many rows every rank will read of a shard, and how many files they lie in.

    Row group i belongs to reading share i mod n, n being the ranks but at most the row groups; share j is read by
    rank ``(j + s) mod size``, s being a hash of the shard, so that small buckets do not all fall to rank 0.

    Raises:
        TrainingError: a file is gone, cannot be read, or does not answer in ``timeout_s``.
    """
    found = zip(shard.files, rows_of_groups(shard.files, timeout_s), strict=True)
    groups = [(file, rows) for file, groups in found for rows in groups]
    num_shares = min(size, len(groups))
    shares = [groups[share::num_shares] for share in range(num_shares)] + [[]] * (size - num_shares)
    own = [shares[_share(rank, size, shard)] for rank in range(size)]
    return [(sum(rows for _, rows in share), len({file for file, _ in share})) for share in own]


def read_batches(shard: Shard, reading: Reading) -> Iterator[Batch]:
    """Yield this rank's rows of a shard once, in a seeded order; every batch but the last has ``rows_per_batch`` rows.

    Raises:
        TrainingError: a file is gone or cannot be read, or no row group arrives in time.
        InputError: the arrays of a file have not the shard's length.
        SetupError: petastorm is not installed.
    """
    random = np.random.default_rng(reading.seed)
    kept: list[_Group] = []
    num_kept = 0
    for group in _groups(shard, reading):
        _check_length(shard, group)
        order_N = random.permutation(len(group["row_id"]))
        kept.append({name: values.take(order_N, axis=0) for name, values in group.items()})  # a third of [order_N]
        num_kept += len(order_N)
        if num_kept >= reading.rows_per_batch:
            rows = {name: np.concatenate([part[name] for part in kept]) for name in _COLUMNS}
            whole = num_kept - num_kept % reading.rows_per_batch
            for start in range(0, whole, reading.rows_per_batch):
                yield _batch(shard.bucket, rows, slice(start, start + reading.rows_per_batch))
            kept, num_kept = [{name: values[whole:] for name, values in rows.items()}], num_kept - whole
    if num_kept:
        yield _batch(
            shard.bucket, {name: np.concatenate([part[name] for part in kept]) for name in _COLUMNS}, slice(None)
        )


def _share(rank: int, size: int, shard: Shard) -> int:
    return (rank - seed_of(shard.split, shard.bucket)) % size


def _batch(length: int, rows: _Group, chosen: slice) -> Batch:
    def tensor(name: str, dtype: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(rows[name][chosen], dtype=dtype))

    features = tensor("features", np.int64)
    return Batch(
        items_BL=tensor("items", np.int64),
        times_BL=tensor("times", np.int64),
        weights_BL=tensor("weights", np.float32),
        features_BCL=features.view(len(features), -1, length),
        row_ids_B=tensor("row_id", np.int64),
    )


def _check_length(shard: Shard, group: _Group) -> None:
    for name in ("items", "times", "weights", "features"):
        length = group[name].shape[1]
        if length % shard.bucket or (name != "features" and length != shard.bucket):
            raise InputError(
                f"examples.{name} of {shard.split}, length_bucket {shard.bucket}: arrays have {length} entries; "
                "run build_examples again with --rebuild"
            )


def _groups(shard: Shard, reading: Reading) -> Iterator[_Group]:
    """Yield the row groups of this rank's share, read ahead by a thread."""
    shares = min(reading.size, sum(map(len, rows_of_groups(shard.files, reading.timeout_s))))
    share = _share(reading.rank, reading.size, shard)
    if share >= shares:
        return
    options = {
        "schema_fields": [f"^{name}$" for name in _COLUMNS],
        "num_epochs": 1,
        "cur_shard": share,
        "shard_count": shares,
        "seed": reading.seed,
    }
    ahead = _ReadAhead(list(shard.files), options, reading.timeout_s)
    try:
        yield from ahead
    finally:
        ahead.close()


class _ReadAhead:
    """A petastorm reader in a thread of its own, so that neither opening nor reading can hang a rank."""

    def __init__(self, files: list[str], options: dict[str, Any], timeout_s: float) -> None:
        self._files, self._options, self._timeout_s = files, options, timeout_s
        self._groups: queue.Queue[_Group | BaseException | None] = queue.Queue(maxsize=_AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="examples", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[_Group]:
        while True:
            try:
                group = self._groups.get(timeout=self._timeout_s)
            except queue.Empty:
                raise silent(self._files[0], self._timeout_s) from None
            if group is None:
                return
            if isinstance(group, BaseException):
                raise explained(group, self._files)
            yield group

    def close(self) -> None:
        """Stop reading; waits for the thread, but not for one that hangs in the storage."""
        self._closed.set()
        self._thread.join(timeout=_CLOSE_S)

    def _read(self) -> None:
        try:
            with petastorm_urls(self._files) as urls, _open_reader(urls, self._options) as reader:
                for group in reader:
                    if not self._hand_over({name: getattr(group, name) for name in _COLUMNS}):
                        return
            self._hand_over(None)
        except BaseException as error:  # noqa: BLE001 the rank that waits for rows raises it
            self._hand_over(error)

    def _hand_over(self, group: _Group | BaseException | None) -> bool:
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._groups.put(group, timeout=_POLL_S)
                return True
        return False


def _open_reader(files: list[str], options: dict[str, Any]) -> Any:
    try:
        from intentrec.model.row_groups import open_row_groups
    except ImportError as error:
        raise SetupError(f"petastorm cannot be imported ({error}); install the packages of requirements.lock") from None
    # petastorm on pyarrow 14 warns at every row group, from its own threads
    warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm")
    return open_row_groups(files, _AHEAD, options)


def seed_of(*parts: object) -> int:
    """Return a 31-bit seed that depends on all ``parts`` and on nothing else."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
