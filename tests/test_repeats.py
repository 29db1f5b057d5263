"""Nights repeated, in another order, after a change, in a catalog: what runs again, and what the tables hold then."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tests.generated import FIRST_NIGHT, NUM_USERS, SECOND_NIGHT, SHORT_NIGHT, K
from tests.running import Flow, nightly_module
from tests.tables_oracle import contents, rows_of, versions

from intentrec.config import STAGES
from intentrec.ledger import run as ledger_run
from intentrec.ledger import run_job
from intentrec.tables import ALL, RECOMMENDATIONS, RUNS, SESSIONS

NIGHTS = (FIRST_NIGHT, SECOND_NIGHT)


def test_a_second_run_of_a_night_skips_every_stage_and_no_table_moves_but_the_ledger(
    flow: Flow, tmp_path: Path
) -> None:
    again = flow.copied_to(tmp_path / "again")
    before, held = versions(again.warehouse), contents(again.warehouse)
    for night in NIGHTS:
        assert again.night(night) == 0
    after = versions(again.warehouse)
    assert {name for name in after if after[name] != before[name]} == {"runs"}
    assert contents(again.warehouse) == held
    assert Counter(row["status"] for row in rows_of(again.warehouse, RUNS)) == {"finished": 12, "skipped": 12}


def test_a_night_rebuilt_from_its_logs_holds_the_same_tables(flow: Flow, tmp_path: Path, capfd) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    assert copy.night(SECOND_NIGHT, "--rebuild") == 0
    assert "has been trained on the same rows before" in capfd.readouterr().out
    assert contents(copy.warehouse) == contents(flow.warehouse)
    assert Counter(row["status"] for row in rows_of(copy.warehouse, RUNS)) == {"finished": 18}


def test_nights_in_any_order_give_the_tables_of_a_clean_run(flow: Flow, tmp_path: Path, capfd) -> None:
    mixed = flow.copied_to(tmp_path / "mixed")  # holds both nights
    untouched = {night: contents(mixed.warehouse, run_date=night) for night in NIGHTS}
    assert mixed.night(FIRST_NIGHT) == 0
    capfd.readouterr()
    assert mixed.night(SHORT_NIGHT) == 0
    assert "no model is trained tonight" in capfd.readouterr().out
    assert {night: contents(mixed.warehouse, run_date=night) for night in NIGHTS} == untouched

    clean = Flow.at(tmp_path / "clean", flow.logs)
    for night in (SHORT_NIGHT, *NIGHTS):
        assert clean.night(night) == 0
    assert contents(mixed.warehouse) == contents(clean.warehouse)
    lists = rows_of(clean.warehouse, RECOMMENDATIONS, run_date=SHORT_NIGHT)
    assert len(lists) == NUM_USERS - 3  # who have not come yet
    assert {entry["source"] for row in lists for entry in row["items"]} == {"fallback"}
    assert {len(row["items"]) for row in lists} == {K}
    assert {row["model_id"] for row in lists} <= {"popularity_6h", "popularity_24h", "popularity_72h"}
    assert clean.night(SHORT_NIGHT, "--strict", "--rebuild", "--only", "evaluate_model") == 5


def decided(flow: Flow, *flags: str) -> list[str]:
    """Return the stages that a command would run: real fingerprints and ledger, bodies that do nothing."""
    ran: list[str] = []

    def body(name: str):
        return lambda _: ran.append(name) or {}

    stages = [replace(job.STAGE, body=body(job.STAGE.name)) for job in nightly_module().JOBS]
    assert run_job(*stages, argv=flow.arguments(SECOND_NIGHT, *flags)) == 0
    return ran


def test_a_changed_value_runs_the_stage_that_reads_it_and_all_after_it(flow: Flow, tmp_path: Path) -> None:
    copy, flags = flow.copied_to(tmp_path / "copy"), ["--set"]
    for changed, first in (
        ("recommendations.similar_items=2", "write_recommendations"),
        ("evaluation.gate.margin=0.2", "evaluate_model"),
        ("training.epochs=3", "train_model"),
        ("examples.history_length=12", "build_examples"),
        ("input.late_days=4", "ingest_events"),
    ):
        flags.append(changed)  # beside those before it, which have been seen by now
        assert decided(copy, *flags) == list(STAGES[STAGES.index(first) :])
    assert decided(copy, *flags, "spark.conf={}") == []  # no stage reads it


def test_a_changed_byte_or_version_runs_every_stage_again(
    flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Flow.at(tmp_path / "moved", Path(shutil.copytree(flow.logs, tmp_path / "logs")))
    shutil.copytree(flow.warehouse, moved.warehouse)
    assert decided(moved) == list(STAGES)  # other files, as their paths say
    log = moved.logs / f"{FIRST_NIGHT}.json"
    log.write_bytes(log.read_bytes().replace(b"phone", b"phonf", 1))
    assert decided(moved) == list(STAGES)
    monkeypatch.setattr(ledger_run, "__version__", "0.0.0")
    assert decided(moved) == list(STAGES)
    assert decided(moved) == []


def test_a_schema_of_sparks_own_catalog_works_as_a_folder_does(flow: Flow, tmp_path: Path, spark) -> None:
    there = Flow.at(tmp_path / "there", flow.logs)
    flags = ("--set", "warehouse=spark_catalog.flow", "--set", f"artifacts={tmp_path / 'artifacts'}")
    assert there.night(FIRST_NIGHT, *flags) == 0
    place = Path(spark.conf.get("spark.sql.warehouse.dir").removeprefix("file:")) / "flow.db"
    try:
        found, wanted = contents(place, run_date=FIRST_NIGHT), contents(flow.warehouse, run_date=FIRST_NIGHT)
        # Sessions have no run date: the other warehouse holds those of the second night as well.
        assert {name for name in wanted if found[name] != wanted[name]} == {SESSIONS.name}
        assert there.night(FIRST_NIGHT, *flags) == 0
        assert Counter(row["status"] for row in rows_of(place, RUNS)) == {"finished": 6, "skipped": 6}
    finally:
        for table in ALL:
            spark.sql("DROP TABLE IF EXISTS IDENTIFIER(:name)", args={"name": f"spark_catalog.flow.{table.name}"})
