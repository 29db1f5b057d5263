"""Rows of different lengths.

B rows   N their entries   R some of the rows
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different lengths: item indices, with a value each where they add to scores.

    Attributes:
        starts_B: int64 [B + 1]; row b lies at starts_B[b] up to starts_B[b + 1].
        items_N: int64 item indices, each at most once in a row.
        values_N: float32, or None where the items are excluded.
    """

    starts_B: Tensor
    items_N: Tensor
    values_N: Tensor | None = None

    @classmethod
    def of(cls, items: Sequence[NDArray[Any]], values: Sequence[NDArray[Any]] | None = None) -> "Ragged":
        """Join one array of item indices per row and, where given, one of values."""
        lengths = np.array([len(row) for row in items], dtype=np.int64)
        starts_B = torch.from_numpy(np.concatenate([[0], lengths.cumsum()]).astype(np.int64))
        return cls(starts_B, _joined(items, np.int64), None if values is None else _joined(values, np.float32))

    def check(self, name: str, num_items: int) -> None:
        """Raise ValueError where an item has no row: it would be taken for an item of another query."""
        if len(self.items_N) and not (int(self.items_N.min()) >= 0 and int(self.items_N.max()) < num_items):
            raise ValueError(f"{name}: items 0 to {num_items - 1} wanted, got {int(self.items_N.max())}")

    def some(self, rows_R: Tensor) -> "Ragged":
        """Return these rows alone, in this order."""
        lengths_R = self.starts_B.diff()[rows_R]
        starts_R = torch.nn.functional.pad(lengths_R.cumsum(0), (1, 0))
        shift_R = self.starts_B[rows_R] - starts_R[:-1]
        entries_N = torch.arange(int(starts_R[-1])) + torch.repeat_interleave(shift_R, lengths_R)
        values_N = None if self.values_N is None else self.values_N[entries_N]
        return Ragged(starts_R, self.items_N[entries_N], values_N)

    def flat(self, rows: slice, stride: int, items: slice | None = None) -> tuple[Tensor, Tensor | None]:
        """Return positions in a [R, stride] buffer of the entries of ``rows``, and their values; of ``items`` alone."""
        starts_R = self.starts_B[rows.start : rows.stop + 1]
        entries = slice(int(starts_R[0]), int(starts_R[-1]))
        row_N = torch.repeat_interleave(torch.arange(len(starts_R) - 1), starts_R.diff())
        items_N, values_N = self.items_N[entries], None if self.values_N is None else self.values_N[entries]
        if items is None:
            return row_N * stride + items_N, values_N
        within_N = (items_N >= items.start) & (items_N < items.stop)
        positions_N = row_N[within_N] * stride + items_N[within_N] - items.start
        return positions_N, None if values_N is None else values_N[within_N]


def _joined(rows: Sequence[NDArray[Any]], dtype: type) -> Tensor:
    return torch.from_numpy(np.concatenate([np.zeros(0, dtype), *rows]).astype(dtype))
