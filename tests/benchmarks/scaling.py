"""How every stage of a night grows: 1, 3, 10 and 30 million events, users and items growing with them.

At 30 million only the stages that touch every event run, ingest to examples: what is then trained, judged and scored
takes hours on two cores. They have a heap of 8 GiB there; with the default of 4 build_examples ends for want of memory.

Every size is a first night on a log of eight days by generate_logs.py, a twentieth as many users and a hundredth as
many items as events. Sessions that would begin after the eighth day are left out; ``log:events_Nm`` are what is there.
Every stage is a process tree of its own, its start included.

Figures at N million events: ``STAGE:s_Nm``, ``STAGE:peak_mb_Nm`` (of the whole tree; shared pages count once) and
``TABLE:disk_mb_Nm``; models' files count as ``artifacts``. A line through each, cost = a + b * events:
``STAGE:s_fixed``, ``STAGE:us_per_event``, ``STAGE:peak_mb_fixed``, ``STAGE:peak_bytes_per_event``,
``TABLE:disk_bytes_per_event`` and so on. Training is one pass, ended by ``training.time_limit_minutes``, so it has no
line in seconds; ``train_model:rows_per_s_Nm`` are users' rows a second while it learned.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from form import ROOT, Flags, Measured, run_benchmark
from trees import watched

from intentrec.config import STAGES
from intentrec.tables import ALL

SIZES = (1, 3, 10, 30)  # millions of events
WHOLE = 10  # up to this size all stages are measured
LARGE = "spark: {conf: {spark.driver.memory: 8g}}\n"  # above it
Costs = dict[str, dict[str, float]]  # of a stage: s (wall time), peak_mb (of its processes); of a table: disk_mb
PER_EVENT = {
    "s": ("us_per_event", 1e6),
    "peak_mb": ("peak_bytes_per_event", 2**20),
    "disk_mb": ("disk_bytes_per_event", 2**20),
}
DAYS = 8
FIRST_DAY = date(2024, 5, 1)
LIMIT_MINUTES = 2
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
    """Run one night of every size, stage by stage; with --out, sizes that an interrupted run measured stay measured."""
    unit = 20_000 if flags.quick else 1_000_000
    part = flags.out.with_suffix(f".{unit}.part") if flags.out else None
    nights: dict[str, Costs] = json.loads(part.read_text()) if part and part.exists() else {}
    for size in SIZES:
        if f"{size}m" in nights:
            continue
        with tempfile.TemporaryDirectory(prefix="scaling-") as name:
            stages = STAGES if size <= WHOLE else STAGES[:3]
            nights[f"{size}m"] = _night(Path(name), size * unit, stages, CONFIG + LARGE * (size > WHOLE))
        if part:
            part.write_text(json.dumps(nights))
    figures = {
        f"{what}:{key}_{size}": round(cost, 1)
        for size, night in nights.items()
        for what, costs in night.items()
        for key, cost in costs.items()
    }
    for what, costs in nights["1m"].items():
        for key in (key for key in PER_EVENT if key in costs):
            measured = [night for night in nights.values() if what in night]
            figures |= _line(what, key, {int(night["log"]["events"]): night[what] for night in measured})
    if part:
        part.unlink(missing_ok=True)
    return Measured({"million": unit, "sizes": list(SIZES), "limit_minutes": LIMIT_MINUTES}, figures)


def _line(what: str, key: str, costs: dict[int, dict[str, float]]) -> dict[str, float]:
    """Fit cost = fixed + slope x events."""
    if (what, key) == ("train_model", "s"):
        return {}
    slope, fixed = _fitted([*costs], [max(cost[key], 1e-3) for cost in costs.values()])
    name, unit = PER_EVENT[key]
    return {f"{what}:{key}_fixed": round(fixed, 1), f"{what}:{name}": round(slope * unit, 3)}


def _fitted(sizes: list[int], costs: list[float]) -> tuple[float, float]:
    """Return slope and intercept; relative errors count, else the largest size alone would place the line."""
    slope, fixed = np.polyfit(sizes, costs, 1, w=1 / np.array(costs))
    return float(slope), float(fixed)


def _night(folder: Path, events: int, stages: tuple[str, ...], config: str) -> Costs:
    drawn = folder / "drawn"
    _draw(drawn, events)
    costs: Costs = {"log": {"events": json.loads((drawn / "truth" / "facts.json").read_text())["events"]}}
    shutil.rmtree(drawn / "truth")
    (drawn / "nightly.yaml").write_text(config)
    night = (FIRST_DAY + timedelta(days=DAYS - 1)).isoformat()
    command = [sys.executable, str(ROOT / "jobs" / "nightly.py"), "--config", str(drawn / "nightly.yaml")]
    for stage in stages:
        began = time.perf_counter()
        printed, peak = watched([*command, "--run-date", night, "--only", stage], folder)
        costs[stage] = {"s": time.perf_counter() - began, "peak_mb": peak}
        if stage == "train_model":
            costs[stage]["rows_per_s"] = _rate(printed)
        print(f"{events:,} events, {stage}: {costs[stage]['s']:.1f} s, {peak:,.0f} MB", flush=True)
    written = {table.name for table in ALL if any(stage in table.writer for stage in stages)}
    written |= {"artifacts"} if "train_model" in stages else set()
    for place in (drawn / "warehouse").iterdir():
        if place.name in written:
            costs[place.name] = {"disk_mb": _size_mb(place)}
    return costs


def _rate(printed: str) -> float:
    """Return the rows a second of the last line within the pass; of the whole pass where it was too short for one."""
    whole, within = re.findall(r" s, (\d+) rows/s", printed), re.findall(r" steps, (\d+) rows/s", printed)
    return float((within or whole)[-1])


def _draw(folder: Path, events: int) -> None:
    """Write the log from a process of its own: 30 million lines leave some 15 GB in the memory of the one that drew."""
    spec = {"events": events, "users": events // 20, "items": events // 100, "days": DAYS, "first-day": FIRST_DAY}
    flags = [text for name, value in spec.items() for text in (f"--{name}", str(value))]
    subprocess.run(
        [sys.executable, str(Path(__file__).with_name("generate_logs.py")), str(folder), *flags],
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


if __name__ == "__main__":
    sys.exit(run_benchmark("scaling", main))
