import io
import random

import pytest
from tests.logs.blocks import details_of, raws_of, rows_of

from intentrec.logs import json_rows as json_module
from intentrec.logs.json_rows import json_rows
from intentrec.logs.opening import LINE_LIMIT


def json_of(text, columns=None, nested=()):
    content = text if isinstance(text, bytes) else text.encode()
    return [*json_rows(io.BytesIO(content), columns or {"user_id": "user", "item_id": "a.b"}, frozenset(nested))]


def test_json_values_keep_the_digits_they_were_written_with():
    text = (
        '{"user": 12345678901234567890, "a": {"b": 1.50}}\r\n\n{"user": true, "a": 1}\n{"user": "é\\u00e9", "a.b": "x"}'
    )
    assert rows_of(json_of(text)) == [
        (1, None, ["12345678901234567890", "1.50"]),
        (3, None, ["true", None]),
        (4, None, ["éé", "x"]),
    ]


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (
            "{broken",
            "malformed_row",
            "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        ('{"user": 1, "user": 2}', "malformed_row", "not JSON: key 'user' stands twice"),
        ('{"user": NaN}', "malformed_row", "not JSON: NaN is no number"),
        ('{"user": "\\ud800"}', "malformed_row", None),
        ("[1]", "malformed_row", "not a JSON object"),
        ("[" * 100_000, "malformed_row", None),
        ('{"user": {"id": 1}}', "wrong_type", "user_id (user): is a JSON object, wanted one value"),
        ('{"user": [1]}', "wrong_type", "user_id (user): is a JSON list, wanted one value"),
    ],
)
def test_a_line_that_is_no_json_row_is_refused_and_the_next_one_is_read(line, reason, detail):
    chunks = json_of(f'{line}\n{{"user": "ann"}}\n')
    assert rows_of(chunks) == [(1, reason, [None, None]), (2, None, ["ann", None])]
    assert detail is None or details_of(chunks)[0] == detail
    assert raws_of(chunks)[0] == line[: 64 * 1024]


def test_bytes_that_are_no_utf8_and_lines_that_are_too_long_are_refused_alone():
    long = b'{"user": "' + b"x" * LINE_LIMIT + b'"}'
    chunks = json_of(b'\xef\xbb\xbf{"user": "a"}\n{"user": "\xff"}\n' + long + b'\n{"user": "b"}')
    assert rows_of(chunks) == [
        (1, None, ["a", None]),
        (2, "malformed_row", [None, None]),
        (3, "too_long", [None, None]),
        (4, None, ["b", None]),
    ]
    assert details_of(chunks)[1:3] == ["not utf-8: byte 11", "a line may hold 1048576 bytes"]
    assert len(raws_of(chunks)[2]) == 64 * 1024


def test_a_line_of_many_blocks_is_refused_and_the_numbers_go_on():
    chunks = json_of(b"x" * (5 * LINE_LIMIT) + b'\n{"user": "b"}')
    assert rows_of(chunks) == [(1, "too_long", [None, None]), (2, None, ["b", None])]


def test_nested_values_are_kept_as_json_where_they_may_be():
    chunks = json_of('{"user": "ann", "tags": ["a", "é"]}', {"user_id": "user", "context_0": "tags"}, ["context_0"])
    assert rows_of(chunks) == [(1, None, ["ann", '["a", "é"]'])]


def test_lines_of_space_alone_are_no_rows():
    assert json_of("\n \n") == []


PLAIN = [
    '{"user": "ann", "a": {"b": "tea"}, "n": 7, "x": [1, 2]}',
    '{"user":"bob","n":-3}',
    '{"user": "zo\\u00eb", "a": {"b": null}, "ok": true}',
    '{"user": "2024-01-01T00:00:00", "a": null, "n": 12345678901}',
]
ODD = [
    '{"user": 5}', '{"user": "a", "user": "b"}', '{"user": "a", "new": {"deep": 1}}', '{"a": {"b": 1, "b": 2}}',
    '{"n": 1.50}', '{"n": 1e3}', '{"n": NaN}', '{"n": -0}', '{"n": 99999999999999999999}', '{"n": 007}', "", "  ",
    '{"user": "a"} {"user": "b"}', '{"user": "a"', '"n": 1}', '{"user": "\\ud800"}', '{"user": "a\0b"}', "[1]", "{}",
    '{"a": {"b": ["x"]}}', '{"a.b": "dotted"}', '{"x": "no list"}', '{"user": "a",}', '{"user": "a"}\r',
    '{"user": "\r"}', '{"a": "no object"}',
]  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_lines_parsed_at_once_give_what_they_give_one_by_one(monkeypatch, seed):
    draw = random.Random(seed)
    share = draw.choice([0, 0.001, 0.02, 0.3])
    text = "\n".join(draw.choice(ODD if draw.random() < share else PLAIN) for _ in range(3000))
    columns = {"user_id": "user", "item_id": "a.b", "context_0": "x", "context_1": "n"}
    at_once = json_of(text, columns, ["context_0", "context_1"])
    flat = {ours: theirs for ours, theirs in columns.items() if theirs != "x"}  # a list in a row is never at once
    flat_at_once = json_of(text, flat)
    monkeypatch.setattr("intentrec.logs.json_rows._AtOnce.parts", lambda self, *block: [block])
    for blocks, wanted in (
        (at_once, json_of(text, columns, ["context_0", "context_1"])),
        (flat_at_once, json_of(text, flat)),
    ):
        assert rows_of(blocks) == rows_of(wanted)
        assert raws_of(blocks) == raws_of(wanted)
        assert details_of(blocks) == details_of(wanted)


def parsed_by_line(monkeypatch, text, columns=None):
    """Return the numbers of the lines that were not parsed at once."""
    lines = []
    real = json_module._json_row
    monkeypatch.setattr(json_module, "_json_row", lambda line, *rest: lines.append(line) or real(line, *rest))
    json_of(text, columns)
    return len(lines)


def test_one_bad_line_costs_its_neighbours_the_way_at_once_and_no_more(monkeypatch):
    lines = [PLAIN[1]] * 4000
    assert parsed_by_line(monkeypatch, "\n".join(lines)) == 0
    lines[2500] = "{broken"
    assert parsed_by_line(monkeypatch, "\n".join(lines)) in range(
        1, 65
    )  # 4000 lines halved until fewer than 64 are left


def test_a_field_met_later_is_learned(monkeypatch):
    lines = [PLAIN[1]] * 2000 + ['{"user": "a", "new": "x"}'] * 2000
    assert parsed_by_line(monkeypatch, "\n".join(lines), {"user_id": "user", "item_id": "new"}) in range(1, 65)
    assert rows_of(json_of("\n".join(lines), {"user_id": "user", "item_id": "new"}))[-1] == (4000, None, ["a", "x"])


@pytest.mark.parametrize(
    "line", ['{"user": 1.5}', '{"user": ["a"]}', '{"user": {"id": 1}}', '{"a.b": "x", "a": {"b": "y"}}']
)
def test_values_that_arrow_would_write_otherwise_are_read_line_by_line(monkeypatch, line):
    assert parsed_by_line(monkeypatch, f"{line}\n" * 10) == 10
