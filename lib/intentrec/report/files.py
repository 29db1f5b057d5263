"""Files that a reader finds old or new, never in between."""

import os
from contextlib import suppress
from pathlib import Path

from intentrec.crashes import crash_point
from intentrec.errors import SetupError


def put_text(path: Path, text: str, what: str = "report") -> None:
    """Write a file in one step; what a killed run left beside it is removed.

    Args:
        path: of the file; its folder is made.
        text: the whole file.
        what: it is, for the error and the crash points.

    Raises:
        SetupError: the file cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{path.name}.*"):
            left.unlink(missing_ok=True)
        beside.write_text(text, encoding="utf-8")
        crash_point(f"{what}:before_rename")
        beside.replace(path)
        crash_point(f"{what}:after_rename")
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise SetupError(
            f"{path}: the {what} cannot be written ({error.strerror}). Set artifacts to a folder with space and rights"
        ) from None
