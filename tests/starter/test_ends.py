"""Files far longer than what is read of them: blocks of 96 bytes and few rows stand for a megabyte and thousands."""

import bz2
import gzip
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intentrec.starter import ends, sampling
from intentrec.starter.ends import read_ends
from intentrec.starter.sampling import read_sample

LAST = ["997", "998", "999"]


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(ends, "_BLOCK", 96)
    monkeypatch.setattr(ends, "_MOST_ROWS", 3)


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def numbered(rows=range(1000), header="t,u\n"):
    return (header + "".join(f"{row},u{row % 7}\n" for row in rows)).encode()


def objects(rows=range(1000)):
    return "".join(json.dumps({"t": row, "u": f"u{row % 7}"}) + "\n" for row in rows).encode()


def end_of(folder, **files):
    for name, content in files.items():
        (folder / name).write_bytes(content)
    sample = read_sample(str(folder), most_rows=10)
    assert not sample.whole
    return read_ends(sample, next(iter(sample.columns)))


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, zstd], ids=["plain", "gzip", "bzip2", "zstd"])
@pytest.mark.parametrize("content", [numbered(), numbered(header=""), objects()], ids=["csv", "no header", "json"])
def test_the_last_rows_of_a_file_are_read_whatever_its_form(tmp_path, packed, content):
    assert end_of(tmp_path, a=packed(content)) == (LAST, True)


def test_a_line_that_is_cut_is_left_out_and_a_short_file_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(ends, "_MOST_ROWS", 100)
    texts, _ = end_of(tmp_path, a=numbered())
    assert texts == [str(row) for row in range(1000 - len(texts), 1000)]
    assert len(texts) == 13  # 96 bytes of seven each, the first of them cut
    assert end_of(tmp_path, a=numbered(range(900, 904)), b=numbered())[0][-4:] == ["900", "901", "902", "903"]


def test_of_parquet_the_last_row_groups_are_read_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(ends, "_MOST_ROWS", 15)
    read = []
    original = ends.parquet_rows
    monkeypatch.setattr(ends, "parquet_rows", lambda *given: read.append(given[-1]) or original(*given))
    pq.write_table(pa.table({"t": range(95)}), tmp_path / "a.parquet", row_group_size=10)
    assert end_of(tmp_path) == ([str(row) for row in range(80, 95)], True)
    assert read == [range(8, 10)]  # the last has five rows, the one before ten


def test_a_packed_file_that_is_too_long_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(ends, "_MOST_PACKED_BYTES", 1000)
    short = gzip.compress(numbered(range(100, 120)))
    assert end_of(tmp_path, a=short, b=gzip.compress(numbered())) == (["117", "118", "119"], False)
    assert end_of(tmp_path, c=short) == (["117", "118", "119"] * 2, True)


def test_few_packed_files_are_unpacked_the_last_one_first(tmp_path, monkeypatch):
    monkeypatch.setattr(ends, "_MOST_PACKED_FILES", 1)
    assert end_of(tmp_path, a=gzip.compress(numbered(range(20))), b=gzip.compress(numbered())) == (LAST, True)


def test_a_file_that_was_changed_last_is_read_though_its_name_is_none_of_the_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "MOST_FILES", 2)
    monkeypatch.setattr(ends, "_NEWEST_FILES", 1)
    files = {name: numbered(range(start, start + 20)) for name, start in zip("abcd", (0, 100, 900, 300), strict=True)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (1000 + (name == "c"),) * 2)
    texts, _ = end_of(tmp_path)
    assert sorted(texts) == ["17", "18", "19", "317", "318", "319", "917", "918", "919"]  # none of b


def test_a_damaged_file_has_no_end(tmp_path):
    packed = gzip.compress(numbered())
    (tmp_path / "a").write_bytes(numbered(range(20)))
    (tmp_path / "b").write_bytes(packed)
    sample = read_sample(str(tmp_path), most_rows=10)
    (tmp_path / "b").write_bytes(packed[: len(packed) // 2])
    assert read_ends(sample, "t") == (["17", "18", "19"], True)
