"""Can the ranks be started: Horovod's build, task slots, cores."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from intentrec.config import Config, SparkConfig
from intentrec.doctor.findings import Finding, failed, misconfigured, passed, warned

_BUILD = "build it against the torch that runs: `make install`, or see `Dependencies` in CONTRIBUTING.md"
# In a process of its own: a build against another torch may end the process that imports it.
_PROBE = "import horovod.torch as h, torch; print(h.gloo_built(), h.nccl_built() > 0, torch.cuda.is_available())"


def check_horovod(workers: int, probe: Callable[[], tuple[int, str]] | None = None) -> Finding:
    """Import Horovod's torch part and ask how it was built; with one rank it is not needed.

    Args:
        workers: ranks.
        probe: returns the exit status and what was said; None: a process of this Python.
    """
    if workers == 1:
        return passed("horovod", "training.workers 1 needs none")
    status, said = (probe or _probe)()
    lines = said.strip().splitlines() or ["nothing was said"]
    answers = re.match(r"(True|False) (True|False) (True|False)$", lines[-1])
    if status or answers is None:
        return failed("horovod", f"horovod.torch cannot be imported: {lines[-1][:200]}", _BUILD)
    gloo, nccl, gpu = (answer == "True" for answer in answers.groups())
    if not gloo:
        return failed("horovod", "was built without Gloo, which starts the ranks", f"HOROVOD_WITH_GLOO=1, and {_BUILD}")
    if gpu and not nccl:
        remedy = f"HOROVOD_GPU_OPERATIONS=NCCL with nvcc on PATH, and {_BUILD}"
        return warned("horovod", "there is a GPU and no NCCL in the build: gradients travel through Gloo", remedy)
    return passed("horovod", f"imports with this torch; Gloo{' and NCCL' if nccl else ''}")


def _probe() -> tuple[int, str]:
    try:
        done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 our own text
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stdout if done.returncode == 0 else done.stderr


def slots_of(spark: SparkConfig, num_cores: int) -> int | None:
    """Return the task slots that a session of this config will have; None: the master decides."""
    local = re.fullmatch(r"local(?:\[(\*|\d+)(?:,\s*\d+)?\])?", spark.master)
    if local:
        return num_cores if local[1] == "*" else int(local[1] or 1)
    cluster = re.fullmatch(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)\s*,.*\]", spark.master)
    if cluster:
        return int(cluster[1]) * int(cluster[2])
    executors, cores = spark.conf.get("spark.executor.instances"), spark.conf.get("spark.executor.cores", 1)
    return None if executors is None else int(executors) * int(cores)


def check_slots(config: Config, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Compare ranks with task slots, or with the cores of this machine where they run here."""
    workers, cores = config.training.workers, len(os.sched_getaffinity(0))
    if workers == 1:
        yield passed("slots", "training.workers 1: the job's own process trains")
        return
    if config.training.launcher == "local":
        yield _horovodrun()
        if cores < workers:
            yield warned("slots", f"{workers} ranks share {cores} cores", f"set training.workers to {cores}")
        return
    slots = slots_of(config.spark, cores)
    if slots is None or "PYSPARK_GATEWAY_PORT" in environment:
        remedy = "give the cluster as many cores for this job; train_model checks it again before it starts ranks"
        yield warned(
            "slots", f"{workers} ranks; how many tasks {config.spark.master} runs at once is not known", remedy
        )
    elif slots < workers:
        remedy = f"set training.workers to {slots}, give spark.master more cores, or set training.launcher to local"
        yield misconfigured("slots", f"training.workers {workers}, but {config.spark.master} has {slots} slots", remedy)
    elif config.spark.master.startswith("local") and slots > 2 * cores:
        yield warned("slots", f"spark.master {config.spark.master} on {cores} cores", f"set it to local[{cores}]")
    else:
        yield passed("slots", f"{slots} for {workers} ranks")


def _horovodrun() -> Finding:
    beside = Path(sys.executable).with_name("horovodrun")
    if beside.exists():
        return passed("slots", f"training.launcher local: {beside}")
    return failed("slots", f"training.launcher local needs horovodrun, {beside} is missing", _BUILD)
