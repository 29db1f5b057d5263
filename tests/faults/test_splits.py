"""Logs delivered over three to six nights, late, repeated and in any order: the sessions of one load, row by row."""

import json
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from jobs import build_sessions, ingest_events
from pyspark.sql import SparkSession
from tests.tables_oracle import rows_of

from intentrec.config import load_config
from intentrec.ledger import Command, open_run
from intentrec.tables import SESSIONS

CONFIG = """
warehouse: {warehouse}
input:
  events:
    - path: "logs/{{run_date}}/*.json"
      format: json
      columns: {{user_id: user, item_id: item, occurred_at: at, event_id: id, action: did}}
      lookback_days: {lookback}
  late_days: 9
sessions: {{gap_minutes: 30, max_hours: 2, max_events: 5, cut_after: {cut_after}, adaptive_gap: {{factor: {factor}}}}}
"""
START = datetime(2024, 5, 1, tzinfo=UTC)
SEEN: Counter[str] = Counter()


def deliver(folder: Path, seed: int, num_nights: int) -> None:
    """Dense hours around every midnight, so that gaps, both limits and late events all cut, merge and heal."""
    rng = random.Random(seed)
    files: dict[int, list[str]] = {night: [] for night in range(num_nights)}
    for number in range(150):
        minutes = rng.choice(
            [rng.randrange(num_nights * 1440), rng.randrange(1, num_nights) * 1440 + rng.randrange(-60, 90)]
        )
        night = min(minutes // 1440 + rng.choice([0, 0, 1, 2]), num_nights - 1)
        at = (START + timedelta(minutes=minutes)).isoformat()
        did = rng.choice(["view", "view", "buy"])
        row = {"id": f"e{number:03d}", "user": rng.choice("abcd"), "item": "tea", "at": at, "did": did}
        files[night].append(json.dumps(row))
        if rng.random() < 0.2:
            files[min(night + 1, num_nights - 1)].append(json.dumps(row))
    for night, lines in files.items():
        rng.shuffle(lines)
        day = folder / "logs" / (START + timedelta(days=night)).date().isoformat()
        day.mkdir(parents=True)
        for part in range(3):
            (day / f"{rng.random()}.json").write_text("".join(f"{line}\n" for line in lines[part::3]))


def build(folder: Path, warehouse: str, night: date, **values: object) -> dict[str, int]:
    path = folder / f"{warehouse}.yaml"
    path.write_text(CONFIG.format(warehouse=warehouse, **values))
    with open_run(Command(config=load_config(path), run_date=night)) as run:
        run.warehouse.create([*ingest_events.STAGE.writes, SESSIONS])
        ingest_events.STAGE.body(run)
        return build_sessions.STAGE.body(run)


def sessions(folder: Path) -> list[str]:
    rows = rows_of(folder, SESSIONS)
    return sorted(str({name: value for name, value in row.items() if name != "run_id"}) for row in rows)


@pytest.mark.parametrize("seed", range(10))
def test_any_split_of_a_log_into_nights_gives_the_sessions_of_one_load(
    spark: SparkSession, tmp_path: Path, seed: int
) -> None:
    num_nights = 3 + seed % 4
    spark.conf.set("spark.sql.shuffle.partitions", str(1 + seed % 3))
    how = {"cut_after": [["[]", "[buy]"][seed % 2]][0], "factor": ["null", "3"][seed // 2 % 2]}
    deliver(tmp_path, seed, num_nights)
    before: dict[str, tuple[object, ...]] = {}
    for number in range(num_nights):
        night = (START + timedelta(days=number)).date()
        build(tmp_path, "nightly", night, lookback=1, **how)
        now = {
            row["session_id"]: (row["num_events"], tuple(row["flags"]))
            for row in rows_of(tmp_path / "nightly", SESSIONS)
        }
        SEEN["gone"] += len(before.keys() - now.keys())
        SEEN["longer"] += sum(now[key][0] > size for key, (size, _) in before.items() if key in now)
        SEEN["shorter"] += sum(now[key][0] < size for key, (size, _) in before.items() if key in now)
        before = now
    SEEN["forced"] += sum("cut_at_start" in flags for _, flags in before.values())
    build(tmp_path, "at_once", night, lookback=num_nights, **how)
    assert sessions(tmp_path / "nightly") == sessions(tmp_path / "at_once")
    print(f"\n{num_nights} nights, seed {seed}: {len(before)} sessions equal; so far {dict(SEEN)}")


def test_sessions_were_merged_extended_split_and_cut_on_the_way() -> None:
    assert min(SEEN[what] for what in ("gone", "longer", "shorter", "forced")) > 0, SEEN
