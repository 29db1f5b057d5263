"""Nights on a Spark cluster of one master and two workers: the same tables as on this machine alone.

``INTENTREC_DEMO=1`` runs the demo's two nights instead of two small ones; that takes half an hour on two cores.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from datetime import date
from pathlib import Path

import psutil
import pytest
from tests import generated
from tests.running import ROOT, Flow
from tests.tables_oracle import contents, rows_of

from intentrec.spark import DELTA_PACKAGE
from intentrec.tables import ALL, RECOMMENDATIONS

CLUSTER = [sys.executable, str(ROOT / "deploy" / "cluster.py"), "--memory", "1600m", "--"]
SUBMIT = [
    str(Path(sys.executable).parent / "spark-submit"), "--master", "{master}",
    "--conf", "spark.sql.shuffle.partitions=2", "--conf", "spark.ui.enabled=false",
    "--conf", "spark.executor.memory=1400m", "--driver-memory", "2g",
]  # fmt: skip
PLACES = """
import json, os, sys
from pyspark.sql import SparkSession
import intentrec
from intentrec.model.distributed import Launch, launch
from intentrec.spark import shipped_code, slots
from intentrec import places

session = SparkSession.builder.getOrCreate()
found, shipped = slots(session, 2), shipped_code(session)
told = launch(places.of_rank, None, Launch(2, "spark", notes=sys.argv[1], slots=found, shipped=shipped))
print(json.dumps({"slots": found, "places": told}))
"""
OF_RANK = "import os\nimport intentrec\n\n\ndef of_rank(ranks, _):\n    return os.getcwd(), intentrec.__file__\n"


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the package as ``make wheel`` does, with one module more: it is nowhere else."""
    packed = tmp_path_factory.mktemp("dist") / "intentrec.zip"
    with zipfile.ZipFile(packed, "w") as files:
        for source in sorted((ROOT / "lib" / "intentrec").rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                files.write(source, source.relative_to(ROOT / "lib"))
        files.writestr("intentrec/places.py", OF_RANK)
    return packed


def without_this_package() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_ranks_run_on_different_workers_from_the_package_that_was_shipped(tmp_path, shipped) -> None:
    script = tmp_path / "places.py"
    script.write_text(PLACES)
    command = [*CLUSTER, *SUBMIT, "--py-files", str(shipped), str(script), str(tmp_path / "notes")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=without_this_package(), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["slots"] == 2
    (first, package), (second, _) = told["places"]
    assert {Path(first).parents[1].name, Path(second).parents[1].name} == {"worker-0", "worker-1"}
    assert "intentrec.zip" in package
    print(f"\none rank in {first}, one in {second}; intentrec from {package}")


def nights(folder: Path) -> tuple[Path, list[date], list[str]]:
    """Return config, nights and flags: of the demo, or of the small logs of the tests."""
    if os.environ.get("INTENTREC_DEMO"):
        return ROOT / "deploy" / "demo" / "nightly.yaml", [date(2013, 8, 30), date(2013, 8, 31)], []
    small = Flow.at(folder / "flow", generated.write_logs(folder / "logs"))
    return small.config, [generated.FIRST_NIGHT, generated.SECOND_NIGHT], []


def worker_of(rank: psutil.Process) -> str | None:
    """Return the folder of the worker that a rank's process runs below."""
    try:
        if "horovod.spark.task.gloo_exec_fn" in " ".join(rank.cmdline()) and "python" in rank.name():
            return next((part for part in Path(rank.cwd()).parts if part.startswith("worker-")), None)
    except psutil.Error:
        pass
    return None


def run(command: list[str], log: Path) -> set[str]:
    """Run a night and return the workers that ranks were seen on."""
    seen: set[str] = set()
    with log.open("w") as said:
        night = subprocess.Popen(command, stdout=said, stderr=said, env=without_this_package(), cwd=log.parent)
        while night.poll() is None:
            below = psutil.Process(night.pid).children(recursive=True)
            seen |= {worker for process in below if (worker := worker_of(process))}
            time.sleep(0.5)
    assert night.returncode == 0, log.read_text()[-3000:]
    return seen


def test_nights_on_a_cluster_end_with_the_tables_of_one_machine(tmp_path, shipped) -> None:
    config, days, flags = nights(tmp_path)
    seen: set[str] = set()
    for name in ("alone", "cluster"):
        for day in days:
            own = ["--config", str(config), "--run-date", day.isoformat(), "--set", "training.workers=2",
                   "training.launcher=spark", f"warehouse={tmp_path / name}", f"artifacts={tmp_path / name}/artifacts",
                   *flags]  # fmt: skip
            submit = [*SUBMIT, "--packages", DELTA_PACKAGE, "--py-files", str(shipped), str(ROOT / "jobs/nightly.py")]
            alone = [word.replace("{master}", "local[2]") for word in submit]
            seen |= run([*CLUSTER, *submit, *own] if name == "cluster" else [*alone, *own], tmp_path / f"{name}.log")
    assert seen == {"worker-0", "worker-1"}
    ours, theirs = contents(tmp_path / "cluster"), contents(tmp_path / "alone")
    other = [table.name for table in ALL if ours.get(table.name) != theirs.get(table.name)]
    same_lists = overlap(tmp_path / "cluster", tmp_path / "alone", days[-1])
    print(
        f"\nranks on {sorted(seen)}; tables that differ: {other or 'none'}; lists that share {same_lists:.1%} of items"
    )
    assert not set(other) & {"events", "events_quarantine", "sessions", "vocabulary", "examples", "histories"}
    assert same_lists > 0.95
    shutil.rmtree(tmp_path / "cluster")


def overlap(ours: Path, theirs: Path, day: date) -> float:
    """Return the share of items that two warehouses' lists have in common."""
    lists = [
        {row["user_id"]: {item["item_id"] for item in row["items"]} for row in rows_of(folder, RECOMMENDATIONS)
         if row["run_date"] == day}
        for folder in (ours, theirs)
    ]  # fmt: skip
    assert lists[0].keys() == lists[1].keys()
    shared = sum(len(lists[0][user] & lists[1][user]) for user in lists[0])
    return shared / sum(map(len, lists[0].values()))
