import io

import pytest

from intentrec.logs.opening import LINE_LIMIT, ForeignFileError
from intentrec.logs.rows import CsvForm, csv_rows, json_rows


def rows_of(chunks):
    return [
        (line, reason, list(row))
        for chunk in chunks
        for line, reason, row in zip(chunk.lines, chunk.reasons, chunk.rows, strict=True)
    ]


def details_of(chunks):
    return [detail for chunk in chunks for detail in chunk.details]


def json_of(text, columns=None, nested=()):
    content = text if isinstance(text, bytes) else text.encode()
    return [*json_rows(io.BytesIO(content), columns or {"user_id": "user", "item_id": "a.b"}, frozenset(nested))]


def csv_of(text, columns=None, **form):
    content = text if isinstance(text, bytes) else text.encode()
    return [*csv_rows(io.BytesIO(content), columns or {"user_id": "user", "item_id": "item"}, CsvForm(**form))]


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
    assert chunks[0].raws[0] == line[: 64 * 1024]


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
    assert len(chunks[0].raws[2]) == 64 * 1024


def test_a_line_of_many_blocks_is_refused_and_the_numbers_go_on():
    chunks = json_of(b"x" * (5 * LINE_LIMIT) + b'\n{"user": "b"}')
    assert rows_of(chunks) == [(1, "too_long", [None, None]), (2, None, ["b", None])]


def test_nested_values_are_kept_as_json_where_they_may_be():
    chunks = json_of('{"user": "ann", "tags": ["a", "é"]}', {"user_id": "user", "context_0": "tags"}, ["context_0"])
    assert rows_of(chunks) == [(1, None, ["ann", '["a", "é"]'])]


def test_csv_columns_are_found_by_name_and_an_empty_field_is_null():
    assert rows_of(csv_of("\ufeffx,item,user\n1,tea,ann\n\n2,,bob\r\n")) == [
        (2, None, ["ann", "tea"]),
        (4, None, ["bob", None]),
    ]


def test_quoted_records_may_span_lines_and_keep_the_number_of_their_first():
    text = 'user,item\nann,"a ""b"", \nc"\nbob,tea\n'
    chunks = csv_of(text)
    assert rows_of(chunks) == [(2, None, ["ann", 'a "b", \nc']), (4, None, ["bob", "tea"])]
    assert chunks[0].raws[0] == 'ann,"a ""b"", \nc"'


@pytest.mark.parametrize("filler", [1, 300])
def test_an_open_quote_costs_its_own_line_only(filler):
    text = "user,item\n" + 'ann,"open\n' + "bob,tea\n" * filler
    chunks = csv_of(text)
    assert rows_of(chunks) == [(2, "malformed_row", [None, None])] + [
        (line, None, ["bob", "tea"]) for line in range(3, 3 + filler)
    ]
    assert chunks[0].raws[0] == 'ann,"open'


def test_a_bad_byte_inside_a_quoted_record_refuses_its_lines_alone():
    chunks = csv_of(b'user,item\nann,"x\n\xff"\nbob,tea\n')
    assert [row[:2] for row in rows_of(chunks)] == [(2, "malformed_row"), (3, "malformed_row"), (4, None)]


def test_another_number_of_fields_is_malformed():
    chunks = csv_of("user,item\nann\nann,tea,x\nbob,tea\n")
    assert [row[:2] for row in rows_of(chunks)] == [(2, "malformed_row"), (3, "malformed_row"), (4, None)]
    assert details_of(chunks)[:2] == ["1 fields, wanted 2", "3 fields, wanted 2"]


def test_without_a_header_columns_are_numbered_and_a_separator_may_be_long():
    columns = {"user_id": "_c0", "item_id": "_c2"}
    text = 'cut\n1::x::te"a\n2::y::\n'
    assert rows_of(csv_of(text, columns, sep="::", header=False)) == [
        (1, "malformed_row", [None, None]),  # most rows have three fields
        (2, None, ["1", 'te"a']),
        (3, None, ["2", None]),
    ]


def test_separator_quote_escape_and_encoding_are_options():
    text = "user;item\nann;'a\\';b'\nbj\xf6rn;tea\n".encode("latin-1")
    chunks = csv_of(text, sep=";", quote="'", escape="\\", encoding="latin-1")
    assert rows_of(chunks) == [(2, None, ["ann", "a';b"]), (3, None, ["björn", "tea"])]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("user,thing", "column 'item' (for item_id) is not in the columns user, thing"),
        ("user,item,item", "column 'item' (for item_id) stands twice in the columns user, item, item"),
        ('"user,item', "line 1 is no header: not CSV: unexpected end of data"),
    ],
)
def test_a_missing_column_refuses_the_file(header, told):
    with pytest.raises(ForeignFileError) as error:
        csv_of(f"{header}\n")
    assert str(error.value) == told


def test_an_empty_file_has_no_rows():
    assert csv_of("") == []
    assert csv_of("", {"user_id": "_c0"}, header=False) == []
    assert json_of("\n \n") == []


def test_a_large_file_comes_in_chunks_of_bounded_size():
    chunks = csv_of("user,item\n" + "ann,tea\n" * 20_000)
    assert [len(chunk.lines) for chunk in chunks] == [8192, 8192, 3616]
    assert chunks[-1].lines[-1] == 20_001
