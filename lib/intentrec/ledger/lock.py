"""One run at a time per warehouse: flock for a local folder, a lease row with an expiry for any other place."""

import fcntl
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from delta.exceptions import DeltaConcurrentModificationException
from py4j.protocol import Py4JJavaError
from pyspark.sql import functions as F

from intentrec.config import is_catalog
from intentrec.errors import PublishError, SetupError
from intentrec.io import Warehouse
from intentrec.tables import Table

logger = logging.getLogger("intentrec")

LEASE = timedelta(minutes=15)  # a dead holder's lease ends after this
_RENEW_S = 300.0
_LOOK_S = 0.5  # how often who waits looks again
_EVER = datetime.fromtimestamp(0, UTC)
# Not one of tables.ALL: it belongs to the lock, not to the flow, and no consumer reads it.
LEASES = Table(
    name="leases",
    row="warehouse that a run holds",
    writer="every job",
    key=("name",),
    columns="""
        name        STRING     NOT NULL  COMMENT 'warehouse',
        run_id      STRING     NOT NULL  COMMENT 'the run that holds it',
        host        STRING     NOT NULL  COMMENT 'where that run is',
        pid         BIGINT     NOT NULL  COMMENT 'its process',
        started_at  TIMESTAMP  NOT NULL  COMMENT 'UTC',
        expires_at  TIMESTAMP  NOT NULL  COMMENT 'UTC; from then on another run may take it',
        brief       BOOLEAN              COMMENT 'true: a step of maintain_tables, for which a night waits'
    """,
)


def local_folder(warehouse: str) -> Path | None:
    """Return the folder that a warehouse is on this machine; None for a catalog and for storage elsewhere."""
    if is_catalog(warehouse) or "://" in warehouse.removeprefix("file://"):
        return None
    return Path(warehouse.removeprefix("file://"))


class HeldError(PublishError):
    """Another run holds the warehouse; a brief holder gives it back within one step."""

    brief = False


@contextmanager
def folder_lock(warehouse: Path, run_id: str, *, brief: bool = False) -> Iterator[None]:
    """Hold ``<warehouse>/.lock``; the system frees it when the holder dies, however it dies.

    A brief holder makes others wait instead of turning them away, and is itself turned away at once.

    Raises:
        PublishError: another process holds it; process, host and start are named.
        SetupError: the folder cannot be made or written.
    """
    try:
        warehouse.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(warehouse / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise SetupError(
            f"warehouse {warehouse} is not writable: {error.strerror}. Wanted a folder that this user may write; "
            "change its permissions or the key `warehouse`"
        ) from error

    def take() -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _held(str(warehouse), os.pread(descriptor, 4096, 0).decode()) from None

    try:
        _patiently(take, brief)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_holder(run_id, brief)).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _patiently(take: Callable[[], None], brief: bool) -> None:
    """Take a lock; wait for a holder that is brief, unless we are as well."""
    told = False
    while True:
        try:
            take()
        except HeldError as error:
            if brief or not error.brief:
                raise
            if not told:
                logger.info("waiting: %s", error)
                told = True
            time.sleep(_LOOK_S)
        else:
            return


def running_since(warehouse: Warehouse) -> datetime | None:
    """Return since when a run has held the warehouse: no file that was needed then may go; None: nobody holds it.

    A holder that has not written its name yet has held it for ever.
    """
    folder = local_folder(warehouse.location)
    if folder is None:
        if not warehouse.exists(LEASES):
            return None
        held = warehouse.read(LEASES).where(F.col("expires_at") > F.lit(datetime.now(UTC))).first()
        return None if held is None else held["started_at"].astimezone(UTC)
    if not (folder / ".lock").exists():
        return None
    with (folder / ".lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _parsed(file.read())
            return datetime.fromisoformat(holder["started_at"]) if "started_at" in holder else _EVER
    return None


@contextmanager
def lease(warehouse: Warehouse, *, brief: bool = False) -> Iterator[Callable[[], None]]:
    """Hold the row of table ``leases`` under the warehouse's run id; a thread renews it every 5 minutes.

    Yields:
        A check that raises PublishError once the lease was lost: nothing may be written from then on.

    Raises:
        PublishError: another run holds it; process, host and start are named.
    """
    warehouse.create([LEASES])
    held = _Lease(warehouse, brief)
    _patiently(held.take, brief)
    stopped = threading.Event()
    renewal = threading.Thread(target=held.renew_until, args=(stopped,), daemon=True)
    renewal.start()
    try:
        yield held.check
    finally:
        stopped.set()
        renewal.join()
        with suppress(Exception):  # it expires anyway; what ended the run is what the user must read
            held.drop()


class _Lease:
    def __init__(self, warehouse: Warehouse, brief: bool = False) -> None:
        self._warehouse = warehouse
        self._holder = _holder(warehouse.run_id, brief)
        self._expires_at = datetime.now(UTC)

    def take(self) -> None:
        """Write the row if it is missing, expired or ours, in one commit; Delta lets one of two racers win."""
        now = datetime.now(UTC)
        started_at = datetime.fromisoformat(self._holder["started_at"])
        mine = self._holder
        row = ("warehouse", mine["run_id"], mine["host"], mine["pid"], started_at, now + LEASE, mine["brief"])
        rows = self._warehouse.spark.createDataFrame([row], LEASES.schema)
        ours = F.col("held.run_id") == F.col("claimed.run_id")
        try:
            self._warehouse.claim(LEASES, rows, ours | (F.col("held.expires_at") <= F.lit(now)))
        except (DeltaConcurrentModificationException, Py4JJavaError) as error:
            if "DELTA_CONCURRENT" not in str(error):
                raise
            logger.debug("lease: another run wrote it at the same moment")
        found = self._warehouse.read(LEASES).withColumn("started_at", F.col("started_at").cast("string")).first()
        if found is None or found["run_id"] != self._holder["run_id"]:
            self._expires_at = now
            raise _held(self._warehouse.location, json.dumps(found.asDict() if found else {}, default=str))
        self._expires_at = now + LEASE

    def renew_until(self, stopped: threading.Event) -> None:
        while not stopped.wait(_RENEW_S):
            try:
                self.take()
            except PublishError:
                return
            except Exception as error:  # noqa: BLE001 a later attempt may do; check() says when it is too late
                logger.warning("lease: not renewed: %s", str(error).splitlines()[0])

    def check(self) -> None:
        if datetime.now(UTC) >= self._expires_at:
            raise PublishError(
                f"warehouse {self._warehouse.location}: run {self._holder['run_id']} lost its lease, which it could "
                f"not renew for {LEASE}. Nothing more was written; wait for the other run to end, then run again"
            )

    def drop(self) -> None:
        self._warehouse.delete(LEASES, run_id=self._holder["run_id"])


def _holder(run_id: str, brief: bool) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "brief": brief,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _held(warehouse: str, text: str) -> HeldError:
    holder = _parsed(text)
    who = f"pid {holder.get('pid', '?')} on host {holder.get('host', '?')} since {holder.get('started_at', '?')}"
    error = HeldError(
        f"warehouse {warehouse} is locked by run {holder.get('run_id', '?')}: {who}. Wait for it to end, or end it"
    )
    error.brief = holder.get("brief") is True
    return error


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
