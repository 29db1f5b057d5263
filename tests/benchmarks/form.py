"""The common form of all benchmarks: flags, paired rounds, a table on stdout, JSON.

A benchmark is ``python tests/benchmarks/NAME.py [--quick] [--data DIR] [--out FILE]``; one that measures several things
may add ``--figure NAME``, for one of them alone. Compare ratios, not seconds: the
variants of a round run one after the other in one process, so what else the machine does hits them alike.
"""

import argparse
import gc
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MIN_ROUNDS = 3
_PACKAGES = ("intentrec", "numpy", "pyarrow", "pyspark", "torch", "horovod", "petastorm")


@dataclass(frozen=True, slots=True)
class Flags:
    """What every benchmark takes: a quick run, a folder with real data, a file for the JSON, what to measure alone."""

    quick: bool
    data: Path | None
    out: Path | None
    figure: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What was run, and what came out; the unit is in the key: topk_users_per_s, topk_x_sgemm."""

    config: dict[str, object]
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one call, in seconds; cpu_s is of this process and all below it."""

    wall_s: float
    cpu_s: float


def run_benchmark(
    name: str, measure: Callable[[Flags], Measured], argv: list[str] | None = None, figures: Sequence[str] = ()
) -> int:
    """Read the flags, measure, print the table, write the JSON where --out says; ``figures`` are names for --figure."""
    parser = argparse.ArgumentParser(prog=f"tests/benchmarks/{name}.py")
    parser.add_argument("--quick", action="store_true", help="small sizes: seconds, not minutes")
    parser.add_argument("--data", type=Path, help="folder with real data; without it data are generated")
    parser.add_argument("--out", type=Path, help="JSON file; tests/benchmarks/results/ holds the committed ones")
    if figures:
        parser.add_argument("--figure", choices=figures, help="measure this alone; without it everything")
    found = parser.parse_args(argv)
    if found.out:
        found.out.parent.mkdir(parents=True, exist_ok=True)
    before = environment()  # the load that others made, not ours
    measured = measure(Flags(found.quick, found.data, found.out, getattr(found, "figure", None)))
    config = {"quick": found.quick, "data": found.data.name if found.data else None, **measured.config}
    result = {"benchmark": name, "config": config, "environment": before, "figures": measured.figures}
    print(table(result))
    if found.out:
        found.out.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return 0


def interleaved(variants: Mapping[str, Callable[[], object]], rounds: int = MIN_ROUNDS) -> dict[str, list[Cost]]:
    """Time every variant once per round, each round starting with another one, after one untimed call of each.

    Raises:
        ValueError: fewer than three rounds.
    """
    if rounds < MIN_ROUNDS:
        raise ValueError(f"rounds: wanted at least {MIN_ROUNDS}, is {rounds}")
    costs: dict[str, list[Cost]] = {name: [] for name in variants}
    for run in variants.values():
        run()
    for number in range(rounds):
        names = list(variants)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            costs[name].append(timed(variants[name]))
    return costs


def timed(run: Callable[[], object]) -> Cost:
    """Call once; garbage of earlier calls is collected before."""
    gc.collect()
    cpu_s, wall_s = cpu_seconds(), time.perf_counter()
    run()
    return Cost(time.perf_counter() - wall_s, cpu_seconds() - cpu_s)


def compared(costs: Mapping[str, list[Cost]], reference: str) -> dict[str, float]:
    """Return per variant the median seconds, and the median over rounds of its ratio to ``reference`` in the round."""
    figures = {}
    for name, runs in costs.items():
        figures[f"{name}_s"] = statistics.median(run.wall_s for run in runs)
        figures[f"{name}_cpu_s"] = statistics.median(run.cpu_s for run in runs)
        if name != reference:
            pairs = list(zip(runs, costs[reference], strict=True))
            figures[f"{name}_x_{reference}"] = ratio(runs, costs[reference])
            figures[f"{name}_cpu_x_{reference}"] = statistics.median(
                run.cpu_s / max(other.cpu_s, 1e-9) for run, other in pairs
            )
    return {key: round(value, 4) for key, value in figures.items()}


def ratio(runs: Sequence[Cost], references: Sequence[Cost]) -> float:
    """Return the median over rounds of the wall time over that of the reference in the round."""
    pairs = zip(runs, references, strict=True)
    return round(statistics.median(run.wall_s / other.wall_s for run, other in pairs), 4)


def cpu_seconds() -> float:
    """Return the CPU seconds used so far by this process and all processes below it, ended ones included."""
    used, parents = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended while we looked
        parents[int(folder.name)] = int(fields[1])
        used[int(folder.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return sum(used[process] for process in _below(os.getpid(), parents))


def _below(top: int, parents: Mapping[int, int]) -> Iterator[int]:
    yield top
    for process, parent in parents.items():
        if parent == top:
            yield from _below(process, parents)


def environment() -> dict[str, object]:
    """Return what the figures depend on besides the code."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "busy_before": os.getloadavg()[0] > 0.5 * len(os.sched_getaffinity(0)),  # then only ratios mean anything
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "commit": _commit(),
    }


def table(result: Mapping[str, object]) -> str:
    """Return the result as lines of name and value."""
    parts = [f"benchmark {result['benchmark']}"]
    for part in ("config", "environment", "figures"):
        values = result[part]
        assert isinstance(values, dict)
        width = max(map(len, values), default=0)
        parts += ["", part, *(f"  {name:<{width}}  {_shown(value):>12}" for name, value in values.items())]
    return "\n".join(parts)


def _shown(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _commit() -> str:
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(git, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "none"


if __name__ == "__main__":
    sys.exit("form.py holds what all benchmarks share; run one of them, for example tests/benchmarks/topk.py")
