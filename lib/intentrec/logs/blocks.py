"""Some rows of a file, column by column, as Arrow arrays of text; N rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from intentrec.logs.opening import LINE_LIMIT, Refused

Row = Sequence[str | None]

_FEW_LINES = 64  # 0.4 ms of reading line by line


def plain_lines(block: bytes) -> tuple[bytes, Any] | None:
    r"""Return a block with "\n" as its line ends, and its lines, where nothing in it needs care.

    None where a line is empty, too long or no UTF-8, or where a "\r" or a zero byte stands in a line: then the
    block must be read line by line.
    """
    block = block.removesuffix(b"\r").replace(b"\r\n", b"\n")
    if b"\r" in block or b"\0" in block or b"\n\n" in block or block[:1] in (b"", b"\n") or block.endswith(b"\n"):
        return None
    try:
        text = pa.array([block], pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        return None
    lines_N = pc.split_pattern(text, "\n").flatten()
    longest = pc.max(pc.binary_length(lines_N)).as_py()
    return None if longest > LINE_LIMIT else (block, lines_N)


def halved(first: int, block: bytes) -> tuple[tuple[int, bytes], tuple[int, bytes]] | None:
    """Return two blocks of about half the lines, each with the number of its first; None where they are few.

    A line that needs care then costs itself and its neighbours the way at once, not a megabyte.
    """
    middle = block.find(b"\n", len(block) // 2)
    if middle < 0 or block.count(b"\n") < _FEW_LINES:
        return None
    head = block[:middle]
    return (first, head), (first + head.count(b"\n") + 1, block[middle + 1 :])


@dataclass(frozen=True, slots=True)
class Block:
    """Rows as they go to Spark.

    Attributes:
        lines_N: int64, number of the row's first line, from 1.
        raws_N: the row as delivered; null where there is no text.
        reasons_N: why the row is refused, else null; refused rows hold null in every column.
        details_N: what was met and what was wanted, for refused rows.
        columns_N: the wanted columns, text each.
    """

    lines_N: Any
    raws_N: Any
    reasons_N: Any
    details_N: Any
    columns_N: Sequence[Any]

    @classmethod
    def of_sound_rows(cls, first: int, raws_N: Any | None, columns_N: Sequence[Any], size: int) -> Self:
        """Build it from ``size`` rows of one line each, of which none is refused."""
        nothing_N = pa.nulls(size, pa.string())
        lines_N = pa.array(np.arange(first, first + size))
        return cls(lines_N, nothing_N if raws_N is None else raws_N, nothing_N, nothing_N, columns_N)

    def __len__(self) -> int:
        """Return N."""
        return len(self.lines_N)


@dataclass(slots=True)
class Rows:
    """Rows of a block that come one by one."""

    width: int
    _lines: list[int] = field(default_factory=list)
    _raws: list[str] = field(default_factory=list)
    _refused: list[Refused | None] = field(default_factory=list)
    _rows: list[Row] = field(default_factory=list)

    def add(self, line: int, raw: str, row: Row | Refused) -> None:
        """Append one row, or one refused row of empty columns."""
        refused = row if isinstance(row, Refused) else None
        self._lines.append(line)
        self._raws.append(raw if refused is None else str(refused))
        self._refused.append(refused)
        self._rows.append((None,) * self.width if isinstance(row, Refused) else row)

    def __len__(self) -> int:
        """Return how many rows were added since the last block."""
        return len(self._lines)

    def block(self) -> Block:
        """Return what was added, and begin anew."""
        columns = zip(*self._rows, strict=True) if self._rows else ((),) * self.width
        block = Block(
            pa.array(self._lines, pa.int64()),
            pa.array(self._raws, pa.string()),
            pa.array([refused and refused.reason for refused in self._refused], pa.string()),
            pa.array([refused and refused.detail for refused in self._refused], pa.string()),
            [pa.array(column, pa.string()) for column in columns],
        )
        for kept in (self._lines, self._raws, self._refused, self._rows):
            kept.clear()
        return block
