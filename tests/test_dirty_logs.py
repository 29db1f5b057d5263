"""Logs with every kind of dirt at once, beside the truth: the books balance, the sessions are the true ones."""

import importlib.util
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from jobs import build_sessions, ingest_events
from pyspark.sql import SparkSession
from tests.tables_oracle import rows_of

from intentrec.config import load_config
from intentrec.ledger import Command, open_run
from intentrec.tables import EVENTS, EVENTS_QUARANTINE, INGESTED_FILES, SESSIONS

CONFIG = """
warehouse: warehouse
input:
  events:
    path: "logs/*.json.gz"
    format: json
    columns: {user_id: user, item_id: item, occurred_at: at, action: action, event_id: id}
    time_unit: ms
    context: [device]
  actions: {view: 1.0, cart: 2.0, buy: 5.0}
  max_rejected_share: 0.1
sessions: {gap_minutes: 30, bots: {events_per_hour: 500, one_item: 0.9, min_events: 50}}
"""
DIRT = {
    "bots": 2, "duplicates": 0.05, "late": 0.05, "malformed": 0.01, "unit_slips": 0.01, "clock_jumps": 0.02,
    "repeated_files": 2, "damaged_files": 1,
}  # fmt: skip


def generator():
    """Import tests/benchmarks/generate_logs.py, which is a script."""
    path = Path(__file__).parent / "benchmarks" / "generate_logs.py"
    spec = importlib.util.spec_from_file_location("generate_logs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dirty") / "shop"
    generate = generator()
    generate.write_logs(folder, generate.Spec(events=4000, users=300, items=200, days=4, seed=5, **DIRT))
    (folder / "nightly.yaml").write_text(CONFIG)
    with open_run(Command(config=load_config(folder / "nightly.yaml"), run_date=date(2024, 5, 4))) as run:
        run.warehouse.create([*ingest_events.STAGE.writes, SESSIONS])
        ingest_events.STAGE.body(run)
        build_sessions.STAGE.body(run)
    return folder


def truth(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "truth" / f"{name}.parquet")


def test_every_fault_is_in_the_books_and_no_row_is_lost(folder: Path) -> None:
    faults = json.loads((folder / "truth" / "facts.json").read_text())["faults"]
    assert min(faults.values()) > 0
    books = {Path(row["path"]).name: row for row in rows_of(folder / "warehouse", INGESTED_FILES)}
    for row in books.values():
        assert row["rows_read"] == row["rows_accepted"] + row["rows_duplicate"] + row["rows_quarantined"]
    again = [row for name, row in books.items() if name.startswith("again-")]
    own = [row for name, row in books.items() if name.startswith("2024-")]
    assert (len(own), len(again), len(books)) == (4, faults["repeated_files"], 7)
    num_events = len(truth(folder, "events"))
    # a name that sorts later is read later: of two equal files one is taken, whichever it is
    lost = faults["malformed"] + faults["unit_slips"]
    assert sum(row["rows_accepted"] for row in books.values()) == num_events - lost
    events = rows_of(folder / "warehouse", EVENTS)
    assert len({row["event_id"] for row in events}) == len(events) == num_events - lost
    refused = Counter(
        (Path(row["source_file"]).name[:7], row["reason"]) for row in rows_of(folder / "warehouse", EVENTS_QUARANTINE)
    )
    repeated = {reason: rows for (start, reason), rows in refused.items() if start == "again-2"}
    once = {reason: refused["2024-05", reason] for reason in ("malformed_row", "unit_slip")}
    assert once == {"malformed_row": faults["malformed"], "unit_slip": faults["unit_slips"]}
    assert refused["damaged", "file_unreadable"] == faults["damaged_files"]
    assert set(repeated) <= {"malformed_row", "unit_slip"}
    duplicates = sum(row["rows_duplicate"] for row in books.values())
    twice = sum(row["rows_read"] - row["rows_quarantined"] for row in again)
    assert duplicates == faults["duplicates"] + twice


def test_the_sessions_of_everyone_who_lost_nothing_are_the_true_ones(folder: Path) -> None:
    events = truth(folder, "events")
    taken = {row["event_id"]: row["occurred_at"] for row in rows_of(folder / "warehouse", EVENTS)}
    kept = [
        taken.get(id_) == datetime.fromtimestamp(at / 1000, UTC)
        for id_, at in zip(events["id"], events["at"], strict=True)
    ]
    whole = set(events["user"]) - set(events["user"][[not same for same in kept]])
    assert len(whole) > 100
    expected = {
        (f"u{row.user}", row.started_ms, row.ended_ms, row.num_events)
        for row in truth(folder, "sessions").itertuples() if row.user in whole
    }  # fmt: skip
    sessions = rows_of(folder / "warehouse", SESSIONS)
    found = {
        (row["user_id"], millis(row["started_at"]), millis(row["ended_at"]), row["num_events"])
        for row in sessions if int(row["user_id"][1:]) in whole
    }  # fmt: skip
    assert found == expected
    flagged = {row["user_id"]: row["flags"] for row in sessions if row["flags"]}
    assert flagged == {user: ["bot_equal_pauses", "bot_events_per_hour", "bot_one_item"] for user in ("u300", "u301")}


def millis(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
