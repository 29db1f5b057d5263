"""The last rows of raw logs of which a sample holds the first ones: they tell how far the log goes."""

import io
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq

from intentrec.logs.blocks import Block
from intentrec.logs.csv_rows import CsvForm, csv_rows
from intentrec.logs.json_rows import json_rows
from intentrec.logs.opening import ForeignFileError
from intentrec.logs.parquet_rows import parquet_rows
from intentrec.starter.formats import UNREADABLE, packing_of, plain
from intentrec.starter.sampling import Sample, list_files, spread_files, texts_of

_BLOCK = 1 << 20  # bytes of text at the end of a file: some thousand rows
_MOST_ROWS = 2_000  # of one file, so that the files count alike
_NEWEST_FILES = 8  # by time of change, beside those of the sample: names need not follow the time
_MOST_PACKED_FILES = 4  # they are unpacked from their beginning
_MOST_PACKED_BYTES = 1 << 28  # of these files together, packed: some ten seconds, of bzip2 a minute


def read_ends(sample: Sample, column: str) -> tuple[list[str | None], bool]:
    """Return a column of the last rows of the files, in no order, and whether the last file by path is among them.

    Of text no more is read than the last megabyte, of Parquet the last row groups. A packed file must be unpacked
    whole, so only some of these are, and none that is too long. A damaged file has no rows: the jobs refuse it.

    Args:
        sample: of the same files.
        column: of the sample.
    """
    files = list_files(sample.pattern)[1]
    newest = sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True)[:_NEWEST_FILES]
    texts: list[str | None] = []
    left, num_packed, has_last = _MOST_PACKED_BYTES, 0, True
    for file in dict.fromkeys([files[-1], *newest, *spread_files(files)]):
        if packing_of(file) != "none":
            size = file.stat().st_size
            if num_packed == _MOST_PACKED_FILES or size > left:
                has_last = has_last and file != files[-1]
                continue
            num_packed, left = num_packed + 1, left - size
        texts += _last_texts(file, column, sample.form)
    return texts, has_last


def _last_texts(file: Path, column: str, form: CsvForm | None) -> list[str | None]:
    wanted = {column: column}
    try:
        with file.open("rb") as opened:
            if opened.read(4) == b"PAR1":
                blocks = parquet_rows(opened, str(file), wanted, frozenset(), _last_groups(opened))
            else:
                text = io.BytesIO(_last_lines(opened, file, has_header=form is not None and form.header))
                blocks = json_rows(text, wanted, frozenset()) if form is None else csv_rows(text, wanted, form)
            return texts_of(_last_blocks(blocks), [column])[column][-_MOST_ROWS:]
    except (ForeignFileError, *UNREADABLE):
        return []


def _last_blocks(blocks: Iterator[Block]) -> Iterator[Block]:
    """Return the last blocks that hold ``_MOST_ROWS`` rows, all of them where they hold fewer."""
    kept: deque[Block] = deque()
    for block in blocks:
        kept.append(block)
        while sum(map(len, kept)) - len(kept[0]) >= _MOST_ROWS:
            kept.popleft()
    return iter(kept)


def _last_groups(opened: BinaryIO) -> range:
    """Return the numbers of the last row groups that hold ``_MOST_ROWS`` rows."""
    opened.seek(0)
    metadata = pq.ParquetFile(opened).metadata
    first, rows = metadata.num_row_groups, 0
    while first and rows < _MOST_ROWS:
        first -= 1
        rows += metadata.row_group(first).num_rows
    return range(first, metadata.num_row_groups)


def _last_lines(opened: BinaryIO, file: Path, *, has_header: bool) -> bytes:
    """Return the last lines without their packing, under the first one where that is a header."""
    opened.seek(0)
    stream = plain(opened, file)
    first = last = stream.read(_BLOCK)
    if stream is opened:
        opened.seek(max(len(first), opened.seek(0, os.SEEK_END) - _BLOCK))
    is_cut = False
    while block := stream.read(_BLOCK):
        is_cut = True
        last = (last + block)[-_BLOCK:]
    if not is_cut:
        return last
    header = first.lstrip(b"\r\n").split(b"\n", 1)[0] + b"\n" if has_header else b""
    return header + last[last.find(b"\n") + 1 :]
