"""ingest_events against a bare Spark read and Delta write, and a night on 30 days of history against one on 5.

Logs are drawn by generate_logs.py. Figures: ingest_vs_plain_json, ingest_vs_plain_csv (the whole stage, all its tables,
over read with a given schema and write), incremental_ratio (ingest_events and build_sessions of the last day), and the
same for each of the two.
"""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from form import MIN_ROUNDS, ROOT, Cost, Flags, Measured, compared, interleaved, ratio, run_benchmark, timed
from generate_logs import Spec, draw_events, draw_items, write_logs
from pyspark.sql import SparkSession

from intentrec.config import load_config
from intentrec.ledger import Command, Stage, open_run
from intentrec.spark import start_spark

sys.path.insert(0, str(ROOT))
from jobs import build_sessions, ingest_events

SCHEMA = "id STRING, user STRING, at BIGINT, item STRING, action STRING, device STRING"
LAST_DAY = date(2024, 5, 31)
CONFIG = """\
warehouse: warehouse
input:
  events:
    path: "logs/*"
    format: {form}
    columns: {{user_id: user, item_id: item, occurred_at: at, action: action, event_id: id}}
    time_unit: ms
    context: [device]
"""


def main(flags: Flags) -> Measured:
    """Measure both parts, each in interleaved rounds."""
    folder = Path(tempfile.mkdtemp(prefix="ingest-"))
    conf = {"spark.sql.shuffle.partitions": "4", "spark.local.dir": str(folder)}
    spark, _ = start_spark("ingest", "local[2]", conf)
    rows, a_day = (100_000, 5_000) if flags.quick else (2_000_000, 50_000)
    try:
        figures = _against_plain(spark, folder, rows) | _on_histories(folder, a_day)
    finally:
        spark.stop()
        shutil.rmtree(folder)
    return Measured({"rows": rows, "rows_a_day": a_day, "days": [5, 30]}, figures)


def _against_plain(spark: SparkSession, folder: Path, rows: int) -> dict[str, float]:
    spec = Spec(events=rows, users=rows // 20, days=1, first_day=LAST_DAY)
    rng = np.random.default_rng(spec.seed)
    events, _ = draw_events(rng, spec, draw_items(rng, spec))
    events = events.assign(user="u" + events["user"].astype(str), item="i" + events["item"].astype(str))
    variants: dict[str, Callable[[], object]] = {}
    for form in ("json", "csv"):
        place = _place(folder / form, form)
        _write_parts(place / "logs", form, events)
        variants[form] = partial(_ingested, place, (ingest_events.STAGE,))
        variants[f"plain_{form}"] = partial(_copied, spark, form, place)
    costs = interleaved(variants)
    figures = {f"ingest_{key}": value for key, value in compared(costs, "plain_json").items() if "_x_" not in key}
    figures["ingest_vs_plain_json"] = ratio(costs["json"], costs["plain_json"])
    figures["ingest_vs_plain_csv"] = ratio(costs["csv"], costs["plain_csv"])
    return figures


def _place(folder: Path, form: str) -> Path:
    (folder / "logs").mkdir(parents=True)
    (folder / "nightly.yaml").write_text(CONFIG.format(form=form))
    return folder


def _write_parts(logs: Path, form: str, events: pd.DataFrame, parts: int = 4) -> None:
    for number in range(parts):
        own = events.iloc[number::parts]
        if form == "json":
            own.to_json(logs / f"{number}.json", orient="records", lines=True)
        else:
            own.to_csv(logs / f"{number}.csv", index=False)


def _copied(spark: SparkSession, form: str, place: Path) -> None:
    shutil.rmtree(place / "plain", ignore_errors=True)
    header = {"header": "true"} if form == "csv" else {}
    rows = spark.read.format(form).schema(SCHEMA).options(**header).load(str(place / "logs"))
    rows.write.format("delta").save(str(place / "plain"))


def _ingested(place: Path, stages: Sequence[Stage], run_date: date = LAST_DAY, *, fresh: bool = True) -> None:
    if fresh:
        shutil.rmtree(place / "warehouse", ignore_errors=True)
    with open_run(Command(config=load_config(place / "nightly.yaml", []), run_date=run_date)) as run:
        for stage in stages:
            run.execute(stage)


def _on_histories(folder: Path, a_day: int) -> dict[str, float]:
    """Run the last day's stages on copies of two warehouses that hold 5 and 30 days before it."""
    spec = Spec(events=31 * a_day, users=a_day, items=5_000, days=31, first_day=LAST_DAY - timedelta(days=30))
    write_logs(folder / "drawn", spec)
    files = sorted((folder / "drawn" / "logs").iterdir())
    stages = (ingest_events.STAGE, build_sessions.STAGE)
    place = folder / "tonight"  # always the same place: files that lie elsewhere would be read again
    for days in (5, 30):
        shutil.rmtree(place, ignore_errors=True)
        _place(place, "json")
        for file in files[-1 - days : -1]:
            shutil.copy2(file, place / "logs")
        _ingested(place, stages, LAST_DAY - timedelta(days=1))
        shutil.copy2(files[-1], place / "logs")
        shutil.copytree(place, folder / f"{days}_days")
    costs: dict[tuple[int, str], list[Cost]] = {}
    for number in range(1 + MIN_ROUNDS):
        for days in (5, 30) if number % 2 else (30, 5):
            shutil.rmtree(place)
            shutil.copytree(folder / f"{days}_days", place)
            for stage in stages:
                cost = timed(partial(_ingested, place, (stage,), fresh=False))
                if number:  # the first round warms up
                    costs.setdefault((days, stage.name), []).append(cost)
    figures = {f"{stage}_on_{days}_days_s": round(_median(runs), 3) for (days, stage), runs in costs.items()}
    for stage in stages:
        figures[f"{stage.name}_ratio"] = ratio(costs[30, stage.name], costs[5, stage.name])
    nights = {}
    for days in (5, 30):
        of_stages = [costs[days, stage.name] for stage in stages]
        nights[days] = [_sum(night) for night in zip(*of_stages, strict=True)]
    figures["incremental_ratio"] = ratio(nights[30], nights[5])
    return figures


def _sum(costs: Sequence[Cost]) -> Cost:
    return Cost(sum(cost.wall_s for cost in costs), sum(cost.cpu_s for cost in costs))


def _median(runs: Sequence[Cost]) -> float:
    return statistics.median(run.wall_s for run in runs)


if __name__ == "__main__":
    sys.exit(run_benchmark("ingest", main))
