"""Where a text stands below a folder: in any file's bytes, in the values of Parquet files, and inside of gzip."""

import gzip
from pathlib import Path

import pyarrow.parquet as pq

_TEXTS = {".json", ".crc", ".html", ".csv", ".yaml", ".txt", ""}


def places_of(text: str, folder: Path, *, texts_only: bool = False) -> list[str]:
    """List the files that hold ``text``, sorted.

    Args:
        text: what to look for.
        folder: with everything below it; hidden files too.
        texts_only: of files that are no texts only the values of Parquet count; for short texts, which a few
            megabytes of packed bytes hold by chance.
    """
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and any(text.encode() in content for content in _contents(path, texts_only))
    )


def _contents(path: Path, texts_only: bool) -> list[bytes]:
    raw = path.read_bytes()
    found = [raw] if not texts_only or path.suffix in _TEXTS else []
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        found += [str(file.read().to_pylist()).encode(), str(file.metadata.to_dict()).encode()]
    if path.suffix == ".gz":
        found.append(gzip.decompress(raw))
    return found
