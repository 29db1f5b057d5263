"""A training in a process of its own, with a fault on one of its ranks: what the checks beside this file start.

``python broken_training.py JSON`` with the job, the launch and the fault; it ends as a job of the night does: with the
error's exit code and its one line, or with what came out as JSON.
"""

import json
import os
import random
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from intentrec.errors import IntentrecError
from intentrec.model.distributed import Launch, launch
from intentrec.model.job import TrainingJob, TrainingResult
from intentrec.model.ranks import Ranks
from intentrec.model.steps import Optimiser
from intentrec.model.training import run_rank


@dataclass(frozen=True)
class Fault:
    """What goes wrong on which rank: in its step of this number, counted from 1 over all epochs."""

    kind: str = "none"
    rank: int = 0
    step: int = 0
    struck: str = ""  # file that is made right before
    steps: int = 1  # that it lasts

    def __reduce__(self):
        return _arrive, tuple(vars(self).values())


def _arrive(*values):
    fault = Fault(*values)
    if fault.kind == "late" and os.environ.get("HOROVOD_RANK") == str(fault.rank):
        time.sleep(3600)  # it is on its way to the rank, which has not met the others yet
    return fault


def train_with_a_fault(ranks: Ranks, given: tuple[TrainingJob, Fault]) -> TrainingResult:
    job, fault = given
    if ranks.rank == fault.rank and fault.step:
        _break(fault)
    return run_rank(ranks, job)


def _break(fault: Fault) -> None:
    """Make this process's optimiser meet the fault."""
    step, calls = Optimiser.step, []

    def broken(self, batch):
        calls.append(fault.kind != "data" or bool(batch.weights_BL.any()))  # a rank without rows has none to spoil
        if len(calls) < fault.step or not calls[-1] or sum(calls[fault.step - 1 :]) > fault.steps:
            return step(self, batch)
        Path(fault.struck).touch()
        if fault.kind in ("loss", "gradient", "data"):
            return _not_finite(self, batch, fault.kind, step)
        {"kill": _kill, "raise": _raise, "memory": _fill, "stop": _stop, "sleep": _sleep, "slow": _slow}[fault.kind]()
        return step(self, batch)

    Optimiser.step = broken


def _not_finite(optimiser, batch, kind, step):
    if kind == "data":
        batch.weights_BL[:] = float("nan")
        return step(optimiser, batch)
    if kind == "gradient":
        hook = optimiser.parameters[0].register_hook(lambda gradient: gradient * float("inf"))
        try:
            return step(optimiser, batch)
        finally:
            hook.remove()
    sound = optimiser._item_loss
    optimiser._item_loss = lambda negatives: lambda *given: sound(negatives)(*given) * float("nan")
    try:
        return step(optimiser, batch)
    finally:
        del optimiser._item_loss


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def _raise():
    raise RuntimeError("the cable was cut")


def _fill():
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
    kept = []
    while True:
        kept.append(torch.ones(2**24))


def _stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def _sleep():
    time.sleep(3600)


def _slow():
    time.sleep(0.5)


def take_ports():
    """Listen where horovodrun would first try to, and on the ports after it, unless somebody else does already."""
    random.seed(5)
    first = 1024 + random.randrange(65536 - 1024)
    random.seed(5)
    taken = [socket.socket() for _ in range(50)]
    for offset, place in enumerate(taken):
        with suppress(OSError):
            place.bind(("", first + offset))
            place.listen()
    return taken


def main(text: str) -> int:
    given = json.loads(text)
    job, how = TrainingJob.from_json(given["job"]), Launch(**given["how"])
    fault, taken = Fault(**given["fault"]), take_ports() if given["fault"]["kind"] == "ports" else []
    if how.launcher == "spark":
        from pyspark.sql import SparkSession

        settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
        session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
        session.sparkContext.setLogLevel("FATAL")
    try:
        result = launch(train_with_a_fault, (job, fault), how)[0]
    except IntentrecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for place in taken:
        place.close()
    told = {
        "weights": result.weights_sha256,
        "resumed_after": result.resumed_after,
        "skipped": [epoch.skipped_steps for epoch in result.epochs],
        "notes": result.notes,
        "losses": [(epoch.train_loss["item"], epoch.validation_loss) for epoch in result.epochs],
        "ndcg": [epoch.validation_ndcg for epoch in result.epochs],
        "rows": [rank.rows for rank in result.ranks],
    }
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    from tests.faults.broken_training import main as imported  # by its name, or the ranks could not find it

    sys.exit(imported(sys.argv[1]))
