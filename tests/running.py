"""Nights run through the jobs' own command line: in the tests' Spark session, or in a process of their own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType

from tests import generated

ROOT = Path(__file__).resolve().parents[1]


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
