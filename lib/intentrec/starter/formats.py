"""How a file of raw logs is written: packing, format, and the form of CSV; all told by its first lines."""

import csv
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from intentrec.errors import InputError
from intentrec.events.times import ISO_TIME
from intentrec.logs.csv_rows import CsvForm
from intentrec.logs.opening import LINE_LIMIT, DamagedFileError, Refused, decoded_lines, line_blocks, unpacked

_HEAD_LINES = 200  # that tell format, separator and header
_SEPARATORS = ("\t", "::", ",", ";", "|", "\x01", " ")
UNREADABLE = (DamagedFileError, OSError, EOFError, zlib.error, pa.ArrowException)
_PACKINGS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd"}


def packing_of(file: Path) -> str:
    """Return gzip, bzip2, zstd or none, by the first bytes."""
    with file.open("rb") as opened:
        start = opened.read(4)
    return next((name for magic, name in _PACKINGS.items() if start.startswith(magic)), "none")


def format_of(file: Path) -> str:
    """Return parquet, json or csv, by the first lines."""
    with file.open("rb") as opened:
        if opened.read(4) == b"PAR1":
            return "parquet"
    lines = head(file, "utf-8")
    objects = sum(is_object(line) for line in lines)
    return "json" if objects * 2 > len(lines) else "csv"


def head(file: Path, encoding: str) -> list[str]:
    """Return the first lines that are not empty; a line that cannot be decoded is left out.

    Raises:
        InputError: the file cannot be unpacked, or has no such lines.
    """
    with file.open("rb") as opened:
        try:
            blocks = line_blocks(plain(opened, file), encoding)
            lines = [line for line in islice(_flat(blocks, encoding), _HEAD_LINES) if _is_text(line)]
        except UNREADABLE as error:
            raise InputError(f"{file}: cannot be read ({error}); name a sound file") from None
    if not lines and encoding == "utf-8":
        return head(file, "latin-1")
    if not lines:
        raise InputError(f"{file}: holds no lines of text, wanted JSON lines, CSV or Parquet")
    return lines


def _flat(blocks: Iterable[tuple[int, bytes]], encoding: str) -> Iterator[str]:
    return (line for _, block in blocks for line in decoded_lines(block, encoding))


def _is_text(line: str) -> bool:
    return not isinstance(line, Refused) and bool(line.strip())


def plain(opened: BinaryIO, file: Path) -> BinaryIO:
    """Return the bytes without their packing."""
    return unpacked(opened, str(file))


def is_object(line: str) -> bool:
    """Return whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def csv_form(file: Path) -> CsvForm:
    """Return separator, header and encoding, by the first lines.

    Raises:
        InputError: no separator gives rows of two fields or more.
    """
    encoding = "utf-8" if _decodes(file) else "latin-1"
    lines = head(file, encoding)
    votes = {sep: _consistency(lines, sep) for sep in _SEPARATORS}
    best = max(_SEPARATORS, key=lambda sep: (votes[sep], -_SEPARATORS.index(sep)))
    if not votes[best][0]:
        raise InputError(
            f"{file}: neither JSON lines nor Parquet, and no separator of {', '.join(map(repr, _SEPARATORS))} gives "
            f"rows of two fields or more; the first line is {lines[0][:80]!r}"
        )
    rows = split(lines, best)
    return CsvForm(sep=best, header=_has_header(rows), encoding=encoding)


def _decodes(file: Path) -> bool:
    with file.open("rb") as opened:
        try:
            start = plain(opened, file).read(1 << 20)
        except UNREADABLE as error:
            raise InputError(f"{file}: cannot be read ({error}); name a sound file") from None
    try:
        start[: start.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _consistency(lines: Sequence[str], sep: str) -> tuple[bool, float, int]:
    """Return whether most lines have one width above 1, their share in tenths, and the width."""
    widths = Counter(map(len, split(lines, sep)))
    width, count = widths.most_common(1)[0]
    share = count / sum(widths.values())
    return width > 1 and share > 0.5, round(share, 1), width


def split(lines: Sequence[str], sep: str) -> list[list[str]]:
    """Return the fields of lines."""
    if len(sep) > 1:
        return [line.split(sep) for line in lines]
    csv.field_size_limit(2 * LINE_LIMIT)  # as the jobs read them
    return [row for row in csv.reader(lines, delimiter=sep) if row]


def _has_header(rows: Sequence[list[str]]) -> bool:
    """Return whether the first row names the columns: distinct words, none a number, where numbers or others follow."""
    first, rest = rows[0], rows[1:]
    is_data = any(not text.strip() or _is_number(text) or re.match(ISO_TIME, text) for text in first[1:])
    if is_data or len(set(first)) < len(first):
        return False
    if not rest or _is_number(first[0]):
        return not rest
    below = [[row[place] for row in rest if place < len(row)] for place in range(len(first))]
    return any(all(map(_is_number, column)) for column in below) or not any(
        text in column for text, column in zip(first, below, strict=True)
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
