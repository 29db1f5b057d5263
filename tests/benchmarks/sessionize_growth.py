"""Memory and growth of the session splitter: every job in a process tree of its own, with a heap of 4 GB.

Figures: memory_vs_window_lag (peak memory of the whole tree at 10 million events; shared pages count once),
us_per_event_* (wall time of the second of two equal jobs, so without start-up) and growth_spread (largest over
smallest of them, 1 being flat).
"""

import sys
import tempfile
import time
from pathlib import Path

from form import Flags, Measured, run_benchmark
from sessionize import drawn, in_order, session, split, window_lag, write
from trees import watched

VARIANTS = {"sort_floor": in_order, "window_lag": window_lag, "splitter": split}
SIZES = (1, 3, 10, 30)  # millions of events
COMPARED = 10


def main(flags: Flags) -> Measured:
    """Run the splitter at every size, and the other variants at one."""
    unit = 20_000 if flags.quick else 1_000_000
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="sessionize-growth-") as folder:
        for size in SIZES:
            _job("draw", size * unit, Path(folder))
            for name in VARIANTS if size == COMPARED else ("splitter",):
                wall_s, peak_mb = _job(name, size * unit, Path(folder))
                figures[f"{name}_{size}m_s"] = round(wall_s, 3)
                figures[f"{name}_{size}m_peak_mb"] = round(peak_mb)
    per_event = {size: figures[f"splitter_{size}m_s"] * 1e6 / (size * unit) for size in SIZES}
    figures |= {f"us_per_event_{size}m": round(value, 3) for size, value in per_event.items()}
    figures["growth_spread"] = round(max(per_event.values()) / min(per_event.values()), 3)
    for name in ("window_lag", "sort_floor"):
        ratio = figures[f"splitter_{COMPARED}m_peak_mb"] / figures[f"{name}_{COMPARED}m_peak_mb"]
        figures[f"memory_vs_{name}"] = round(ratio, 3)
    return Measured({"million": unit, "sizes": list(SIZES)}, figures)


def _job(name: str, events: int, folder: Path) -> tuple[float, float]:
    """Return the seconds that a job says it took, and the most memory of its tree, in MB."""
    said, peak = watched([sys.executable, __file__, "--job", name, str(events), str(folder)], folder)
    return float(said.split()[-1]), peak


def _run_job(name: str, events: int, folder: Path) -> None:
    """Draw the events of a size, or run a variant on them twice; print the last seconds."""
    spark = session(folder)
    path = folder / f"events-{events}"
    for _ in range(1 if name == "draw" else 2):
        began = time.perf_counter()
        if name == "draw":
            drawn(spark, path, events)
        else:
            write(VARIANTS[name](spark.read.parquet(str(path))), folder / "out")
        took = time.perf_counter() - began
    spark.stop()
    print(took)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        _run_job(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        sys.exit(run_benchmark("sessionize_growth", main))
