"""The folders that a night writes: may this user, and does another run hold them."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from intentrec.config import Config
from intentrec.doctor.findings import Finding, failed, passed, warned
from intentrec.doctor.machine import existing
from intentrec.ledger.lock import local_folder


def places_of(config: Config) -> dict[str, Path]:
    """Return what it is: folder, of everything on this machine that a night writes."""
    warehouse = local_folder(config.warehouse)
    artifacts = Path(str(config.artifacts)) if config.artifacts and "://" not in config.artifacts else None
    work = str(config.spark.conf.get("spark.local.dir", os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir())))
    named = {"warehouse": warehouse, "artifacts": artifacts, "spark.local.dir": Path(work.split(",")[0])}
    return {what: place for what, place in named.items() if place is not None}


def check_places(places: dict[str, Path]) -> Iterator[Finding]:
    """Want every place to be a folder, or to be made, in which this user can write; a file is written and removed."""
    for what, place in places.items():
        there = existing(place)
        remedy = f"let {_user()} write there (chown, chmod), or move it: key {what}"
        if not there.is_dir():
            yield failed("paths", f"{what} {place}: {there} is no folder", f"name a folder with the key {what}")
            continue
        try:
            with tempfile.NamedTemporaryFile(dir=there, prefix=".doctor-"):
                pass
        except OSError as error:
            yield failed("paths", f"{what} {place}: {there} cannot be written: {error.strerror}", remedy)
            continue
        yield passed(
            "paths", f"{what} {place}: " + ("can be written" if there == place else f"will be made in {there}")
        )


def check_lock(warehouse: str) -> Finding:
    """Tell whether another run holds the warehouse; a folder's lock alone can be seen without Spark."""
    folder = local_folder(warehouse)
    if folder is None:
        return passed("lock", "of a catalog: seen by the job")
    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR)
    except FileNotFoundError:
        return passed("lock", "nobody holds the warehouse")
    except OSError as error:
        return failed("lock", f"{folder}/.lock cannot be opened: {error.strerror}", f"let {_user()} write it")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 400, 0).decode(errors="replace")
        return warned("lock", f"another run holds {folder}: {holder}", "wait for its end; a night now would exit 6")
    finally:
        os.close(descriptor)
    return passed("lock", "nobody holds the warehouse")


def _user() -> str:
    return f"user {os.getuid()}"
