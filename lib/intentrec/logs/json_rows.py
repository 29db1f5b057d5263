"""JSON lines -> rows of texts: a block of lines at once where Arrow reads it the same way, else line by line."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

from intentrec.logs.blocks import Block, Rows, halved, plain_lines
from intentrec.logs.opening import Refused, decoded_lines, line_blocks

_SAMPLE_LINES = 1000  # of the first block: they tell the fields and their types
_LESSONS = 20  # groups of lines with something new that join the sample; fields that are rarer than that stay slow
_NO_DIGITS = (b"NaN", b"Inf", b": -0", b":-0")  # Arrow takes the former for numbers, and writes -0 as 0


def json_rows(file: BinaryIO, columns: Mapping[str, str], nested: frozenset[str]) -> Iterator[Block]:
    """Yield the rows of a file with one JSON object per line; empty lines are no rows.

    Numbers keep the digits they were written with. A key twice in one object, NaN and Infinity make a line
    ``malformed_row``; an object or list where one value is wanted makes it ``wrong_type``.

    Args:
        file: plain bytes, UTF-8.
        columns: our name: their key, or a dotted path into nested objects.
        nested: our names that may hold an object or a list, kept as JSON.
    """
    decode = json.JSONDecoder(
        object_pairs_hook=_unique, parse_int=str, parse_float=str, parse_constant=_no_number
    ).decode
    paths = [(ours, theirs, theirs.split("."), ours in nested) for ours, theirs in columns.items()]
    at_once = _AtOnce(columns)
    for block in line_blocks(file):
        for part in at_once.parts(*block):
            if isinstance(part, Block):
                yield part
                continue
            rows = Rows(len(columns))
            first, text = part
            for number, line in enumerate(decoded_lines(text), first):
                if line and not line.isspace():
                    rows.add(number, line, line if isinstance(line, Refused) else _json_row(line, decode, paths))
            if rows:
                yield rows.block()


class _AtOnce:
    """Lines that all have the fields and types of a sample, parsed by Arrow: 1 us a row instead of 6.

    Whatever is not exactly as in the sample, an error above all, is left to be read line by line. So the rows of
    both ways are equal: no field that is in no sample can hide in a block, nor a key that stands twice.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = columns
        self._sample: list[Any] = []
        self._lessons = 0
        self._schema: Any = None

    def parts(self, first: int, text: bytes) -> Iterator[Block | tuple[int, bytes]]:
        """Yield the rows of a block, and the lines that are left with the number of their first, in order."""
        if not self._lessons:
            self._learn(decoded_lines(text)[:_SAMPLE_LINES])
        if self._schema is None:
            yield first, text
            return
        block = self._block(first, text)
        halves = halved(first, text)
        if block is not None:
            yield block
        elif halves is None:
            if self._lessons < _LESSONS:
                self._learn(decoded_lines(text))
            yield first, text
        else:
            for half in halves:
                yield from self.parts(*half)

    def _block(self, first: int, text: bytes) -> Block | None:
        plain = None if any(name in text for name in _NO_DIGITS) else plain_lines(text)
        if plain is None:
            return None
        text, texts_N = plain
        try:
            table = pa_json.read_json(
                pa.BufferReader(text),
                pa_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
                pa_json.ParseOptions(explicit_schema=self._schema, unexpected_field_behavior="error"),
            )
        except pa.ArrowException:
            return None
        if table.num_rows != len(texts_N) or not _one_object_a_line(texts_N):
            return None
        columns_N = [_text_at(table, path) for path in self._columns.values()]
        return Block.of_sound_rows(first, texts_N, columns_N, len(texts_N))

    def _learn(self, lines: list[str]) -> None:
        """Widen the schema by these lines, unless they do not agree with it."""
        self._lessons += 1
        try:
            sample = [*self._sample, *(values for values in map(_loaded, lines) if type(values) is dict)]
            types = pa.array(sample).type
        except (ValueError, OverflowError, pa.ArrowException):  # a field has several types, or a number is too large
            return
        if pa.types.is_struct(types) and all(_keeps_its_text(types, path) for path in self._columns.values()):
            self._sample, self._schema = sample, pa.schema([*types])


def _loaded(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _one_object_a_line(texts_N: Any) -> bool:
    """Return whether every line starts and ends like an object: then none goes on in the next line."""
    return bool(pc.all(pc.and_(pc.starts_with(texts_N, "{"), pc.ends_with(texts_N, "}"))).as_py())


def _keeps_its_text(types: Any, path: str) -> bool:
    """Return whether Arrow gives a field of the type the text that stands in the line: it does not for 1.50."""
    if types.get_field_index(path) >= 0 and "." in path and types.get_field_index(path.split(".")[0]) >= 0:
        return False  # a key with a dot and a path that may both have a value
    type_ = _type_at(types, path)
    same = (pa.types.is_string, pa.types.is_int64, pa.types.is_boolean, pa.types.is_null)
    return type_ is None or any(is_kind(type_) for is_kind in same)


def _type_at(types: Any, path: str) -> Any:
    """Return the type of the field, or of what the dotted path leads to; None where there is nothing."""
    if types.get_field_index(path) >= 0:
        return types.field(path).type
    for part in path.split("."):
        if not pa.types.is_struct(types) or types.get_field_index(part) < 0:
            return None
        types = types.field(part).type
    return types


def _text_at(table: Any, path: str) -> Any:
    types = pa.struct([*table.schema])
    if _type_at(types, path) is None:
        return pa.nulls(table.num_rows, pa.string())
    if path in table.column_names:
        values_N = table.column(path)
    else:
        top, *rest = path.split(".")
        values_N = table.column(top)
        for part in rest:
            values_N = pc.struct_field(values_N, part)  # a null struct gives null, .field() would not
    return pc.cast(values_N.combine_chunks(), pa.string())


def _json_row(
    line: str, decode: Callable[[str], Any], paths: list[tuple[str, str, list[str], bool]]
) -> list[str | None] | Refused:
    try:
        values = decode(line)
        if type(values) is not dict:
            return Refused(line, "malformed_row", "not a JSON object")
        row = []
        for ours, theirs, parts, nested_ok in paths:
            value = values.get(theirs)
            if value is None and len(parts) > 1:
                value = _inside(values, parts)
            if value is not None and type(value) is not str:
                if type(value) is not bool and not nested_ok:
                    kind = "list" if type(value) is list else "object"
                    return Refused(line, "wrong_type", f"{ours} ({theirs}): is a JSON {kind}, wanted one value")
                value = json.dumps(value, ensure_ascii=False)
            row.append(value)
        if "\\u" in line:
            "".join(value for value in row if value).encode()  # half a surrogate pair is no text
        return row
    except (ValueError, RecursionError) as error:
        return Refused(line, "malformed_row", f"not JSON: {error}")


def _inside(values: Any, parts: list[str]) -> Any:
    for part in parts:
        if type(values) is not dict:
            return None
        values = values.get(part)
    return values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return values


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")
