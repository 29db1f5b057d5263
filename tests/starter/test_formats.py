import bz2
import gzip

import pytest

from intentrec.errors import InputError
from intentrec.starter.formats import csv_form, format_of, head, packing_of, split


@pytest.mark.parametrize(
    ("text", "sep", "header"),
    [
        ("user,item,at\nu1,i1,5\nu2,i2,6\n", ",", True),
        ("1::3::4\n2::5::5\n", "::", False),
        ("user\titem\nann\ttea\nbob\tcake\n", "\t", True),
        ("u1;i1;2024-05-01T10:00:00Z\nu2;i1;2024-05-01T11:00:00Z\nu1;i1;2024-05-01T11:00:00Z\n", ";", False),
        ("a|b|c\n1|2|3\n", "|", True),
        ("ann\t2024-05-01T10:00:00Z\ttea\nbob\t2024-05-01T11:00:00Z\tcake\n", "\t", False),  # a time is no name
        ('user,note\nu1,"a, b"\nu2,"c, d, e"\n', ",", True),
        ("id\x01at\nx\x015\n", "\x01", True),
    ],
)
def test_separator_and_header_are_told_by_the_first_lines(tmp_path, text, sep, header):
    file = tmp_path / "a.csv"
    file.write_text(text)
    form = csv_form(file)
    assert (form.sep, form.header, form.encoding) == (sep, header, "utf-8")


def test_a_text_that_is_no_utf_8_is_latin_1(tmp_path):
    file = tmp_path / "a.csv"
    file.write_bytes("user,item\nu1,Käse\n".encode("latin-1"))
    assert csv_form(file).encoding == "latin-1"


def test_packings_are_told_by_content(tmp_path):
    for name, pack in (("gzip", gzip.compress), ("bzip2", bz2.compress), ("none", bytes)):
        (tmp_path / name).write_bytes(pack(b'{"a": 1}\n'))
        assert packing_of(tmp_path / name) == name
        assert format_of(tmp_path / name) == "json"
        assert head(tmp_path / name, "utf-8") == ['{"a": 1}']


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"one\ntwo\n", "neither JSON lines nor Parquet"),
        (b"\n\n", "holds no lines of text"),
        (b"\x1f\x8bbroken", "cannot be read"),
    ],
)
def test_what_cannot_be_told_is_an_error(tmp_path, content, said):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=said):
        csv_form(tmp_path / "a")


def test_a_separator_of_two_characters_rules_out_quotes():
    assert split(['"a::b', "c"], "::") == [['"a', "b"], ["c"]]
    assert split(['"a,b",c'], ",") == [["a,b", "c"]]
