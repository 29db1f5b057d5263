"""A file lies in one Spark task: opened, checked whole, streamed as Arrow batches."""

import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from intentrec.config import Derived
from intentrec.errors import ConfigError
from intentrec.logs.blocks import Block
from intentrec.logs.csv_rows import CsvForm, csv_rows
from intentrec.logs.finding import LogFile
from intentrec.logs.json_rows import json_rows
from intentrec.logs.opening import DamagedFileError, ForeignFileError, sha256_of, unpacked, verify
from intentrec.logs.parquet_rows import check_parquet_columns, parquet_rows, verify_parquet

Lines = Mapping[str, Mapping[str, Sequence[int]]]  # path: SHA-256 of a content: lines

_FIXED = ("kind", "source_file", "content_sha256", "line", "raw", "reason", "detail")
_MOST_TASKS = 2048  # files beyond that share tasks
_TASK_BYTES = 2**22  # small files share tasks: each task costs some 0.1 s in every stage that follows


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted from the files of one source.

    Attributes:
        format: as in the config; a Delta table is read as its Parquet files.
        columns: our name: their column, or a dotted path.
        nested: our names that may hold an object or a list, kept as JSON.
        patterns: our name: what is kept of the column's text.
        constants: our name: the text of every row; they are in no file.
        csv: how CSV is written.
    """

    format: Literal["json", "csv", "parquet", "delta"]
    columns: Mapping[str, str]
    nested: frozenset[str] = frozenset()
    patterns: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    csv: CsvForm = field(default_factory=CsvForm)

    @classmethod
    def of(
        cls, format_: str, columns: Mapping[str, str | Derived], nested: Iterable[str], options: Mapping[str, Any]
    ) -> Self:
        """Build it from a section of the config.

        Raises:
            ConfigError: an option is unknown for the format, or its value makes no sense.
        """
        derived = {ours: column for ours, column in columns.items() if isinstance(column, Derived)}
        found = {ours: column.column if isinstance(column, Derived) else column for ours, column in columns.items()}
        return cls(
            format=cast(Any, format_),
            columns={ours: theirs for ours, theirs in found.items() if theirs is not None},
            nested=frozenset(nested),
            patterns={ours: re.compile(column.pattern) for ours, column in derived.items() if column.pattern},
            constants={ours: column.constant for ours, column in derived.items() if column.constant},
            csv=_csv_form(format_, options),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All of our names, in the order in which rows hold them."""
        return (*self.columns, *self.constants)


def _csv_form(format_: str, options: Mapping[str, Any]) -> CsvForm:
    known = ("sep", "header", "quote", "escape", "encoding") if format_ == "csv" else ()
    for option in options:
        if option not in known:
            wanted = f"one of {', '.join(known)}" if known else "none"
            raise ConfigError(f"input: option {option!r} is unknown for format {format_}, wanted {wanted}")
    header = str(options.get("header", True)).lower()
    if header not in ("true", "false"):
        raise ConfigError(f"input: option header must be true or false, is {options['header']!r}")
    form = CsvForm(header=header == "true", **{name: str(options[name]) for name in options if name != "header"})
    for name in ("quote", "escape"):
        if len(getattr(form, name) or "x") != 1:
            raise ConfigError(f"input: option {name} must be one character, is {getattr(form, name)!r}")
    if not form.sep:
        raise ConfigError("input: option sep must be at least one character")
    _check_encoding(form.encoding)
    return form


def _check_encoding(encoding: str) -> None:
    try:
        plain = "\n,".encode(encoding) == b"\n,"
    except LookupError:
        plain = False
    if not plain:
        raise ConfigError(f"input: option encoding must be one that contains ASCII, such as latin-1, is {encoding!r}")


def read_rows(
    spark: SparkSession,
    files: Sequence[LogFile],
    asked: Asked,
    known: Mapping[str, Sequence[str]],
    lines: Lines | None = None,
) -> DataFrame:
    """Read files as rows of text; lazy, a task reads one large file or several small ones, memory bounded by a batch.

    Args:
        spark: the session.
        files: what to read.
        asked: format and columns.
        known: path: SHA-256 of contents that were read before and shall not be read again.
        lines: what is wanted of contents of which not all rows are; None: all of all.

    Returns:
        Columns kind, source_file, content_sha256, line, raw, reason, detail and one STRING per wanted column.
        kind ``row``: a row, with ``reason`` if it is none (line null: the whole file); ``file``: one per file, after
        its rows; ``known``: instead, if its content was read before; ``foreign``: instead, if a wanted column is
        missing or the file cannot be opened: the run must be refused with ``detail``.
    """
    schema = ", ".join(f"`{name}` {'BIGINT' if name == 'line' else 'STRING'}" for name in (*_FIXED, *asked.names))
    if files and files[0].remote:
        contents = spark.read.format("binaryFile").load([file.path for file in files]).select("path", "content")
        return contents.mapInArrow(_reader_of_contents(asked, known, lines or {}), schema)
    numbers = spark.range(0, len(files), 1, num_tasks(files, spark.sparkContext.defaultParallelism))
    return numbers.mapInArrow(_reader_of_paths([file.path for file in files], asked, known, lines or {}), schema)


