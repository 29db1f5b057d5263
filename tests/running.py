"""Nights run through the jobs' own command line: in the tests' Spark session, or in a process of their own."""

import gc
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tests import generated

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def benchmark(name: str) -> Iterator[ModuleType]:
    """Import a benchmark, which finds what it needs beside itself; forget it and all that lies there afterwards."""
    folder = str(ROOT / "tests" / "benchmarks")
    sys.path.insert(0, folder)
    yield importlib.import_module(name)
    sys.path.remove(folder)
    for known, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(folder):
            del sys.modules[known]


def nightly_module() -> ModuleType:
    """Import jobs/nightly.py, which finds the other jobs beside itself."""
    jobs = str(ROOT / "jobs")
    if jobs not in sys.path:
        sys.path.append(jobs)
    import nightly

    return nightly


def reason_of(err: str) -> str:
    """Return the one line in which a failed job says why; no trace may stand before it, of Python or of Java."""
    assert "Traceback" not in err, err
    assert "\tat " not in err, err
    return err.strip().splitlines()[-1]


def _newest_object(session: "SparkSession") -> int:
    """Return the number that py4j has given to its newest object."""
    return int(session.sparkContext._jvm.java.lang.Object()._target_id.removeprefix("o"))


@dataclass(frozen=True)
class Flow:
    """A folder with a config and the warehouse that its nights fill."""

    folder: Path
    logs: Path

    @property
    def config(self) -> Path:
        return self.folder / "nightly.yaml"

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse"

    @classmethod
    def at(cls, folder: Path, logs: Path) -> "Flow":
        generated.write_config(folder, logs)
        return cls(folder, logs)

    def copied_to(self, folder: Path) -> "Flow":
        """Return a copy that may be changed; the logs stay where they are."""
        shutil.copytree(self.folder, folder)
        return Flow(folder, self.logs)

    def arguments(self, day: date, *flags: str) -> list[str]:
        return ["--config", str(self.config), "--run-date", day.isoformat(), *flags]

    def night(self, day: date, *flags: str) -> int:
        """Run jobs/nightly.py in the active session; return its exit code."""
        from intentrec.ledger import run_job

        nightly = nightly_module()
        stages = [job.STAGE for job in nightly.JOBS]
        return run_job(*stages, argv=self.arguments(day, *flags), after=nightly.conclude)

    def errand(self, job: str, day: date, *flags: str) -> int:
        """Run a job outside of the night in the active session; return its exit code."""
        from intentrec.ledger import run_errand

        return run_errand(importlib.import_module(f"jobs.{job}").ERRAND, argv=self.arguments(day, *flags))

    def forked(
        self, day: date, *flags: str, job: str = "nightly", **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a job in a copy of this process, which a crash point may kill, in the active session.

        Spark stands idle at a crash point, for it is reached between two of its commands, so what lies on disk then is
        what a killed driver leaves; but the next run needs no new session: 6 s instead of 25.
        """
        from py4j.clientserver import FinalizerWorker
        from pyspark.sql import SparkSession

        session = SparkSession.getActiveSession()
        assert session is not None
        client, catalog = session.sparkContext._gateway._gateway_client, session.catalog
        first = _newest_object(session)
        gc.collect()
        gc.freeze()  # an object of the parent's that the copy freed would be gone from Spark
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            child = os.fork()
            if not child:
                code = 70
                try:
                    os.dup2(out.fileno(), 1)
                    os.dup2(err.fileno(), 2)
                    sys.stdout, sys.stderr = out, err
                    os.environ.update(variables)
                    worker = FinalizerWorker(client.finalizer_deque)  # threads are not copied; this one frees objects
                    worker.daemon = True
                    worker.start()
                    code = self.night(day, *flags) if job == "nightly" else self.errand(job, day, *flags)
                    out.flush()
                    err.flush()
                finally:
                    os._exit(code)
            gc.unfreeze()
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            catalog.clearCache()  # of a copy that was killed
            for number in range(first, _newest_object(session) + 1):  # what the copy held in Spark's heap
                client.garbage_collect_object(f"o{number}", enqueue=False)
            told = []
            for file in (out, err):
                file.seek(0)
                told.append(file.read())
        return subprocess.CompletedProcess(self.arguments(day, *flags), code, *told)

    def command(self, day: date, *flags: str, job: str = "nightly") -> list[str]:
        return [sys.executable, str(ROOT / "jobs" / f"{job}.py"), *self.arguments(day, *flags)]

    def environment(self, **variables: str) -> dict[str, str]:
        python = os.pathsep.join(filter(None, [variables.get("PYTHONPATH"), str(ROOT / "lib")]))
        return {**os.environ, **variables, "PYTHONPATH": python}

    def started(self, day: date, *flags: str, job: str = "nightly", **variables: str) -> "subprocess.Popen[str]":
        """Start a job in a process of its own."""
        return subprocess.Popen(
            self.command(day, *flags, job=job),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment(**variables),
            cwd=self.folder,
        )  # fmt: skip

    def process(
        self, day: date, *flags: str, job: str = "nightly", **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a job in a process of its own, to its end."""
        child = self.started(day, *flags, job=job, **variables)
        out, err = child.communicate(timeout=600)
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)
