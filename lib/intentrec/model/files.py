"""URLs of example files -> names that this machine and petastorm take."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What petastorm's urlparse cuts a path at, or leaves out of it. It also never decodes a URL.
_LOST = re.compile(r"[#?;\x00-\x1f]")


def local_path(url: str) -> Path | None:
    """Return where a file lies on this machine; None if it lies elsewhere."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


@contextmanager
def petastorm_urls(urls: Sequence[str]) -> Iterator[list[str]]:
    """Yield the URLs as petastorm takes them: not escaped, and for a folder whose name it would lose with a link to it.

    The links lie in a temporary folder and are gone afterwards.
    """
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
