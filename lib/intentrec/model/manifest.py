"""Folders of files that are complete and unchanged, or refused: a manifest with size and SHA-256 of each."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from intentrec.crashes import crash_point
from intentrec.errors import InputError, SetupError

MANIFEST = "manifest.json"
_BLOCK = 1 << 20  # bytes hashed at once


def write_folder(folder: Path, write: Callable[[Path], None], what: str) -> tuple[tuple[str, str, int], ...]:
    """Let ``write`` fill a new folder, then put it in the place of ``folder`` in one rename, all of it on disk.

    Args:
        folder: an older one of this name is removed right before the rename.
        write: is given an empty folder.
        what: model or checkpoint, for the names of the places where the fault checks end the process.

    Returns:
        (name, sha256, bytes) of every file, the manifest included, by name.

    Raises:
        SetupError: the folder cannot be written; what was there before is kept.
    """
    new = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(folder)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        new.chmod(0o755)
        write(new)
        entries = [
            {"name": path.name, "sha256": file_sha256(path), "bytes": path.stat().st_size}
            for path in sorted(new.iterdir())
        ]
        (new / MANIFEST).write_text(json.dumps({"files": entries}, indent=1))
        crash_point(f"{what}:before_sync")
        for path in (*new.iterdir(), new):
            _flush(path)
        crash_point(f"{what}:before_rename")
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)
        crash_point(f"{what}:after_rename")
        _flush(folder.parent)
    except OSError as error:
        raise SetupError(
            f"{folder}: cannot be written ({error.strerror}); free space or correct its permissions, then run again"
        ) from error
    finally:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)
    return tuple((path.name, file_sha256(path), path.stat().st_size) for path in sorted(folder.iterdir()))


def verify_folder(folder: Path, expected: Sequence[tuple[str, str, int]] | None = None) -> None:
    """Compare a folder with its manifest, or with what was recorded elsewhere.

    Args:
        folder: what ``write_folder`` made.
        expected: what it returned; None: the folder's own manifest is believed.

    Raises:
        InputError: a file is missing, too much, or has other bytes; the file is named.
    """
    if not (folder / MANIFEST).is_file():
        raise _refused(folder / MANIFEST, "is missing")
    listed = _manifest(folder)
    wanted = {name: (sha256, size) for name, sha256, size in (listed if expected is None else expected)}
    for name in sorted(path.name for path in folder.iterdir()):
        if name not in wanted and not (expected is None and name == MANIFEST):
            raise _refused(folder / name, "is not in the manifest")
    for name, (sha256, size) in sorted(wanted.items()):
        path = folder / name
        if not path.is_file():
            raise _refused(path, "is missing")
        if path.stat().st_size != size:
            raise _refused(path, f"has {path.stat().st_size} bytes, wanted {size}")
        if file_sha256(path) != sha256:
            raise _refused(path, "has other bytes than when it was written (its SHA-256 differs)")


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _remove_unfinished(folder: Path) -> None:
    """Remove what a writer of the same folder left that was killed on the way."""
    temporary = re.compile(rf"\.{re.escape(folder.name)}-[a-z0-9_]{{8}}")  # as mkdtemp names them
    for path in folder.parent.iterdir():
        if temporary.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _manifest(folder: Path) -> list[tuple[str, str, int]]:
    try:
        entries = json.loads((folder / MANIFEST).read_text())["files"]
        listed = [(str(entry["name"]), str(entry["sha256"]), int(entry["bytes"])) for entry in entries]
    except (ValueError, KeyError, TypeError):
        raise _refused(folder / MANIFEST, "is no manifest") from None
    if any(Path(name).name != name or name in ("", ".", "..") for name, _, _ in listed):
        raise _refused(folder / MANIFEST, "names a file outside the folder")
    return listed


def _refused(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}; restore the folder from a copy, or train again")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some FUSE and CIFS mounts flush files but no folders; there the rename is as safe as the mount makes it.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(handle)
