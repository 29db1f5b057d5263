"""The part of training.py that takes several processes: ranks against threads, moved rows against all rows over ranks.

Every round starts its ranks anew, and a rank times its own steps after a warm one; the slowest rank counts.
"""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from training import FEW_ITEMS, MANY_ITEMS, NEGATIVES, ROWS, UnfusedOptimiser, _batch, _parts

from intentrec.model.distributed import Launch, launch
from intentrec.model.job import EpochFigures, Settings
from intentrec.model.ranks import OneRank, Ranks
from intentrec.model.resume import Progress, Saved, save_checkpoint
from intentrec.model.steps import Optimiser

HERE = Path(__file__).resolve().parent
EPOCH_ROWS = 20_000  # of the epoch that a checkpoint is compared with


@dataclass(frozen=True)
class Steps:
    """What a rank times."""

    num_items: int
    rows: int  # of a rank's batch
    threads: int
    steps: int
    settings: Settings
    fused: bool = True


def seconds_of(ranks: Ranks, given: tuple[Steps, ...]) -> list[float]:
    """Return the seconds of each list of steps, the slowest rank's."""
    took = []
    for wanted in given:
        torch.set_num_threads(wanted.threads)
        kind = Optimiser if wanted.fused else UnfusedOptimiser
        optimiser, batch = (
            kind(*_parts(wanted.num_items), ranks, wanted.settings),
            _batch(wanted.rows, wanted.num_items),
        )
        optimiser.step(batch)
        ranks.gather(None)
        began = time.perf_counter()
        for _ in range(wanted.steps):
            optimiser.step(batch)
        took.append(max(ranks.gather(time.perf_counter() - began)))
    return took


def ranked_figures(rounds: int, steps: int) -> dict[str, float]:
    """Measure ranks in interleaved rounds: threads, then ranks, and the other way round in the next."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parents[1] / "lib"), *_given_path()])
    full = Settings(loss="full", warmup_steps=0)
    sparse = Settings(loss="sampled", negatives=NEGATIVES, warmup_steps=0)
    dense = Settings(loss="sampled", negatives=NEGATIVES, warmup_steps=0, sparse_gradients=False)
    threads = (Steps(FEW_ITEMS, 2 * ROWS, 2, steps, full), Steps(MANY_ITEMS, ROWS, 1, steps, sparse))
    ranks = (
        Steps(FEW_ITEMS, ROWS, 1, steps, full),
        Steps(MANY_ITEMS, ROWS, 1, steps, sparse),
        Steps(MANY_ITEMS, ROWS, 1, steps, dense, fused=False),
        Steps(MANY_ITEMS, ROWS, 1, steps, dense),
    )
    measured: dict[str, list[float]] = {"threads": [], "ranks": [], "one": [], "two": [], "dense": [], "fused": []}
    for number in range(rounds):
        order = (1, 2) if number % 2 == 0 else (2, 1)
        for workers in order:
            if workers == 1:
                by_threads, one = launch(seconds_of, threads)[0]
                measured["threads"].append(by_threads)
                measured["one"].append(one)
            else:
                by_ranks, two, dense_two, fused_two = launch(seconds_of, ranks, Launch(2, "local"))[0]
                measured["ranks"].append(by_ranks)
                measured["two"].append(two)
                measured["dense"].append(dense_two)
                measured["fused"].append(fused_two)
    return {
        "horovod_2x1_vs_1x2": _faster(measured["threads"], measured["ranks"], 1),
        "sparse_scaling_2_ranks": _faster(measured["one"], measured["two"], 2),
        "sparse_vs_dense_horovod": _faster(measured["dense"], measured["two"], 1),
        "sparse_vs_dense_fused_horovod": _faster(measured["fused"], measured["two"], 1),
        "horovod_2x1_rows_per_s": round(2 * ROWS * steps / median(measured["ranks"]), 1),
        "threads_1x2_rows_per_s": round(2 * ROWS * steps / median(measured["threads"]), 1),
        "sparse_2_ranks_rows_per_s": round(2 * ROWS * steps / median(measured["two"]), 1),
    }


def checkpoint_figures(rounds: int, rows_per_s: float) -> dict[str, float]:
    """Time the checkpoint of an epoch, of the network that the full loss is measured on."""
    network, catalogue = _parts(FEW_ITEMS)
    optimiser = Optimiser(network, catalogue, OneRank(), Settings())
    weights = dict(network.state_dict())
    figures = EpochFigures(1, {"item": 1.0}, 1.0, {}, 1, 0, 1.0)
    took = []
    with tempfile.TemporaryDirectory() as folder:
        for epoch in range(1, rounds + 2):
            progress = Progress(epoch, epoch, [figures], epoch)
            began = time.perf_counter()
            save_checkpoint(Path(folder), "benchmark", Saved(progress, weights, optimiser.state(), weights))
            took.append(time.perf_counter() - began)
    seconds = median(took[1:])
    share = seconds / (seconds + EPOCH_ROWS / rows_per_s)
    return {"checkpoint_s": round(seconds, 4), "checkpoint_share_of_epoch": round(share, 6)}


def _faster(slow: list[float], fast: list[float], work: int) -> float:
    """Return how many times the rows a second ``fast`` reads, doing ``work`` times as much; the median over rounds."""
    return round(median(work * one / other for one, other in zip(slow, fast, strict=True)), 4)


def _given_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
