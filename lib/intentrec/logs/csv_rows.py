"""CSV -> rows of texts: a block of lines at once where it is plain, else record by record."""

import codecs
import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pa_csv

from intentrec.logs.blocks import Block, Rows, halved, plain_lines
from intentrec.logs.opening import LINE_LIMIT, ForeignFileError, Refused, decoded_lines, line_blocks

_ROWS = 8192  # of a block that is read record by record: about 2 MB of text
_RECORD_LINES = 100  # most lines of one quoted record; an open quote must not swallow a file
_WIDTH_SAMPLE = 100  # rows that vote on the width of a file without a header

Record = tuple[int, str, list[str] | Refused]  # number of its first line, text, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvForm:
    """How a CSV file is written; ``sep`` of more than one character rules out quoting."""

    sep: str = ","
    header: bool = True
    quote: str = '"'
    escape: str | None = None
    encoding: str = "utf-8"

    @property
    def at_once(self) -> bool:
        """Return whether lines without quotes may be parsed many at once."""
        return len(self.sep) == 1 and self.sep.isascii() and codecs.lookup(self.encoding).name == "utf-8"

    @property
    def special(self) -> tuple[bytes, ...]:
        """Return what makes a line more than its text split at ``sep``."""
        return tuple(char.encode() for char in (self.quote, self.escape) if char)


def csv_rows(file: BinaryIO, columns: Mapping[str, str], form: CsvForm) -> Iterator[Block]:
    """Yield the rows of a CSV file; empty lines are no rows, an empty field is null.

    Without a header the columns are named ``_c0``, ``_c1``, ... A row with another number of fields than the
    header (without one: than most of the first 100 rows) is ``malformed_row``. A record may span at most 100
    lines; when a quote is left open, its first line alone is refused and reading goes on with the next one.

    Raises:
        ForeignFileError: a wanted column is not in the header.
    """
    lines = _Lines(file, form)
    records = _records(lines, form)
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
    rows = Rows(len(places))
    for part in chain(
        sample, _parts(lines, records, lambda first, text: _parsed(first, text, places, len(names), form))
    ):
        if isinstance(part, Block):
            if rows:
                yield rows.block()
            yield part
        else:
            _add_record(rows, part, places, len(names))
            if len(rows) == _ROWS:
                yield rows.block()
    if rows:
        yield rows.block()


def _parts(
    lines: "_Lines", records: Iterator[Record], parsed: Callable[[int, bytes], Block | None]
) -> Iterator[Block | Record]:
    """Yield lines parsed at once and, between them, the records that need more care, in order."""
    while True:
        block = _next_block(lines, parsed)
        part = next(records, None) if block is None else block
        if part is None:
            return
        yield part


def _next_block(lines: "_Lines", parsed: Callable[[int, bytes], Block | None]) -> Block | None:
    """Parse the next lines at once; None where they need more care, or at the end."""
    while (found := lines.block()) is not None:
        block = parsed(*found)
        if block is not None:
            lines.forget_block()
            return block
        if not lines.halve_block():
            return None
    return None


def _parsed(first: int, text: bytes, places: list[int], width: int, form: CsvForm) -> Block | None:
    """Parse lines without a quote in them at once, 0.5 us a row instead of 4; None where one needs more care."""
    plain = None if any(char in text for char in form.special) else plain_lines(text)
    if plain is None:
        return None
    text, texts_N = plain
    names = [str(place) for place in range(width)]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
            pa_csv.ParseOptions(delimiter=form.sep, quote_char=False, double_quote=False, ignore_empty_lines=False),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), include_columns=sorted({names[p] for p in places}),
                null_values=[""], strings_can_be_null=True,
            ),
        )  # fmt: skip
    except pa.ArrowInvalid:
        return None
    if table.num_rows != len(texts_N):
        return None
    columns_N = [table.column(names[place]).combine_chunks() for place in places]
    return Block.of_sound_rows(first, texts_N, columns_N, len(texts_N))


def _add_record(rows: Rows, record: Record, places: list[int], width: int) -> None:
    line, raw, values = record
    if isinstance(values, Refused):
        rows.add(line, raw, values)
    elif len(values) != width:
        rows.add(line, raw, Refused(raw, "malformed_row", f"{len(values)} fields, wanted {width}"))
    else:
        rows.add(line, raw, [values[place] or None for place in places])


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

    def __init__(self, file: BinaryIO, form: CsvForm) -> None:
        self._form = form
        self._blocks = line_blocks(file, form.encoding)
        self._later: list[tuple[int, bytes]] = []  # parts of a block, the next one last
        self._untried: tuple[int, bytes] | None = None  # a block that may be parsed at once
        self._tried = False  # whether the pending lines are of a block that could not be
        self._pending: list[str] = []
        self._number = 0
        self.taken: list[str] = []
        self.first = 1

    def block(self) -> tuple[int, bytes] | None:
        """Return the next lines, in UTF-8, with the number of the first; None at the end.

        They stay until ``forget_block``. Lines that were returned and not forgotten are not returned again.
        """
        if not self._form.at_once or self._untried is not None:
            return None
        if not self._pending:
            self._untried = self._next()
        elif not self._tried and not any(isinstance(line, Refused) for line in self._pending):
            self._untried = self._number, "\n".join(reversed(self._pending)).encode()
            self._pending = []
        return self._untried

    def forget_block(self) -> None:
        """Go on behind the block: it is read."""
        self._untried = None

    def halve_block(self) -> bool:
        """Return whether the block is long enough to be two, of which the first is returned next."""
        halves = halved(*self._untried) if self._untried else None
        if halves is not None:
            self._later.extend(reversed(halves))
            self._untried = None
        return halves is not None

    def _next(self) -> tuple[int, bytes] | None:
        return self._later.pop() if self._later else next(self._blocks, None)

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if len(self.taken) >= _RECORD_LINES or (len(self.taken) > 1 and sum(map(len, self.taken)) > LINE_LIMIT):
            raise StopIteration
        if not self._pending:
            self._tried = self._untried is not None
            block = self._untried or self._next()
            if block is None:
                raise StopIteration
            self._untried = None
            self._number = block[0]
            self._pending = decoded_lines(block[1], self._form.encoding)[::-1]
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


def _records(lines: _Lines, form: CsvForm) -> Iterator[Record]:
    """Yield (number of the first line, text, fields) of each record that is not an empty line."""
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
