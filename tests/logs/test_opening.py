import bz2
import gzip
import io
import tarfile
from itertools import pairwise

import pyarrow as pa
import pytest

from intentrec.logs.opening import DamagedFileError, decoded_lines, line_blocks, sha256_of, unpacked, verify

TEXT = b"".join(b"line %d of a log\n" % number for number in range(5000))


def zstd(content):
    return pa.compress(content, "zstd", asbytes=True)


def packed(text):
    """Return a gzip file without a time: each worker of pytest-xdist makes its own, and they must be equal."""
    return gzip.compress(text, mtime=0)


def tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("log.json"))
    return file.getvalue()


def told_by(value):
    """Name a test by the length of its bytes, not by the bytes."""
    return f"{len(value)} bytes" if isinstance(value, bytes) else None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.log", TEXT),
        ("a.log", packed(TEXT)),
        ("a.log.gz", packed(TEXT[:1000]) + packed(TEXT[1000:])),
        ("a.log.bz2", bz2.compress(TEXT)),
        ("a.log.zst", zstd(TEXT)),
        ("empty.log", b""),
    ],
    ids=told_by,
)
def test_packed_and_plain_files_give_the_same_bytes(name, content):
    file = io.BytesIO(content)
    verify(file, name)
    assert unpacked(file, name).read() == (TEXT if content else b"")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.gz", packed(TEXT)[:-20], "cannot be unpacked to its end"),
        ("a.gz", packed(TEXT)[:-8] + b"12345678", "cannot be unpacked to its end"),
        ("a.gz", packed(TEXT) + b"rubbish", "cannot be unpacked to its end"),
        ("a.bz2", bz2.compress(TEXT)[:-20], "cannot be unpacked to its end"),
        ("a.zst", zstd(TEXT)[:-20], "cannot be unpacked to its end"),
        ("a.gz", TEXT, "the name says packed, the content starts with b'line'"),
        ("a.gz", b"", "the name says packed, the content starts with b''"),
        ("a.gz", packed(packed(TEXT)), "a gzip archive inside, wanted rows"),
        ("a.gz", packed(tar()), "a tar archive inside, wanted rows"),
        ("a.zip", b"PK\x03\x04rest", "a zip archive inside, wanted rows"),
    ],
    ids=told_by,
)
def test_a_damaged_file_is_told_before_its_first_row(name, content, told):
    with pytest.raises(DamagedFileError, match=told):
        verify(io.BytesIO(content), name)


def test_the_hash_is_of_the_bytes_as_delivered():
    file = io.BytesIO(b"abc")
    assert sha256_of(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file.read() == b"abc"


def test_lines_are_numbered_over_the_borders_of_blocks():
    lines = [line for _, block in line_blocks(io.BytesIO(TEXT * 20)) for line in decoded_lines(block)]
    firsts = [(first, len(decoded_lines(block))) for first, block in line_blocks(io.BytesIO(TEXT * 20))]
    assert len(lines) == 100_000
    assert lines[-1] == "line 4999 of a log"
    assert len(firsts) > 1
    assert all(first + size == after for (first, size), (after, _) in pairwise(firsts))
