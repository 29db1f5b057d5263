import pyarrow as pa
import pytest
from tests.logs.blocks import details_of, raws_of, rows_of

from intentrec.logs.blocks import Block, Rows, halved, plain_lines
from intentrec.logs.opening import LINE_LIMIT, Refused


def test_rows_that_come_one_by_one_make_a_block_and_begin_anew():
    rows = Rows(2)
    rows.add(3, "ann,tea", ["ann", "tea"])
    rows.add(5, "bob", Refused("bob", "malformed_row", "1 fields, wanted 2"))
    assert len(rows) == 2
    block = rows.block()
    assert rows_of([block]) == [(3, None, ["ann", "tea"]), (5, "malformed_row", [None, None])]
    assert raws_of([block]) == ["ann,tea", "bob"]
    assert details_of([block]) == [None, "1 fields, wanted 2"]
    assert len(rows) == 0
    assert len(rows.block()) == 0


def test_sound_rows_are_numbered_and_may_have_no_text():
    block = Block.of_sound_rows(7, None, [pa.array(["ann", None])], 2)
    assert len(block) == 2
    assert rows_of([block]) == [(7, None, ["ann"]), (8, None, [None])]
    assert raws_of([block]) == [None, None]


def test_plain_lines_have_one_kind_of_end():
    text, lines = plain_lines(b"a\r\nb c\nd\r")
    assert text == b"a\nb c\nd"
    assert lines.to_pylist() == ["a", "b c", "d"]


@pytest.mark.parametrize(
    "block", [b"", b"\na", b"a\n", b"a\n\nb", b"a\rb", b"a\0b", b"\xff", b"a\n" + b"x" * (LINE_LIMIT + 1)]
)
def test_lines_that_need_care_are_not_plain(block):
    assert plain_lines(block) is None


def test_a_block_is_halved_between_lines():
    lines = [f"line {number}".encode() for number in range(1, 101)]
    (first, head), (second, tail) = halved(11, b"\n".join(lines))
    assert first == 11
    assert second == 11 + len(head.split(b"\n"))
    assert head.split(b"\n") + tail.split(b"\n") == lines
    assert halved(1, b"\n".join(lines[:64])) is None
    assert halved(1, b"short\n" * 80 + b"one long last line " * 80) is None