def num_tasks(files: Sequence[LogFile], slots: int) -> int:
    """Return into how many tasks files are split: all slots have work, and small files share a task."""
    wanted = max(slots, sum(file.size for file in files) // _TASK_BYTES)
    return max(1, min(len(files), wanted, _MOST_TASKS))


def _reader_of_paths(
    paths: Sequence[str], asked: Asked, known: Mapping[str, Sequence[str]], lines: Lines
) -> Callable[[Iterable[Any]], Iterator[Any]]:
    def read(batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                path = paths[number]
                try:
                    file = Path(path).open("rb")  # noqa: SIM115 closed below, after the error for opening is told apart
                except OSError as error:
                    yield _notice(path, "foreign", "", f"cannot be opened: {error.strerror}", asked)
                    continue
                with file:
                    yield from read_file(file, path, asked, known.get(path, ()), lines.get(path, {}))

    return read


def _reader_of_contents(
    asked: Asked, known: Mapping[str, Sequence[str]], lines: Lines
) -> Callable[[Iterable[Any]], Iterator[Any]]:
    def read(batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            for path, content in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
                file = io.BytesIO(content.as_py())
                yield from read_file(file, path, asked, known.get(path, ()), lines.get(path, {}))

    return read


def read_file(
    file: BinaryIO, path: str, asked: Asked, known: Sequence[str], lines: Mapping[str, Sequence[int]] | None = None
) -> Iterator[Any]:
    """Yield one file as Arrow batches, with the columns of ``read_rows``; ``lines`` are by SHA-256.

    The file is read twice: first to its end, for its hash and its checksums, then for its rows.
    """
    sha256 = sha256_of(file)
    if sha256 in known:
        yield _notice(path, "known", sha256, None, asked)
        return
    wanted = pa.array(lines[sha256], pa.int64()) if lines and sha256 in lines else None
    try:
        for block in _blocks(file, path, asked):
            batch = _batch(path, sha256, block, asked)
            if wanted is not None:
                batch = batch.filter(pc.is_in(batch["line"], value_set=wanted))
            yield batch
    except DamagedFileError as error:
        yield _batch(path, sha256, _damaged(error, len(asked.columns)), asked)
    except ForeignFileError as error:
        yield _notice(path, "foreign", sha256, str(error), asked)
        return
    yield _notice(path, "file", sha256, None, asked)


def read_head(path: str, asked: Asked, most_rows: int) -> list[dict[str, str | None]]:
    """Return the first rows of a file on this machine, for a look at them: ``reason`` and the texts of ``asked``.

    Raises:
        OSError: the file cannot be opened: its content may be sound.
        DamagedFileError: it cannot be read so far.
        ForeignFileError: a wanted column is missing.
    """
    rows: list[dict[str, str | None]] = []
    with Path(path).open("rb") as file:
        try:
            for block in _rows_of(file, path, asked):
                rows += _batch(path, "", block, asked).select(["reason", *asked.names]).to_pylist()
                if len(rows) >= most_rows:
                    break
        except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
            raise DamagedFileError(f"cannot be read: {' '.join(str(error).split())}") from None
    return rows[:most_rows]


def _blocks(file: BinaryIO, path: str, asked: Asked) -> Iterator[Block]:
    if asked.format in ("parquet", "delta"):
        verify_parquet(file, asked.columns)
        check_parquet_columns(file, path, asked.columns, asked.nested)
    else:
        verify(file, path)
    yield from _rows_of(file, path, asked)


def _rows_of(file: BinaryIO, path: str, asked: Asked) -> Iterator[Block]:
    if asked.format in ("parquet", "delta"):
        yield from parquet_rows(file, path, asked.columns, asked.nested)
        return
    plain = unpacked(file, path)
    if asked.format == "json":
        yield from json_rows(plain, asked.columns, asked.nested)
    else:
        yield from csv_rows(plain, asked.columns, asked.csv)


def _damaged(error: DamagedFileError, width: int) -> Block:
    line_1, nothing_1 = pa.nulls(1, pa.int64()), pa.nulls(1, pa.string())
    reason_1, detail_1 = pa.array(["file_unreadable"]), pa.array([str(error)])
    return Block(line_1, nothing_1, reason_1, detail_1, [nothing_1] * width)


def _batch(path: str, sha256: str, block: Block, asked: Asked) -> Any:
    size = len(block)
    arrays = [pa.repeat(text, size) for text in ("row", path, sha256)]
    arrays += [block.lines_N, block.raws_N, block.reasons_N, block.details_N]
    for ours, texts_N in zip(asked.columns, block.columns_N, strict=True):
        pattern = asked.patterns.get(ours)
        arrays.append(texts_N if pattern is None else pa.array(_kept(pattern, texts_N.to_pylist()), pa.string()))
    arrays += [pa.repeat(text, size) for text in asked.constants.values()]
    return pa.RecordBatch.from_arrays(arrays, [*_FIXED, *asked.names])


def _kept(pattern: re.Pattern[str], texts: Sequence[str | None]) -> Sequence[str | None]:
    """Return what the pattern's group (without one: the pattern) matches in each text; nothing is null."""
    group = pattern.groups
    found = (None if text is None else pattern.search(text) for text in texts)
    return [(match.group(group) or None) if match else None for match in found]


def _notice(path: str, kind: str, sha256: str, detail: str | None, asked: Asked) -> Any:
    values = [kind, path, sha256, None, None, None, detail, *(None for _ in asked.names)]
    types = [pa.int64() if name == "line" else pa.string() for name in (*_FIXED, *asked.names)]
    arrays = [pa.array([value], type_) for value, type_ in zip(values, types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, [*_FIXED, *asked.names])
