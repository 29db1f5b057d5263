"""Lines of text -> rows of texts: JSON lines and CSV."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, BinaryIO

from intentrec.logs.opening import LINE_LIMIT, ForeignFileError, Refused, numbered_lines

_ROWS = 8192  # of a chunk: about 2 MB of text
_RECORD_LINES = 100  # most lines of one quoted record; an open quote must not swallow a file
_WIDTH_SAMPLE = 100  # rows that vote on the width of a file without a header

Row = Sequence[str | None]


@dataclass(slots=True)
class Chunk:
    """Some rows of a file, column by column.

    Attributes:
        lines: number of the row's first line, from 1.
        raws: the row as delivered.
        reasons: why the row is refused, else None; refused rows hold None in every column.
        details: what was met and what was wanted, for refused rows.
        rows: the wanted columns of each row.
    """

    lines: list[int] = field(default_factory=list)
    raws: list[str | None] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
    details: list[str | None] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def add(self, line: int, raw: str, row: Row | Refused, width: int) -> None:
        """Append one row, or one refused row of ``width`` empty columns."""
        refused = row if isinstance(row, Refused) else None
        self.lines.append(line)
        self.raws.append(str(refused) if refused is not None else raw)
        self.reasons.append(refused.reason if refused is not None else None)
        self.details.append(refused.detail if refused is not None else None)
        self.rows.append((None,) * width if refused is not None else row)


def json_rows(file: BinaryIO, columns: Mapping[str, str], nested: frozenset[str]) -> Iterator[Chunk]:
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
    chunk = Chunk()
    for first, lines in numbered_lines(file):
        for number, line in enumerate(lines, first):
            if not line or line.isspace():
                continue
            row = line if isinstance(line, Refused) else _json_row(line, decode, paths)
            chunk.add(number, line, row, len(columns))
            if len(chunk.lines) == _ROWS:
                yield chunk
                chunk = Chunk()
    if chunk.lines:
        yield chunk


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvForm:
    """How a CSV file is written; ``sep`` of more than one character rules out quoting."""

    sep: str = ","
    header: bool = True
    quote: str = '"'
    escape: str | None = None
    encoding: str = "utf-8"


def csv_rows(file: BinaryIO, columns: Mapping[str, str], form: CsvForm) -> Iterator[Chunk]:
    """Yield the rows of a CSV file; empty lines are no rows, an empty field is null.

    Without a header the columns are named ``_c0``, ``_c1``, ... A row with another number of fields than the
    header (without one: than most of the first 100 rows) is ``malformed_row``. A record may span at most 100
    lines; when a quote is left open, its first line alone is refused and reading goes on with the next one.

    Raises:
        ForeignFileError: a wanted column is not in the header.
    """
    records = _records(file, form)
    if form.header:
        first = next(records, None)
        if first is None:
            return
        names, sample = _names(first[2]), []
    else:
        sample = list(islice(records, _WIDTH_SAMPLE))
        widths = [len(record) for _, _, record in sample if not isinstance(record, Refused)]
        names = [f"_c{position}" for position in range(max(set(widths), key=widths.count, default=0))]
    places = _places(names, columns) if form.header or names else []
    chunk = Chunk()
    for record in chain(sample, records):
        _add_record(chunk, record, places, len(names))
        if len(chunk.lines) >= _ROWS:
            yield chunk
            chunk = Chunk()
    if chunk.lines:
        yield chunk


def _add_record(chunk: Chunk, record: tuple[int, str, list[str] | Refused], places: list[int], width: int) -> None:
    line, raw, values = record
    if isinstance(values, Refused):
        chunk.add(line, raw, values, len(places))
    elif len(values) != width:
        detail = f"{len(values)} fields, wanted {width}"
        chunk.add(line, raw, Refused(raw, "malformed_row", detail), len(places))
    else:
        chunk.lines.append(line)
        chunk.raws.append(raw)
        chunk.reasons.append(None)
        chunk.details.append(None)
        chunk.rows.append([values[place] or None for place in places])


def _names(header: list[str] | Refused) -> list[str]:
    if isinstance(header, Refused):
        raise ForeignFileError(f"line 1 is no header: {header.detail}")
    return header


def _places(names: list[str], columns: Mapping[str, str]) -> list[int]:
    for ours, theirs in columns.items():
        if names.count(theirs) != 1:
            found = "stands twice in" if theirs in names else "is not in"
            raise ForeignFileError(f"column {theirs!r} (for {ours}) {found} the columns {', '.join(names)}")
    return [names.index(theirs) for theirs in columns.values()]


class _Lines:
    """Feed csv.reader line by line; remember what the current record took, take back what it should not have."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._blocks = numbered_lines(file, encoding)
        self._pending: list[str] = []
        self._number = 0
        self.taken: list[str] = []
        self.first = 1

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if len(self.taken) >= _RECORD_LINES or (len(self.taken) > 1 and sum(map(len, self.taken)) > LINE_LIMIT):
            raise StopIteration
        if not self._pending:
            self._number, lines = next(self._blocks)
            self._pending = lines[::-1]
        line = self._pending.pop()
        if not self.taken:
            self.first = self._number
        self._number += 1
        self.taken.append(line)
        return line + "\n"

    def give_back(self) -> None:
        """Return all lines of the current record but its first."""
        self._pending.extend(reversed(self.taken[1:]))
        self._number -= len(self.taken) - 1
        del self.taken[1:]


def _records(file: BinaryIO, form: CsvForm) -> Iterator[tuple[int, str, list[str] | Refused]]:
    """Yield (number of the first line, text, fields) of each record that is not an empty line."""
    lines = _Lines(file, form.encoding)
    parse = _parser(lines, form)
    while True:
        lines.taken.clear()
        try:
            fields: list[str] | Refused = next(parse)
        except StopIteration:
            if not lines.taken:
                return
            fields = []
        except csv.Error as error:
            fields = Refused(lines.taken[0], "malformed_row", f"not CSV: {error}")
            lines.give_back()
            parse = _parser(lines, form)
        taken = lines.taken
        if any(isinstance(line, Refused) for line in taken):
            lines.give_back()
            first = taken[0]
            fields = first if isinstance(first, Refused) else Refused(first, "malformed_row", "not CSV: open quote")
        if len(taken) == 1 and not taken[0]:
            continue
        yield lines.first, taken[0] if len(taken) == 1 else "\n".join(taken), fields


def _parser(lines: _Lines, form: CsvForm) -> Iterator[list[str]]:
    if len(form.sep) > 1:
        return (line.removesuffix("\n").split(form.sep) for line in lines)
    csv.field_size_limit(2 * LINE_LIMIT)
    return csv.reader(
        lines, delimiter=form.sep, quotechar=form.quote, escapechar=form.escape, strict=True,
        doublequote=form.escape is None,
    )  # fmt: skip
