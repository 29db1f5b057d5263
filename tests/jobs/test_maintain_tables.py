"""Maintenance of a warehouse as a job: what it writes waits while a night is under way, and it tells sizes."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.generated import FIRST_NIGHT, SECOND_NIGHT
from tests.running import Flow
from tests.tables_oracle import rows_of, versions

from intentrec.ledger import run_errand
from intentrec.ledger.lock import folder_lock
from intentrec.tables import GATE_DECISIONS, MODELS, RECOMMENDATIONS, RUNS, USERS, VOCABULARY

KEPT = (RECOMMENDATIONS, USERS, VOCABULARY, MODELS, GATE_DECISIONS, RUNS)


def maintain(flow: Flow, day: date, *settings: str) -> int:
    from jobs.maintain_tables import ERRAND

    return run_errand(ERRAND, [*flow.arguments(day), "--set", "maintenance.retention_hours=0", *settings])


def receipts(flow: Flow) -> list[dict[str, Any]]:
    files = sorted((flow.warehouse / "artifacts" / "maintenance").glob("*.json"), key=lambda file: file.stat().st_mtime)
    return [json.loads(file.read_text()) for file in files]


def test_old_nights_and_versions_go_and_beside_a_night_nothing_is_written(
    flow: Flow, tmp_path: Path, spark: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = Flow.at(tmp_path / "copy", flow.logs)
    for table in KEPT:
        shutil.copytree(flow.warehouse / table.name, copy.warehouse / table.name)
    before, first = versions(copy.warehouse, KEPT), rows_of(copy.warehouse, RECOMMENDATIONS, run_date=FIRST_NIGHT)
    second = rows_of(copy.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)

    with folder_lock(copy.warehouse, "20240504-night"):
        assert maintain(copy, SECOND_NIGHT, "maintenance.run_date_days=1") == 0
    assert "another run holds the warehouse: old nights and small files stay" in capfd.readouterr().out
    assert versions(copy.warehouse, KEPT) == before
    assert rows_of(copy.warehouse, RECOMMENDATIONS, run_date=FIRST_NIGHT) == first

    later = date(2024, 5, 5)
    assert maintain(copy, later, "maintenance.run_date_days=1", "maintenance.keep_days.users=3") == 0
    assert rows_of(copy.warehouse, RECOMMENDATIONS, run_date=FIRST_NIGHT) == []
    assert rows_of(copy.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT) == second
    assert {row["run_date"] for row in rows_of(copy.warehouse, USERS)} == {FIRST_NIGHT, SECOND_NIGHT}
    assert {row["run_date"] for row in rows_of(copy.warehouse, VOCABULARY)} == {FIRST_NIGHT, SECOND_NIGHT}  # champions'
    assert rows_of(copy.warehouse, RUNS, stage="maintain_tables", run_date=later)
    waiting, done = receipts(copy)
    assert waiting["dates_removed_of"] == {}
    assert done["dates_removed_of"] == {"recommendations": 1}
    sizes = done["tables"][RECOMMENDATIONS.name]
    assert sizes["after"]["stored_bytes"] < sizes["before"]["stored_bytes"]
    data = [*(copy.warehouse / RECOMMENDATIONS.name).glob("run_date=2024-05-03/*.parquet")]
    assert data == []

    assert maintain(copy, later, "maintenance.keep_days.nothing=3") == 2
    assert "maintenance.keep_days.nothing: no table with a date, the nearest is" in capfd.readouterr().err
