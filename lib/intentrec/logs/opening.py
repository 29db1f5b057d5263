"""One file: checked to its last byte before the first row is taken from it."""

import bz2
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

import pyarrow as pa

LINE_LIMIT = 1 << 20  # bytes; a longer line is refused, so that one line of 100 MB cannot fill a worker
RAW_LIMIT = 64 * 1024  # characters of a rejected row that are kept
_BLOCK = 1 << 20

_GZIP, _BZIP2, _ZSTD = b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd"
_SUFFIXES = {".gz": _GZIP, ".gzip": _GZIP, ".bz2": _BZIP2, ".zst": _ZSTD, ".zstd": _ZSTD}
_ARCHIVES = {_GZIP: "gzip", b"PK\x03\x04": "zip", _ZSTD: "zstd", b"BZh9": "bzip2", b"\xfd7zXZ": "xz"}


class DamagedFileError(Exception):
    """The file cannot be read to its end: it is rejected whole, the run goes on."""


class ForeignFileError(Exception):
    """The file is sound but lacks a mapped column: the run is refused."""


class Refused(str):
    """The text of a line that is no row, with the reason why."""

    __slots__ = ("detail", "reason")

    reason: str
    detail: str

    def __new__(cls, text: str, reason: str, detail: str) -> "Refused":
        """Keep at most ``RAW_LIMIT`` characters of the text."""
        refused = super().__new__(cls, text[:RAW_LIMIT])
        refused.reason, refused.detail = reason, detail
        return refused


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 of the bytes as delivered, in hex; the position returns to the start."""
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()


def unpacked(file: BinaryIO, path: str) -> BinaryIO:
    """Return the plain bytes of a file that may be packed with gzip, bzip2 or zstd, known by its first bytes.

    Raises:
        DamagedFileError: the name says packed and the content is not.
    """
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    wanted = next((magic for suffix, magic in _SUFFIXES.items() if path.lower().endswith(suffix)), None)
    if wanted is not None and not start.startswith(wanted):
        raise DamagedFileError(f"the name says packed, the content starts with {start!r}")
    if start.startswith(_GZIP):
        return cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=file), _BLOCK))
    if start.startswith(_BZIP2):
        return cast(BinaryIO, io.BufferedReader(bz2.BZ2File(file), _BLOCK))
    if start.startswith(_ZSTD):
        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(_Borrowed(file), mode="r"), "zstd"))
    return file


class _Borrowed:
    """A file that pyarrow may read and not close: it is read a second time."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read

    def close(self) -> None:
        """Leave the file open."""


def verify(file: BinaryIO, path: str) -> None:
    """Unpack the file to its end, so that a checksum that fails is met before any row is taken.

    Raises:
        DamagedFileError: packed data is cut or changed, or the file holds another archive.
    """
    plain = unpacked(file, path)
    try:
        block = plain.read(_BLOCK)
        nested = next((name for magic, name in _ARCHIVES.items() if block.startswith(magic)), None)
        if nested is None and block[257:262] == b"ustar":
            nested = "tar"
        if nested is not None:
            raise DamagedFileError(f"a {nested} archive inside, wanted rows")
        while block:
            block = plain.read(_BLOCK)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise DamagedFileError(f"cannot be unpacked to its end: {error}") from None


def line_blocks(file: BinaryIO, encoding: str = "utf-8") -> Iterator[tuple[int, bytes]]:
    """Yield whole lines, some 1 MB at once, with the number of their first, from 1; a leading BOM is cut.

    A block has no line end behind its last line. Memory is bounded by one block and one line: of a line that is
    longer than ``LINE_LIMIT`` no more is kept than tells so.
    """
    number, rest = 1, b""
    block = file.read(_BLOCK)
    if encoding == "utf-8":
        block = block.removeprefix(b"\xef\xbb\xbf")
    while block:
        text = rest + block
        end = text.rfind(b"\n")
        if end >= 0:
            yield number, text[:end]
            number += text.count(b"\n", 0, end) + 1
        rest = text[end + 1 : end + LINE_LIMIT + 3]  # one byte over the limit, "\r" apart
        block = file.read(_BLOCK)
    if rest:
        yield number, rest


def decoded_lines(block: bytes, encoding: str = "utf-8") -> list[str]:
    """Return the lines of a block without their ends.

    A line that cannot be decoded or is longer than ``LINE_LIMIT`` comes as ``Refused``.
    """
    lines = block.split(b"\n")
    try:
        texts = block.decode(encoding).split("\n")
        if len(texts) == len(lines) and max(map(len, lines)) <= LINE_LIMIT:
            return [text.removesuffix("\r") for text in texts]
    except UnicodeDecodeError:
        pass
    return [_decoded_line(line.removesuffix(b"\r"), encoding) for line in lines]


def _decoded_line(line: bytes, encoding: str) -> str:
    if len(line) > LINE_LIMIT:
        text = line[: 4 * RAW_LIMIT].decode(encoding, "replace")
        return Refused(text, "too_long", f"a line may hold {LINE_LIMIT} bytes")
    try:
        return line.decode(encoding)
    except UnicodeDecodeError as error:
        return Refused(line.decode(encoding, "replace"), "malformed_row", f"not {encoding}: byte {error.start + 1}")
