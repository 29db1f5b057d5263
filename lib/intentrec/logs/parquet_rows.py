"""Parquet -> rows of texts, so that one set of rules judges every format."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from intentrec.logs.blocks import Block
from intentrec.logs.opening import DamagedFileError, ForeignFileError

_ROWS = 8192


def verify_parquet(file: BinaryIO, columns: Mapping[str, str]) -> None:
    """Decode every wanted column to its end, checksums included where the writer left them.

    Raises:
        DamagedFileError: a part cannot be decoded.
    """
    file.seek(0)
    try:
        opened = _opened(file)
        for _ in opened.iter_batches(_ROWS, columns=_present(opened, columns)):
            pass
    except (OSError, pa.ArrowException) as error:
        raise DamagedFileError(f"not Parquet to its end: {' '.join(str(error).split())}") from None


def parquet_rows(
    file: BinaryIO,
    path: str,
    columns: Mapping[str, str],
    nested: frozenset[str],
    groups: Sequence[int] | None = None,
) -> Iterator[Block]:
    """Yield the rows of a Parquet file; the line is the row's number, from 1, and no raw text is kept.

    A column that is not in the file may stand in the folder's name as ``column=value``. Time stamps become ISO
    texts: with offset where Parquet holds an instant, without where it holds local time.

    Args:
        file: opened.
        path: of the file.
        columns: our name: their column, or a dotted path.
        nested: our names that may hold an object or a list, kept as JSON.
        groups: numbers of the row groups to read, whose rows are then counted from 1; None: all.

    Raises:
        ForeignFileError: a wanted column is neither in the file nor in the folder's name, or is a struct, a list or
            a map where one value is wanted.
    """
    file.seek(0)
    opened = _opened(file)
    folders = dict(part.split("=", 1) for part in path.split("/")[:-1] if "=" in part)
    first = 1
    for batch in opened.iter_batches(_ROWS, groups, columns=_present(opened, columns)):
        texts_N = [_texts(batch, ours, theirs, folders, ours in nested) for ours, theirs in columns.items()]
        yield Block.of_sound_rows(first, None, texts_N, batch.num_rows)
        first += batch.num_rows


def check_parquet_columns(file: BinaryIO, path: str, columns: Mapping[str, str], nested: frozenset[str]) -> None:
    """Refuse a file without a wanted column before its rows are read.

    Raises:
        ForeignFileError: as ``parquet_rows``; files without rows are checked as well.
    """
    file.seek(0)
    schema = _opened(file).schema_arrow
    folders = dict(part.split("=", 1) for part in path.split("/")[:-1] if "=" in part)
    empty = pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
    for ours, theirs in columns.items():
        _texts(empty, ours, theirs, folders, ours in nested)


def _opened(file: BinaryIO) -> Any:
    return pq.ParquetFile(file)


def _present(opened: Any, columns: Mapping[str, str]) -> list[str]:
    top = set(opened.schema_arrow.names)
    return sorted({theirs if theirs in top else theirs.split(".")[0] for theirs in columns.values()} & top)


def _texts(batch: Any, ours: str, theirs: str, folders: Mapping[str, str], nested_ok: bool) -> Any:
    values = _column(batch, theirs)
    if values is None:
        if theirs not in folders:
            found = ", ".join(batch.schema.names)
            raise ForeignFileError(f"column {theirs!r} (for {ours}) is not in the columns {found}")
        null = folders[theirs] == "__HIVE_DEFAULT_PARTITION__"
        return pa.array([None if null else unquote(folders[theirs])] * batch.num_rows, pa.string())
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_nested(values.type):
        if not nested_ok:
            raise ForeignFileError(f"column {theirs!r} (for {ours}) is {values.type}, wanted one value a row")
        return pa.array([_json(value) for value in values.to_pylist()], pa.string())
    if pa.types.is_timestamp(values.type):
        return _iso(values)
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        return pa.array([_text(value) for value in values.to_pylist()], pa.string())
    return pc.cast(values, pa.string())


def _column(batch: Any, path: str) -> Any:
    if path in batch.schema.names:
        return batch.column(path)
    top, *rest = path.split(".")
    if top not in batch.schema.names:
        return None
    values = batch.column(top)
    for part in rest:
        if not pa.types.is_struct(values.type) or values.type.get_field_index(part) < 0:
            return None
        values = pc.struct_field(values, part)  # a null struct gives null, .field() would not
    return values


def _iso(values: Any) -> Any:
    texts = pc.strftime(pc.cast(values, pa.timestamp("us", "UTC"), safe=False), format="%Y-%m-%dT%H:%M:%S")
    return pc.binary_join_element_wise(texts, "Z", "") if values.type.tz else texts


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)
