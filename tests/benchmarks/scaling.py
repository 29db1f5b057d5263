"""How every stage of a night grows: 1, 3, 10 and 30 million events, users and items growing with them.

Every size is a first night on a log of eight days by generate_logs.py, a twentieth as many users and a hundredth as
many items as events. Every stage is a process tree of its own, its start included.

Figures: ``STAGE:s_Nm`` and ``STAGE:peak_mb_Nm`` (of the whole tree; shared pages count once) at N million events, and a
line through them: ``STAGE:fixed_s``, ``STAGE:us_per_event``, ``STAGE:fixed_mb``, ``STAGE:bytes_per_event``. Training
is one pass, ended by ``training.time_limit_minutes``; where that was reached the size is left out of the line.
"""

import shutil
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from form import ROOT, Flags, Measured, run_benchmark
from generate_logs import Spec, write_logs
from trees import watched

from intentrec.config import STAGES

SIZES = (1, 3, 10, 30)  # millions of events
DAYS = 8
FIRST_DAY = date(2024, 5, 1)
LIMIT_MINUTES = 10
CONFIG = f"""\
warehouse: warehouse
input:
  events:
    path: "logs/*"
    format: json
    columns: {{user_id: user, item_id: item, occurred_at: at, action: action, event_id: id}}
    time_unit: ms
  items:
    path: items.csv
    format: csv
    columns: {{item_id: item_id, categories: category}}
training: {{workers: 1, launcher: single, epochs: 1, time_limit_minutes: {LIMIT_MINUTES}}}
evaluation: {{refit: false}}
"""


def main(flags: Flags) -> Measured:
    """Run one night of every size, stage by stage."""
    unit = 20_000 if flags.quick else 1_000_000
    figures: dict[str, float] = {}
    seconds: dict[str, dict[int, float]] = {stage: {} for stage in STAGES}
    peaks: dict[str, dict[int, float]] = {stage: {} for stage in STAGES}
    for size in SIZES:
        with tempfile.TemporaryDirectory(prefix="scaling-") as name:
            for stage, (wall_s, peak_mb) in _night(Path(name), size * unit).items():
                seconds[stage][size], peaks[stage][size] = wall_s, peak_mb
                figures[f"{stage}:s_{size}m"], figures[f"{stage}:peak_mb_{size}m"] = round(wall_s, 1), round(peak_mb)
                print(f"{size * unit:,} events, {stage}: {wall_s:.1f} s, {peak_mb:,.0f} MB", flush=True)
    for stage in STAGES:
        sizes = [size for size in SIZES if not (stage == "train_model" and seconds[stage][size] > 60 * LIMIT_MINUTES)]
        events_N = np.array(sizes) * unit
        if len(sizes) < 2:
            continue
        slope, fixed = np.polyfit(events_N, [seconds[stage][size] for size in sizes], 1)
        figures |= {f"{stage}:fixed_s": round(fixed, 1), f"{stage}:us_per_event": round(slope * 1e6, 3)}
        slope, fixed = np.polyfit(events_N, [peaks[stage][size] for size in sizes], 1)
        figures |= {f"{stage}:fixed_mb": round(fixed), f"{stage}:bytes_per_event": round(slope * 2**20, 1)}
    return Measured({"million": unit, "sizes": list(SIZES), "limit_minutes": LIMIT_MINUTES}, figures)


def _night(folder: Path, events: int) -> dict[str, tuple[float, float]]:
    """Return wall seconds and the most memory, in MB, of each stage."""
    drawn = folder / "drawn"
    write_logs(drawn, Spec(events=events, users=events // 20, items=events // 100, days=DAYS, first_day=FIRST_DAY))
    shutil.rmtree(drawn / "truth")
    (drawn / "nightly.yaml").write_text(CONFIG)
    night = (FIRST_DAY + timedelta(days=DAYS - 1)).isoformat()
    command = [sys.executable, str(ROOT / "jobs" / "nightly.py"), "--config", str(drawn / "nightly.yaml")]
    costs = {}
    for stage in STAGES:
        began = time.perf_counter()
        _, peak = watched([*command, "--run-date", night, "--only", stage], folder)
        costs[stage] = (time.perf_counter() - began, peak)
    return costs


if __name__ == "__main__":
    sys.exit(run_benchmark("scaling", main))
