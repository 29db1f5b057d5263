"""Some rows of raw logs that nobody has described yet: format, packing and columns are found out."""

import glob
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from intentrec.errors import InputError
from intentrec.logs.blocks import Block
from intentrec.logs.csv_rows import CsvForm, csv_rows
from intentrec.logs.json_rows import json_rows
from intentrec.logs.opening import ForeignFileError
from intentrec.logs.parquet_rows import parquet_rows
from intentrec.starter.formats import UNREADABLE, csv_form, format_of, head, is_object, packing_of, plain, split

MOST_ROWS = 200_000  # some seconds of reading; small logs are read whole
MOST_FILES = 40  # spread evenly over all of them, first and last included
MOST_STRETCH_ROWS = 1_000_000  # of files that follow each other, of two columns alone
_MOST_KEYS = 200  # of JSON, the most frequent ones: where ids are keys there are as many as ids


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows as the jobs will read them.

    Attributes:
        pattern: absolute glob of all files.
        format: json, csv, parquet or delta.
        packing: gzip, bzip2, zstd or none.
        form: how CSV is written; None for the other formats.
        columns: name: text of every row that could be read, null where there was none.
        num_rows: rows that were read, refused ones included.
        num_refused: rows that are none of their format.
        num_files: files that match.
        whole: whether every row of every file was read.
    """

    pattern: str
    format: str
    packing: str
    form: CsvForm | None
    columns: dict[str, list[str | None]]
    num_rows: int
    num_refused: int
    num_files: int
    whole: bool


def read_sample(pattern: str, most_rows: int = MOST_ROWS) -> Sample:
    """Read the first rows of some of the files.

    Args:
        pattern: a file, a folder of files or of a Delta table, or a glob.
        most_rows: of all files together.

    Raises:
        InputError: no file matches, or the first one has no rows that can be told apart.
    """
    found, files, is_table = list_files(pattern)
    chosen = spread_files(files)
    format_ = "delta" if is_table else format_of(files[0])
    form = csv_form(files[0]) if format_ == "csv" else None
    names = _names(chosen, format_, form)
    if not names:
        raise InputError(f"{files[0]}: no column in common, wanted JSON objects one a line, CSV or Parquet of one form")
    quota = max(1, most_rows // len(chosen))
    read = [_first_rows(file, names, form, quota) for file in chosen]
    blocks = [block for found_in_file, _ in read for block in found_in_file]
    num_rows, columns = sum(map(len, blocks)), texts_of(blocks, names)
    num_sound = len(next(iter(columns.values()), ()))
    if not num_sound:
        raise InputError(f"{files[0]}: no row of format {format_} can be read, wanted JSON lines, CSV or Parquet")
    whole, packing = len(chosen) == len(files) and all(is_all for _, is_all in read), packing_of(files[0])
    return Sample(found, format_, packing, form, columns, num_rows, num_rows - num_sound, len(files), whole)


def read_stretch(
    sample: Sample, columns: Sequence[str], most_rows: int = MOST_STRETCH_ROWS
) -> dict[str, list[str | None]]:
    """Read some columns of the first files, one after the other, without the holes that a sample has.

    What follows what, and how much later, is seen in such a stretch alone.
    """
    if sample.whole:
        return {name: sample.columns[name] for name in columns}
    blocks: list[Block] = []
    left = most_rows
    for file in list_files(sample.pattern)[1]:
        blocks += _first_rows(file, columns, sample.form, left)[0]
        left = most_rows - sum(map(len, blocks))
        if left <= 0:
            break
    return texts_of(blocks, columns)


def texts_of(blocks: Iterable[Block], names: Sequence[str]) -> dict[str, list[str | None]]:
    """Return the columns of the rows that are not refused."""
    texts: dict[str, list[str | None]] = {name: [] for name in names}
    for block in blocks:
        sound_N = pc.is_null(block.reasons_N)
        for name, column_N in zip(names, block.columns_N, strict=True):
            texts[name] += pc.filter(column_N, sound_N).to_pylist()
    return texts


def list_files(pattern: str) -> tuple[str, list[Path], bool]:
    """Return the absolute glob, the files that match it, by path, and whether they are those of a Delta table.

    Raises:
        InputError: no file with content matches.
    """
    place = Path(pattern).absolute()
    if place.is_dir():
        is_table = (place / "_delta_log").is_dir()
        files = sorted(place.rglob("*.parquet") if is_table else place.iterdir())
        found = str(place) if is_table else f"{place}/*"
        files = [file for file in files if "_delta_log" not in file.parts]
    else:
        found, is_table = str(place), False
        files = sorted(map(Path, glob.glob(found, recursive=True)))  # noqa: PTH207 an absolute pattern
    files = [file for file in files if file.is_file() and not file.name.startswith(("_", ".")) and file.stat().st_size]
    if not files:
        raise InputError(f"{pattern}: no file with content matches, wanted raw logs: a file, a folder or a glob")
    return found, files, is_table


def spread_files(files: Sequence[Path]) -> list[Path]:
    """Return some of the files, evenly spread, first and last included."""
    if len(files) <= MOST_FILES:
        return list(files)
    return [files[number * (len(files) - 1) // (MOST_FILES - 1)] for number in range(MOST_FILES)]


def _names(files: Sequence[Path], format_: str, form: CsvForm | None) -> list[str]:
    """Return the columns that all of the files have, in the order of the first; the keys that any JSON has."""
    if format_ == "json":
        # an absent key is a null: a file of searches alone must not hide the items of all others
        return _keys(json.loads(line) for file in files for line in head(file, "utf-8") if is_object(line))
    listed = [_names_in(file, format_, form) for file in files]
    once = (name for name in listed[0] if name.strip() and listed[0].count(name) == 1)
    return [name for name in once if all(name in names for names in listed[1:])]


def _names_in(file: Path, format_: str, form: CsvForm | None) -> list[str]:
    if format_ in ("parquet", "delta"):
        schema = pq.ParquetFile(file).schema_arrow
        return [path for field in schema for path in _leaves_of(field)]
    assert form is not None
    rows = split(head(file, form.encoding), form.sep)
    return rows[0] if form.header else [f"_c{place}" for place in range(Counter(map(len, rows)).most_common(1)[0][0])]


def _leaves_of(field: Any, prefix: str = "") -> Iterator[str]:
    if pa.types.is_struct(field.type):
        for inner in field.type:
            yield from _leaves_of(inner, f"{prefix}{field.name}.")
    elif not pa.types.is_nested(field.type):
        yield prefix + field.name


def _keys(objects: Iterable[dict[str, Any]]) -> list[str]:
    """Return the paths of single values; a key that ever holds a list or, elsewhere, an object is left out."""
    leaves: Counter[str] = Counter()
    nested: set[str] = set()

    def visit(values: dict[str, Any], prefix: str) -> None:
        for key, value in values.items():
            path = prefix + key
            if isinstance(value, dict):
                nested.add(path)
                visit(value, path + ".")
            elif isinstance(value, list):
                nested.add(path)
            else:
                leaves[path] += 1

    for values in objects:
        visit(values, "")
    single = Counter({path: rows for path, rows in leaves.items() if path not in nested})
    kept = {path for path, _ in single.most_common(_MOST_KEYS)}
    return [path for path in single if path in kept]


def _first_rows(file: Path, names: Sequence[str], form: CsvForm | None, quota: int) -> tuple[list[Block], bool]:
    """Return the first ``quota`` rows, and whether they are all of the file."""
    blocks: list[Block] = []
    left = quota
    with file.open("rb") as opened:
        for block in _blocks(opened, file, names, form):
            if len(block) > left:
                return [*blocks, _cut(block, left)], False
            blocks.append(block)
            left -= len(block)
    return blocks, True


def _blocks(opened: BinaryIO, file: Path, names: Sequence[str], form: CsvForm | None) -> Iterator[Block]:
    wanted = {name: name for name in names}
    try:
        start = opened.read(4)
        opened.seek(0)
        if start == b"PAR1":
            yield from parquet_rows(opened, str(file), wanted, frozenset())
        elif form is None:
            yield from json_rows(plain(opened, file), wanted, frozenset())
        else:
            yield from csv_rows(plain(opened, file), wanted, form)
    except (ForeignFileError, *UNREADABLE) as error:
        raise InputError(f"{file}: cannot be read ({' '.join(str(error).split())}); name sound files") from None


def _cut(block: Block, left: int) -> Block:
    fixed = (block.lines_N, block.raws_N, block.reasons_N, block.details_N)
    lines_N, raws_N, reasons_N, details_N = (column[:left] for column in fixed)
    return Block(lines_N, raws_N, reasons_N, details_N, [column[:left] for column in block.columns_N])
