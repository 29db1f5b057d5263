"""URLs of example files -> names that this machine and petastorm take, their rows, errors a user can act on."""

import hashlib
import queue
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pyarrow.parquet as pq
from fsspec.core import get_filesystem_class, url_to_fs
from pyarrow.fs import FileSystem

from intentrec.errors import InputError, SetupError, TrainingError

# What petastorm's urlparse cuts a path at, or leaves out of it. It also never decodes a URL.
_LOST = re.compile(r"[#?;\x00-\x1f]")
_BY_PYARROW = ("hdfs", "viewfs")  # petastorm reads all else but local files by fsspec, and so do we
_PACKAGES = {  # that fsspec needs
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("abfs", "abfss", "az"), "adlfs"),
}
_DBFS = Path("/dbfs")  # where Databricks mounts what Spark calls dbfs:/


def local_path(url: str) -> Path | None:
    """Return where a file lies on this machine; None if it lies elsewhere."""
    parts = urlsplit(url)
    if parts.scheme == "dbfs" and _DBFS.is_dir():
        return _DBFS / unquote(parts.path).lstrip("/")
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def check_readable(urls: Sequence[str]) -> None:
    """Refuse storage that this Python has no way to, which would otherwise be told by ranks that were started for it.

    Raises:
        SetupError: naming the package that is missing, or another place.
    """
    elsewhere = "keep the warehouse elsewhere"
    for scheme, url in sorted({urlsplit(url).scheme: url for url in urls}.items()):
        if local_path(url) is not None or scheme in _BY_PYARROW:
            continue
        if scheme == "dbfs":
            raise SetupError(f"{url}: examples cannot be read here, {_DBFS} is not mounted; {elsewhere}")
        try:
            get_filesystem_class(scheme)
        except (ImportError, ValueError) as error:
            package = _PACKAGES.get(scheme)
            wanted = f"install {package} for the driver and the ranks" if package else elsewhere
            raise SetupError(f"{url}: examples cannot be read ({error}); {wanted}") from None


@contextmanager
def petastorm_urls(urls: Sequence[str]) -> Iterator[list[str]]:
    """Yield the URLs as petastorm takes them: not escaped, and for a folder whose name it would lose with a link to it.

    The links lie in a temporary folder and are gone afterwards.
    """
    urls = [f"file://{quote(str(local_path(url)))}" if url.startswith("dbfs:") else url for url in urls]
    if not any(_LOST.search(unquote(url)) for url in urls):
        yield [unquote(url) for url in urls]
        return
    with tempfile.TemporaryDirectory(prefix="examples-") as links:
        yield [_linked(url, Path(links)) for url in urls]


def _linked(url: str, links: Path) -> str:
    """Return the file's name with a link in the place of the deepest folder that would be lost, and all above it."""
    path, plain = local_path(url), unquote(url)
    if path is None or not _LOST.search(plain):
        return plain
    lost = max(number for number, part in enumerate(path.parts) if _LOST.search(part))
    folder = Path(*path.parts[: lost + 1])
    link = links / hashlib.sha256(bytes(folder)).hexdigest()[:16]
    if not link.is_symlink():
        link.symlink_to(folder)
    return f"file://{link.joinpath(*path.parts[lost + 1 :])}"


def rows_of_groups(urls: Sequence[str], timeout_s: float) -> list[list[int]]:
    """Return the rows of every row group of every file, from the footers.

    A thread reads them: storage that hangs must not hang the rank.

    Args:
        urls: of the files.
        timeout_s: seconds that a file may take.

    Raises:
        TrainingError: a file is gone, cannot be read, or does not answer in time.
    """
    answers: queue.Queue[list[int] | Exception] = queue.Queue()

    def read() -> None:
        for url in urls:
            try:
                answers.put(_row_groups(url))
            except Exception as error:  # noqa: BLE001 the caller raises it
                answers.put(error)

    threading.Thread(target=read, name="footers", daemon=True).start()
    found = []
    for url in urls:
        try:
            answer = answers.get(timeout=timeout_s)
        except queue.Empty:
            raise silent(url, timeout_s) from None
        if isinstance(answer, Exception):
            raise explained(answer, [url])
        found.append(answer)
    return found


def _row_groups(url: str) -> list[int]:
    local = local_path(url)
    if local is not None:
        footer = pq.read_metadata(local)
    elif urlsplit(url).scheme in _BY_PYARROW:
        system, path = FileSystem.from_uri(unquote(url))
        footer = pq.read_metadata(system.open_input_file(path))
    else:
        check_readable([url])
        system, path = url_to_fs(unquote(url))
        with system.open(path) as file:
            footer = pq.read_metadata(file)
    return [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]


def silent(url: str, timeout_s: float) -> TrainingError:
    """Return the error for storage that does not answer."""
    return TrainingError(f"{url}: no rows of examples in {timeout_s:g} s; check that the storage answers")


def explained(error: BaseException, urls: Sequence[str]) -> BaseException:
    """Return the error a user can act on; ``error`` itself where it is one."""
    if isinstance(error, (SetupError, InputError, TrainingError)):
        return error
    gone = [url for url in urls if _is_gone(url)]
    if gone or isinstance(error, FileNotFoundError):
        return TrainingError(
            f"{(gone or urls)[0]}: a file of the pinned version of examples is gone, probably vacuumed; run "
            "build_examples again and keep deleted files longer than a training run"
        )
    text = " ".join(str(error).split())[:300]
    return TrainingError(f"{urls[0]}: examples cannot be read ({type(error).__name__}: {text})")


def _is_gone(url: str) -> bool:
    path = local_path(url)
    return path is not None and not path.exists()
