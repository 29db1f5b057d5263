"""One Spark session for all tests of a process, made the way the jobs make theirs, and only when a test asks for it."""

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import SparkSession

if TYPE_CHECKING:
    from tests.running import Flow

ROOT = Path(__file__).resolve().parents[1]

os.environ["TZ"] = "UTC"  # createDataFrame reads naive times in the zone of the process
time.tzset()
os.environ["PYARROW_IGNORE_TIMEZONE"] = "1"
os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
# Spark's workers and the ranks know neither pytest's pythonpath nor sys.path.
_PLACES = [str(ROOT / "lib"), str(ROOT), os.environ.get("PYTHONPATH", "")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, _PLACES))
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")

_CONF = {
    "spark.driver.memory": "1500m",
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    # A handful of rows is computed sooner than Java for it is written and compiled: 16 % less processor time in
    # tests/ledger/test_run.py. The nights in a process of their own compute with code generation, as users' do.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.python.daemon.module": "tests.daemon",
    # The greater of this and of Java's delta.log.cacheSize counts (tests/generated.py).
    "spark.databricks.delta.delta.log.cacheSize": "96",
    "spark.sql.ui.retainedExecutions": "1",  # nobody looks at the plans of ended queries
}


# What runs first in two processes: one makes the nights that many files read, the other has work that needs none.
_FIRST = ("tests/test_flow.py", "tests/baselines/", "tests/cluster/", "tests/io/")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one process; after what is first come the files that read the nights, the longest."""

    def turn(item: pytest.Item) -> int:
        place = item.path.relative_to(ROOT).as_posix()
        first = [number for number, start in enumerate(_FIRST) if place.startswith(start)]
        return first[0] if first else len(_FIRST) + ("flow" not in getattr(item, "fixturenames", ()))

    turns: dict[Path, int] = {}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.relative_to(ROOT).as_posix()))
        turns[item.path] = min(turn(item), turns.get(item.path, turn(item)))
    items.sort(key=lambda item: turns[item.path])


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A local session of two cores with Delta; its warehouse and its metastore lie in a folder of their own."""
    from tests.generated import JAVA_OPTIONS

    from intentrec.spark import start_spark

    folder = tmp_path_factory.mktemp("spark")
    places = {
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder} -Duser.timezone=UTC {JAVA_OPTIONS}",
    }
    session, _ = start_spark("intentrec tests", "local[2]", {**_CONF, **places})
    yield session
    session.stop()


@pytest.fixture(scope="session")
def flow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Flow":
    """Two nights of generated logs, made once for all processes; tests only read them, or change a copy."""
    from tests import generated
    from tests.running import Flow

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    made = folder / "flow" / "made"
    with (folder / "flow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the second process waits for the first
        nights = Flow(made.parent / "two_nights", made.parent / "logs")
        if not made.exists():
            request.getfixturevalue("spark")
            Flow.at(nights.folder, generated.write_logs(nights.logs))
            for day in (generated.FIRST_NIGHT, generated.SECOND_NIGHT):
                assert nights.night(day) == 0
            made.touch()
    return nights
