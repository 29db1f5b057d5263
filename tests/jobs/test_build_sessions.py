import json
import random
from datetime import UTC, date, datetime, timedelta

import pytest
from jobs import build_sessions, ingest_events

from intentrec.config import load_config
from intentrec.errors import ConfigError
from intentrec.ledger import Command, open_run
from intentrec.tables import EVENTS, SESSIONS

CONFIG = """
warehouse: {warehouse}
input:
  events:
    - path: "{{run_date}}/*.json"
      format: json
      columns: {{user_id: user, item_id: item, occurred_at: at, event_id: id}}
      lookback_days: {lookback}
  late_days: 9
sessions: {{gap_minutes: 30, max_hours: 2, max_events: 5}}
"""
START = datetime(2024, 5, 1, tzinfo=UTC)


def build(spark, place, warehouse, day, *overrides, lookback=1, ingest=True, **flags):
    path = place / f"{warehouse}.yaml"
    path.write_text(CONFIG.format(warehouse=warehouse, lookback=lookback))
    config = load_config(path, overrides)
    with open_run(Command(config=config, run_date=date.fromisoformat(day), **flags)) as run:
        run.warehouse.create([*ingest_events.STAGE.writes, SESSIONS])
        if ingest:
            ingest_events.STAGE.body(run)
        return build_sessions.STAGE.body(run), run.warehouse


def deliver(place, day, rows):
    folder = place / day
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({"id": id_, "user": user, "item": "tea", "at": at.isoformat()}) for id_, user, at in rows]
    (folder / "log.json").write_text("\n".join(lines))


def sessions(warehouse):
    rows = warehouse.read(SESSIONS).drop("run_id").collect()
    return sorted(
        (row.user_id, row.started_at, row.ended_at, [event.event_id for event in row.events], row.flags,
         row.chain_started_at, row.session_date, row.session_id)
        for row in rows
    )  # fmt: skip


def generated(seed):
    """Three users, three days; dense hours so that gaps, both limits and the midnights all cut."""
    rng = random.Random(seed)
    rows = []
    for number in range(90):
        minutes = rng.choice([rng.randrange(0, 3 * 1440), rng.randrange(1400, 1560), rng.randrange(2860, 2960)])
        rows.append((f"e{number:02d}", rng.choice("abc"), START + timedelta(minutes=minutes)))
    return rows


def test_any_split_into_nights_with_late_and_repeated_rows_equals_one_load(spark, tmp_path):
    rows, rng = generated(7), random.Random(8)
    days = ["2024-05-01", "2024-05-02", "2024-05-03"]
    delivered = {day: [] for day in days}
    for row in rows:
        first = (row[2] - START).days
        late = rng.choice([0, 0, 1, 2])
        delivered[days[min(first + late, 2)]].append(row)
        if rng.random() < 0.2:
            delivered[days[min(first + late + 1, 2)]].append(row)  # the same event again
    for day, part in delivered.items():
        deliver(tmp_path, day, part)
    for day in days:
        counters, nightly = build(spark, tmp_path, "nightly", day)
    assert counters["sessions_replaced"] > 0
    _, at_once = build(spark, tmp_path, "at_once", days[-1], lookback=3)
    expected = sessions(at_once)
    assert sessions(nightly) == expected
    assert sum(len(row[3]) for row in expected) == len(rows)
    assert {flag for row in expected for flag in row[4]} == {"cut_at_start", "cut_at_end"}

    layout = nightly.layout(SESSIONS)
    counters, nightly = build(spark, tmp_path, "nightly", days[0], ingest=False)  # D again keeps D+1's sessions
    assert counters == {"events_new": 0, "sessions_replaced": 0, "sessions_built": 0}
    assert nightly.layout(SESSIONS) == layout


def test_a_run_that_died_after_its_commit_takes_the_same_events_in_once(spark, tmp_path, monkeypatch):
    day = "2024-05-01"
    deliver(tmp_path, day, [("e1", "ann", START), ("e2", "ann", START + timedelta(minutes=60))])
    counters, warehouse = build(spark, tmp_path, "w", day)
    assert counters == {"events_new": 2, "sessions_replaced": 0, "sessions_built": 2}
    assert [row[3] for row in sessions(warehouse)] == [["e1"], ["e2"]]
    deliver(tmp_path, "2024-05-02", [("e3", "ann", START + timedelta(minutes=30))])  # joins both: 30 min on each side

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("intentrec.io.Warehouse.set_layout", die)
        with pytest.raises(KeyboardInterrupt):
            build(spark, tmp_path, "w", "2024-05-02")
    counters, warehouse = build(spark, tmp_path, "w", "2024-05-02", ingest=False)
    assert counters == {"events_new": 1, "sessions_replaced": 1, "sessions_built": 1}
    assert [row[3] for row in sessions(warehouse)] == [["e1", "e3", "e2"]]

    gap = "sessions.gap_minutes=29"
    with pytest.raises(ConfigError, match=r"sessions.gap_minutes: is 29, but table sessions was built with 30"):
        build(spark, tmp_path, "w", "2024-05-02", gap, ingest=False)
    counters, warehouse = build(spark, tmp_path, "w", "2024-05-02", gap, ingest=False, rebuild=True)
    assert counters == {"events_new": 3, "sessions_replaced": 1, "sessions_built": 3}
    assert [row[3] for row in sessions(warehouse)] == [["e1"], ["e3"], ["e2"]]
    assert warehouse.read(EVENTS).count() == 3


def test_without_an_event_before_the_end_of_the_run_date_nothing_is_counted(spark, tmp_path):
    deliver(tmp_path, "2024-05-01", [("e1", "ann", START + timedelta(days=1))])
    counters, warehouse = build(spark, tmp_path, "w", "2024-05-01")
    assert counters == {"events_new": 0, "sessions_replaced": 0, "sessions_built": 0}
    assert sessions(warehouse) == []
