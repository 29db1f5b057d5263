"""Two runs never write to one warehouse: a folder's lock between processes, a catalog's lease between machines."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from intentrec.errors import PublishError, SetupError
from intentrec.io import Warehouse
from intentrec.ledger import lock
from intentrec.ledger.lock import LEASES, HeldError, folder_lock, lease, local_folder, running_since

HOLD = """
import sys
from pathlib import Path
from intentrec.ledger.lock import folder_lock
with folder_lock(Path(sys.argv[1]), "20240131-first"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.kill()


def test_a_second_process_is_told_who_holds_the_folder_and_a_dead_one_frees_it(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as holder:
        with pytest.raises(PublishError) as caught, folder_lock(tmp_path, "20240131-second"):
            pass
        start = str(caught.value).partition(" since ")[2].partition(". ")[0]
        assert datetime.fromisoformat(start).tzinfo is not None
        assert str(caught.value) == (
            f"warehouse {tmp_path} is locked by run 20240131-first: pid {holder.pid} on host {socket.gethostname()} "
            f"since {start}. Wait for it to end, or end it"
        )
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with folder_lock(tmp_path, "20240131-third"):
            assert '"run_id": "20240131-third"' in (tmp_path / ".lock").read_text()


def test_the_lock_is_free_again_after_its_block_even_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="inside"), folder_lock(tmp_path / "new" / "folder", "r"):
            raise ValueError("inside")


def test_a_run_inside_the_same_process_is_refused_too(tmp_path: Path) -> None:
    with (
        folder_lock(tmp_path, "first"),
        pytest.raises(PublishError, match=f"run first: pid {os.getpid()} "),
        folder_lock(tmp_path, "second"),
    ):
        pass


def test_a_holder_that_has_not_written_its_name_yet_is_unknown(tmp_path: Path) -> None:
    with folder_lock(tmp_path, "first"):
        (tmp_path / ".lock").write_text("")
        with (
            pytest.raises(PublishError, match=r"locked by run \?: pid \? on host \? since \?"),
            folder_lock(tmp_path, "b"),
        ):
            pass


def test_a_night_waits_for_a_brief_holder_which_waits_for_nobody(tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    held, free = threading.Event(), threading.Event()

    def step() -> None:
        with folder_lock(tmp_path, "maintenance", brief=True):
            held.set()
            free.wait(60)

    thread = threading.Thread(target=step)
    thread.start()
    held.wait(60)
    with pytest.raises(HeldError, match="locked by run maintenance"), folder_lock(tmp_path, "other", brief=True):
        pass
    threading.Timer(0.1, free.set).start()
    with folder_lock(tmp_path, "night"):
        assert caplog.messages[-1].startswith(f"waiting: warehouse {tmp_path} is locked by run maintenance")
        with pytest.raises(HeldError, match="locked by run night"), folder_lock(tmp_path, "step", brief=True):
            pass
    thread.join()


def test_since_when_a_folder_is_held_can_be_asked_without_holding_it(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(spark, str(tmp_path), in_catalog=False)
    assert running_since(warehouse) is None
    before = datetime.now(UTC).replace(microsecond=0)
    with folder_lock(tmp_path, "night"):
        since = running_since(warehouse)
        assert since is not None
        assert before <= since <= datetime.now(UTC)
        (tmp_path / ".lock").write_text("")  # it has not written its name yet
        assert running_since(warehouse) == datetime(1970, 1, 1, tzinfo=UTC)
    assert running_since(warehouse) is None


def test_a_warehouse_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError) as caught, folder_lock(tmp_path / "file" / "warehouse", "r"):
        pass
    assert str(caught.value) == (
        f"warehouse {tmp_path}/file/warehouse is not writable: Not a directory. Wanted a folder that this user may "
        "write; change its permissions or the key `warehouse`"
    )


@pytest.mark.parametrize(
    ("warehouse", "folder"),
    [
        ("/data/shop", Path("/data/shop")),
        ("file:///data/shop", Path("/data/shop")),
        ("s3a://bucket/shop", None),
        ("spark_catalog.shop", None),
    ],
)
def test_only_a_folder_of_this_machine_has_a_lock_file(warehouse: str, folder: Path | None) -> None:
    assert local_folder(warehouse) == folder


def holder(spark: SparkSession, run_id: str, expires_in: timedelta) -> DataFrame:
    started, now = datetime(2024, 1, 31, 3, tzinfo=UTC), datetime.now(UTC)
    return spark.createDataFrame([("warehouse", run_id, "db-7", 41, started, now + expires_in, None)], LEASES.schema)


@pytest.fixture
def shop(spark: SparkSession) -> Iterator[Warehouse]:
    warehouse = Warehouse(spark, "spark_catalog.leased_shop", in_catalog=True, run_id="mine")
    warehouse.create([LEASES])
    yield warehouse
    spark.sql("DROP SCHEMA spark_catalog.leased_shop CASCADE")


def test_a_lease_is_taken_held_against_others_and_dropped(spark: SparkSession, shop: Warehouse) -> None:
    other = Warehouse(spark, shop.location, in_catalog=True, run_id="other")
    assert running_since(shop) is None
    with lease(shop) as check:
        check()
        since = running_since(shop)
        assert since is not None
        assert timedelta(0) <= datetime.now(UTC) - since < timedelta(minutes=10)
        row = shop.read(LEASES).first()
        assert row is not None
        assert (row["run_id"], row["pid"], row["host"]) == ("mine", os.getpid(), socket.gethostname())
        with pytest.raises(PublishError, match=r"spark_catalog.leased_shop is locked by run mine: pid "), lease(other):
            pass
        assert shop.read(LEASES).count() == 1
    assert shop.read(LEASES).count() == 0


def test_a_lease_names_its_holder_and_can_be_taken_over_once_it_expired(spark: SparkSession, shop: Warehouse) -> None:
    shop.append(LEASES, holder(spark, "dead", timedelta(minutes=1)))
    with pytest.raises(PublishError) as caught, lease(shop):
        pass
    assert str(caught.value) == (
        "warehouse spark_catalog.leased_shop is locked by run dead: pid 41 on host db-7 since 2024-01-31 03:00:00. "
        "Wait for it to end, or end it"
    )
    shop.replace(LEASES, holder(spark, "dead", timedelta(seconds=-1)), run_id="dead")
    with lease(shop):
        assert [row["run_id"] for row in shop.read(LEASES).collect()] == ["mine"]


def test_a_lease_is_renewed_while_it_is_held(shop: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_RENEW_S", 0.01)
    with lease(shop) as check:
        first = shop.read(LEASES).first()
        assert first is not None
        for _ in range(1200):
            later = shop.read(LEASES).first()
            assert later is not None
            if later["expires_at"] > first["expires_at"]:
                break
            sleep(0.1)
        assert (later["expires_at"] > first["expires_at"], later["started_at"]) == (True, first["started_at"])
        check()


def test_a_run_that_lost_its_lease_notices_and_leaves_it_to_the_other(spark: SparkSession, shop: Warehouse) -> None:
    held = lock._Lease(shop)
    held.take()
    held.check()
    shop.claim(LEASES, holder(spark, "thief", timedelta(hours=1)), F.lit(True))
    with pytest.raises(PublishError, match="locked by run thief"):
        held.take()
    with pytest.raises(PublishError, match="run mine lost its lease, which it could not renew for 0:15:00"):
        held.check()
    held.drop()
    assert [row["run_id"] for row in shop.read(LEASES).collect()] == ["thief"]


def test_of_two_runs_at_the_same_moment_one_gets_the_lease(spark: SparkSession, shop: Warehouse) -> None:
    start, ended = threading.Barrier(2, timeout=120), threading.Barrier(2, timeout=120)
    outcomes: list[str] = []

    def run(run_id: str) -> None:
        held = lock._Lease(Warehouse(spark.newSession(), shop.location, in_catalog=True, run_id=run_id))
        start.wait()
        try:
            held.take()
            outcomes.append("got it")
        except PublishError:
            outcomes.append("refused")
        finally:
            ended.wait()

    threads = [threading.Thread(target=run, args=(run_id,)) for run_id in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["got it", "refused"]
