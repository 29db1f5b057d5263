"""One run at a time per warehouse: flock for a folder, a lease row with an expiry for a catalog."""

import fcntl
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from delta import DeltaTable
from pyspark.sql import SparkSession

from intentrec.errors import PublishError, SetupError

LEASE = timedelta(minutes=15)  # a dead holder's lease ends after this
_RENEW_S = 300.0
_LEASE_COLUMNS = "name STRING, run_id STRING, host STRING, pid BIGINT, started_at TIMESTAMP, expires_at TIMESTAMP"


@contextmanager
def folder_lock(warehouse: Path, run_id: str) -> Iterator[None]:
    """Hold ``<warehouse>/.lock``; the system frees it when the holder dies, however it dies.

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
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PublishError(_held(str(warehouse), os.pread(descriptor, 4096, 0).decode())) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_holder(run_id)).encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def catalog_lease(spark: SparkSession, warehouse: str, run_id: str) -> Iterator[None]:
    """Hold a row of ``<warehouse>.leases``, renewed every 5 minutes by a thread.

    Delta refuses the later of two commits that both replace the row, so two runs cannot both have it.

    Raises:
        PublishError: another run holds it.
    """
    name = ".".join(f"`{part}`" for part in warehouse.split("."))
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {name}")  # noqa: S608 checked by is_catalog
    columns = spark.createDataFrame([], _LEASE_COLUMNS).schema
    DeltaTable.createIfNotExists(spark).tableName(f"{name}.`leases`").addColumns(columns).execute()
    lease = _Lease(spark, f"{name}.`leases`", warehouse, run_id)
    lease.take()
    stopped = threading.Event()
    renewal = threading.Thread(target=lease.renew_until, args=(stopped,), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        stopped.set()
        renewal.join()
        lease.drop()


class _Lease:
    def __init__(self, spark: SparkSession, table: str, warehouse: str, run_id: str) -> None:
        self._spark = spark
        self._table = table
        self._warehouse = warehouse
        self._holder = _holder(run_id)

    def take(self) -> None:
        held = self._spark.read.table(self._table).where("expires_at > now()").first()
        if held is not None and held["run_id"] != self._holder["run_id"]:
            raise PublishError(
                _held(
                    self._warehouse, json.dumps({**held.asDict(), "started_at": str(held["started_at"])}, default=str)
                )
            )
        try:
            self._write()
        except Exception as error:
            if "Concurrent" in type(error).__name__ or "DELTA_CONCURRENT" in str(error):
                raise PublishError(
                    f"another run took the lease of {self._warehouse} at the same moment, wait for it to end"
                ) from error
            raise

    def renew_until(self, stopped: threading.Event) -> None:
        while not stopped.wait(_RENEW_S):
            self._write()

    def drop(self) -> None:
        DeltaTable.forName(self._spark, self._table).delete()

    def _write(self) -> None:
        now = datetime.now(UTC)
        row = (
            "warehouse", self._holder["run_id"], self._holder["host"], self._holder["pid"],
            datetime.fromisoformat(self._holder["started_at"]), now + LEASE,
        )  # fmt: skip
        rows = self._spark.createDataFrame([row], _LEASE_COLUMNS)
        rows.write.format("delta").mode("overwrite").saveAsTable(self._table)


def _holder(run_id: str) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _held(warehouse: str, text: str) -> str:
    try:
        holder = json.loads(text)
    except ValueError:
        holder = {}
    who = f"pid {holder.get('pid', '?')} on host {holder.get('host', '?')} since {holder.get('started_at', '?')}"
    return f"warehouse {warehouse} is locked by run {holder.get('run_id', '?')}: {who}. Wait for it to end, or end it"
