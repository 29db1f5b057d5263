"""The machine: memory and disk against the config, ports, open files, clock."""

import os
import re
import resource
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from intentrec.config import Config, cutoff_of
from intentrec.doctor.findings import Finding, failed, passed, warned

GIB = 2**30
_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_RANK_BYTES = int(1.2 * GIB)  # torch, petastorm and Horovod imported take 0.57 GiB; as much again for rows and model
_PYTHON_WORKER_BYTES = int(0.4 * GIB)
_JVM_SHARE = 1.15  # of the heap: what Java needs beside it
# Bytes on disk for one byte of logs as delivered, packed: a night holds every event four times (events, sessions,
# examples, histories), twice while it shuffles, and keeps the version before.
_DISK_PER_LOG_BYTE = 16
_FEWEST_DISK = 2 * GIB
_FEWEST_FILES = 1024  # open at once: Delta, shuffle files and sockets of the ranks
_EARLIEST = datetime(2025, 6, 1, tzinfo=UTC)  # before the packages that we need were made
_AHEAD = timedelta(minutes=10)


def bytes_of(text: str) -> int | None:
    """Return the bytes of a size as Spark writes it (4g, 1500m); None: it is no size."""
    found = re.fullmatch(r"\s*(\d+)\s*([bkmgt]?)b?\s*", text.lower())
    return int(found[1]) * _UNITS[found[2]] if found else None


def check_memory(config: Config, memory: int | None = None) -> Iterator[Finding]:
    """Compare what the driver, the workers and the ranks take with what this machine or container has.

    Args:
        config: ``spark`` and ``training``.
        memory: bytes that may be used; None: asks the system.
    """
    has = memory_limit() if memory is None else memory
    given = str(config.spark.conf.get("spark.driver.memory", "4g"))
    heap = bytes_of(given)
    if heap is None:
        yield Finding("memory", "FAIL", f"spark.driver.memory {given!r} is no size", "write it as 4g or 1500m", 2)
        return
    here = config.spark.master.startswith("local") or config.training.launcher != "spark"
    ranks = config.training.workers if here else 1
    wanted = int(heap * _JVM_SHARE) + ranks * _RANK_BYTES + (2 * _PYTHON_WORKER_BYTES if here else 0)
    said = f"{_gib(wanted)} for a heap of {given} and {ranks} rank{'s' * (ranks > 1)}, this machine has {_gib(has)}"
    if heap * _JVM_SHARE > has:
        most = max(1, int((has - ranks * _RANK_BYTES) / _JVM_SHARE / GIB))
        remedy = f"set spark.conf spark.driver.memory to {most}g, or use a larger machine"
        yield failed("memory", f"a heap of {given} is more than the {_gib(has)} of this machine", remedy)
    elif wanted > has:
        yield warned("memory", said, "lower spark.driver.memory or training.workers, or use a larger machine")
    else:
        yield passed("memory", said)


def memory_limit() -> int:
    """Return the bytes that this process may use: the machine's, or less where its container has a limit."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(file).read_text().strip() if Path(file).is_file() else ""
        limits += [int(text)] if text.isdigit() else []
    return min(limits)


def check_disk(
    places: dict[str, Path], log_bytes: int, free_of: Callable[[Path], int] | None = None
) -> Iterator[Finding]:
    """Compare free disk space with what nights on these logs leave.

    Args:
        places: what it is: folder, which need not exist yet.
        log_bytes: of the logs that the config names, as delivered.
        free_of: returns the free bytes of a folder that exists; None: asks the system.
    """
    wanted = max(_FEWEST_DISK, _DISK_PER_LOG_BYTE * log_bytes)
    for what, place in places.items():
        free = (free_of or _free)(existing(place))
        said = f"{what} {place}: {_gib(free)} free, {_gib(wanted)} wanted for {log_bytes / 2**20:,.0f} MiB of logs"
        remedy = f"free space there, or move {what} with the config"
        if free < _FEWEST_DISK / 2 or free < wanted / 4:
            yield failed("disk", said, remedy)
        elif free < wanted:
            yield warned("disk", said, remedy)
        else:
            yield passed("disk", said)


def existing(place: Path) -> Path:
    """Return the place, or the nearest folder above it that exists and that this user may look for."""
    return next(folder for folder in (place, *place.parents) if _is_seen(folder))


def _is_seen(folder: Path) -> bool:
    try:
        return folder.exists()
    except PermissionError:
        return False


def _free(place: Path) -> int:
    return shutil.disk_usage(place).free


def check_ports(conf: dict[str, object]) -> Iterator[Finding]:
    """Want a free port for anybody who asks, the loopback address, and every port that the config names."""
    try:
        with socket.socket() as any_port:
            any_port.bind(("127.0.0.1", 0))
    except OSError as error:
        yield failed("ports", f"no port of 127.0.0.1 can be opened: {error.strerror}", "allow local sockets")
        return
    busy = 0
    for key, value in conf.items():
        if key.endswith(".port") and str(value).isdigit() and int(str(value)) and not _is_free(int(str(value))):
            busy += 1
            remedy = f"end what listens there (ss -ltnp 'sport = :{value}'), or take another {key}"
            yield failed("ports", f"spark.conf {key}: port {value} is taken", remedy)
    try:
        socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        remedy = "name it in /etc/hosts; ranks on several machines find each other by name"
        yield warned("ports", f"this machine's name {socket.gethostname()!r} leads to no address", remedy)
        return
    if not busy:
        yield passed("ports", "sockets open, the machine's name leads to an address")


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def check_open_files(limit: int | None = None) -> Finding:
    """Want room for the files and sockets of a night."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    if 0 <= allowed < _FEWEST_FILES:
        return warned("open files", f"at most {allowed} at once", f"ulimit -n {4 * _FEWEST_FILES} before the job")
    return passed("open files", f"{allowed} at once" if allowed >= 0 else "no limit")


def check_clock(config: Config, run_date: date, newest: datetime | None, now: datetime | None = None) -> Finding:
    """Compare this machine's clock with the newest file and commit it can see, and with the run date.

    Args:
        config: time zone and start of the day.
        run_date: of the night.
        newest: aware, UTC; the latest change of a log file or of a table's log; None: there is none yet.
        now: aware; None: the clock.
    """
    now = datetime.now(UTC) if now is None else now
    remedy = "set the clock (timedatectl set-ntp true)"
    if now < _EARLIEST:
        return failed("clock", f"says {now:%Y-%m-%d %H:%M} UTC", remedy)
    if newest is not None and newest > now + _AHEAD:
        return failed("clock", f"says {now:%Y-%m-%d %H:%M} UTC, a file was changed at {newest:%Y-%m-%d %H:%M}", remedy)
    end = cutoff_of(config).end_of(run_date)
    if end > now:
        said = f"run date {run_date} ends at {end:%Y-%m-%d %H:%M} UTC, now is {now:%Y-%m-%d %H:%M}"
        return warned("clock", said, "start the night when its day is over, or see `timezone` and `day_starts_at`")
    return passed("clock", f"{now:%Y-%m-%d %H:%M} UTC; {run_date} ended at {end:%Y-%m-%d %H:%M} UTC")


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
