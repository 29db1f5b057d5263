"""What ranks tell the process that started them, through a folder: launchers pass on no more than an exit code."""

import logging
from contextlib import suppress
from pathlib import Path

from intentrec.errors import ConfigError, InputError, IntentrecError, SetupError, TrainingError

_KNOWN_ERRORS = {kind.__name__: kind for kind in (ConfigError, InputError, SetupError, TrainingError)}
_LOST_THE_OTHERS = "HorovodInternalError"  # what Horovod raises on the ranks that are left
_LOG_NAME = "log"


def leave_start(folder: Path, rank: int) -> None:
    """Say that a rank has met all others."""
    if folder.is_dir():
        (folder / f"{rank:05d}.started").touch()


def leave_failure(folder: Path, rank: int, error: BaseException) -> None:
    """Say in one line why a rank fails."""
    name, text = type(error).__name__, " ".join(str(error).split())
    if _has_lost_the_others(error):
        name = _LOST_THE_OTHERS
    elif name not in _KNOWN_ERRORS:
        name, text = "TrainingError", f"{name}: {text}" if text else name
    unfinished = folder / f"{rank:05d}.failing"
    with suppress(OSError):  # no room, or a folder of another machine: the launcher still sees the exit code
        unfinished.write_text(f"{name}\n{text}")
        unfinished.rename(folder / f"{rank:05d}.failed")


def log_into(folder: Path) -> logging.Handler:
    """Return a handler that hands a rank's log lines to the process that started it."""
    if not folder.is_dir():
        return logging.NullHandler()
    # Rank 0 alone writes it, once: some mounts of object stores refuse to append.
    return logging.FileHandler(folder / _LOG_NAME, mode="w", encoding="utf-8")


class Notes:
    """The folder as the process sees it that started the ranks."""

    def __init__(self, folder: Path, workers: int) -> None:
        """Begin with the first line of the log."""
        self._folder, self._workers, self._read = folder, workers, 0

    def all_started(self) -> bool:
        """Return whether every rank has met all others."""
        return len([*self._folder.glob("*.started")]) == self._workers

    def any_failed(self) -> bool:
        """Return whether a rank has told that it fails."""
        return any(self._folder.glob("*.failed"))

    def new_lines(self) -> list[str]:
        """Return the whole lines of the log that have come since the last call."""
        log = self._folder / _LOG_NAME
        if not log.is_file():
            return []
        with log.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        return whole.decode("utf-8", errors="replace").splitlines()

    def failure(self) -> IntentrecError | None:
        """Return the error of the first rank that failed by itself; None where no note tells of one, or can be read."""
        with suppress(OSError):  # the launcher's own error says less, but it is not hidden
            for note in sorted(self._folder.glob("*.failed")):
                kind, _, told = note.read_text().partition("\n")
                if kind != _LOST_THE_OTHERS:
                    return _KNOWN_ERRORS[kind](f"rank {int(note.stem)} of {self._workers}: {told}")
        return None


def _has_lost_the_others(error: BaseException) -> bool:
    return type(error).__name__ in (_LOST_THE_OTHERS, "RankLostError") or "Horovod has been shut down" in str(error)
