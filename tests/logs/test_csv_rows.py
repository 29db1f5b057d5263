import io
import random

import pytest
from tests.logs.blocks import details_of, raws_of, rows_of

from intentrec.logs.csv_rows import CsvForm, csv_rows
from intentrec.logs.opening import ForeignFileError


def csv_of(text, columns=None, **form):
    content = text if isinstance(text, bytes) else text.encode()
    return [*csv_rows(io.BytesIO(content), columns or {"user_id": "user", "item_id": "item"}, CsvForm(**form))]


def test_csv_columns_are_found_by_name_and_an_empty_field_is_null():
    assert rows_of(csv_of("\ufeffx,item,user\n1,tea,ann\n\n2,,bob\r\n")) == [
        (2, None, ["ann", "tea"]),
        (4, None, ["bob", None]),
    ]


def test_quoted_records_may_span_lines_and_keep_the_number_of_their_first():
    text = 'user,item\nann,"a ""b"", \nc"\nbob,tea\n'
    chunks = csv_of(text)
    assert rows_of(chunks) == [(2, None, ["ann", 'a "b", \nc']), (4, None, ["bob", "tea"])]
    assert raws_of(chunks)[0] == 'ann,"a ""b"", \nc"'


@pytest.mark.parametrize("filler", [1, 300])
def test_an_open_quote_costs_its_own_line_only(filler):
    text = "user,item\n" + 'ann,"open\n' + "bob,tea\n" * filler
    chunks = csv_of(text)
    assert rows_of(chunks) == [(2, "malformed_row", [None, None])] + [
        (line, None, ["bob", "tea"]) for line in range(3, 3 + filler)
    ]
    assert raws_of(chunks)[0] == 'ann,"open'


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


def test_a_large_file_comes_in_blocks_of_bounded_size():
    plain = csv_of("user,item\n" + "ann,tea\n" * 300_000)
    assert [len(block) for block in plain] == [131_070, 131_072, 37_858]  # whole lines of 1 MB
    assert plain[-1].lines_N[-1].as_py() == 300_001
    quoted = csv_of("user,item\n" + '"ann",tea\n' * 20_000)
    assert [len(block) for block in quoted] == [8192, 8192, 3616]


PLAIN = ["ann,tea,1.50", "bob,,007", "zoë,cup of tea,", ",,"]
ODD = [
    '"a,b",tea,1',
    '"two',
    'lines",x,2',
    "",
    "short",
    "one,two,three,four",
    "cr,\rin,1",
    "nul,\0,1",
    "ann,tea,1\r",
    '"',
]


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_lines_parsed_at_once_give_what_they_give_one_by_one(monkeypatch, seed, header):
    draw = random.Random(seed)
    share = draw.choice([0, 0.001, 0.02, 0.3])
    lines = [draw.choice(ODD if draw.random() < share else PLAIN) for _ in range(3000)]
    text = "\n".join(["user,item,x"] * header + lines + [""] * draw.randrange(2))
    names = {"user_id": "user", "item_id": "item", "again": "user"}
    columns = names if header else {"user_id": "_c0", "item_id": "_c1", "again": "_c0"}
    at_once = csv_of(text, columns, header=header)
    monkeypatch.setattr("intentrec.logs.csv_rows.plain_lines", lambda block: None)
    one_by_one = csv_of(text, columns, header=header)
    assert rows_of(at_once) == rows_of(one_by_one)
    assert raws_of(at_once) == raws_of(one_by_one)
    assert details_of(at_once) == details_of(one_by_one)


@pytest.mark.parametrize(
    ("form", "plain"),
    [({}, 1), ({"encoding": "UTF8"}, 1), ({"sep": "\t"}, 1), ({"encoding": "latin-1"}, 0), ({"sep": "::"}, 0)],
)
def test_only_what_arrow_reads_the_same_way_is_parsed_at_once(monkeypatch, form, plain):
    seen = []
    monkeypatch.setattr("intentrec.logs.csv_rows.plain_lines", lambda block: seen.append(block))
    sep = form.get("sep", ",")
    assert rows_of(csv_of(f"user{sep}item\nann{sep}tea\n", **form)) == [(2, None, ["ann", "tea"])]
    assert len(seen) == plain
