"""Day files that come night by night against one load of all of them: the same sessions, row by row, at full size.

The log is one of generate_logs.py (2 million events of 14 days, late and repeated ones among them), or with ``--data``
the folder globo_clicks: 14 files of one day each. Figures: ``sessions`` of the one load, ``sessions_that_differ`` (0 is
wanted), ``events_nightly`` and ``events_once``, what either refused by reason, and the median seconds of a night.
"""

import shutil
import statistics
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from form import ROOT, Flags, Measured, run_benchmark
from generate_logs import Spec, write_logs
from pyspark.sql import SparkSession

from intentrec.config import load_config
from intentrec.ledger import Command, open_run
from intentrec.spark import start_spark

sys.path.insert(0, str(ROOT))
from jobs import build_sessions, ingest_events

FIRST_OF_GLOBO = date(2017, 10, 1)
CONFIG = """\
warehouse: warehouse
input:
  events:
    - path: logs
      format: json
      columns: {user_id: user, item_id: item, occurred_at: at, action: action, event_id: id}
      time_unit: ms
  late_days: 3
"""


def main(flags: Flags) -> Measured:
    """Deliver the days one by one, then at once, and compare."""
    folder = Path(tempfile.mkdtemp(prefix="nights-"))
    conf = {"spark.driver.memory": "5g", "spark.sql.shuffle.partitions": "4", "spark.local.dir": str(folder / "local")}
    spark, _ = start_spark("nights", "local[2]", conf)
    try:
        config, first, files = _log(folder, flags)
        days = folder / "days"
        days.mkdir()
        seconds = []
        for number, file in enumerate(files):
            (days / file.name).symlink_to(file)
            seconds.append(_night(config, folder / "nightly", days, first + timedelta(days=number)))
            print(f"night {number + 1} of {len(files)}: {seconds[-1]:.1f} s", flush=True)
        _night(config, folder / "once", days, first + timedelta(days=len(files) - 1))
        figures: dict[str, float] = {"night_s": round(statistics.median(seconds), 1)}
        return Measured({"nights": len(files), "config": config.name}, figures | _compared(spark, folder))
    finally:
        spark.stop()
        shutil.rmtree(folder)


def _log(folder: Path, flags: Flags) -> tuple[Path, date, list[Path]]:
    """Return the config, the first night, and the files in the order of their days."""
    if flags.data:
        files = sorted(flags.data.resolve().glob("clicks_day_*.csv.gz"))
        return ROOT / "deploy" / "conf" / "globo_clicks.yaml", FIRST_OF_GLOBO, files
    events, days = (20_000, 4) if flags.quick else (2_000_000, 14)
    spec = Spec(events=events, users=events // 20, days=days, duplicates=0.01, late=0.02, skew_share=0.02, bots=5)
    write_logs(folder / "drawn", spec)
    config = folder / "generated.yaml"
    config.write_text(CONFIG)
    return config, spec.first_day, sorted((folder / "drawn" / "logs").iterdir())


def _night(config: Path, warehouse: Path, days: Path, run_date: date) -> float:
    began = time.perf_counter()
    places = [f"input.events.0.path={days}/*", f"warehouse={warehouse}"]
    with open_run(Command(config=load_config(config, places), run_date=run_date)) as run:
        for stage in (ingest_events.STAGE, build_sessions.STAGE):
            run.execute(stage)
    return time.perf_counter() - began


def _compared(spark: SparkSession, folder: Path) -> dict[str, float]:
    figures: dict[str, float] = {}
    sessions = {}
    for name in ("nightly", "once"):
        tables = {
            table: spark.read.format("delta").load(str(folder / name / table))
            for table in ("events", "events_quarantine", "sessions")
        }
        figures[f"events_{name}"] = tables["events"].count()
        refused = tables["events_quarantine"].groupBy("reason").count().orderBy("reason").collect()
        figures |= {f"{row['reason']}_{name}": row["count"] for row in refused}
        sessions[name] = tables["sessions"].drop("run_id", "run_date")
    figures["sessions"] = sessions["once"].count()
    one_way, other = (sessions[a].exceptAll(sessions[b]).count() for a, b in (("nightly", "once"), ("once", "nightly")))
    figures["sessions_that_differ"] = one_way + other
    return figures


if __name__ == "__main__":
    sys.exit(run_benchmark("nights", main))
