"""Nights repeated, in another order, after a change, in a catalog: what runs again, and what the tables hold then."""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.generated import FIRST_NIGHT, NUM_USERS, SECOND_NIGHT, SHORT_NIGHT, K
from tests.running import Flow, nightly_module
from tests.tables_oracle import contents, rows_of, versions

from intentrec.config import STAGES
from intentrec.ledger import run as ledger_run
from intentrec.ledger import run_job
from intentrec.tables import ALL, RECOMMENDATIONS, RUNS

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


@dataclass(frozen=True)
class Clean:
    """Three nights in order, into a schema of Spark's own catalog."""

    nights: Flow
    flags: tuple[str, ...]
    place: Path  # where Spark keeps the schema's tables
    held: dict[str, str]  # what they held after the three nights


@pytest.fixture(scope="module")
def clean(flow: Flow, tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Iterator[Clean]:
    folder = tmp_path_factory.mktemp("clean")
    nights = Flow.at(folder / "there", flow.logs)
    flags = ("--set", "warehouse=spark_catalog.flow", "--set", f"artifacts={folder / 'artifacts'}")
    place = Path(spark.conf.get("spark.sql.warehouse.dir").removeprefix("file:")) / "flow.db"
    try:
        for night in (SHORT_NIGHT, *NIGHTS):
            assert nights.night(night, *flags) == 0
        yield Clean(nights, flags, place, contents(place))
    finally:
        for table in ALL:
            spark.sql("DROP TABLE IF EXISTS IDENTIFIER(:name)", args={"name": f"spark_catalog.flow.{table.name}"})


def test_nights_in_any_order_give_the_tables_of_a_clean_run_in_a_folder_or_a_catalog(
    flow: Flow, clean: Clean, tmp_path: Path, capfd
) -> None:
    mixed = flow.copied_to(tmp_path / "mixed")  # holds both nights, in a folder
    untouched = {night: contents(mixed.warehouse, run_date=night) for night in NIGHTS}
    assert mixed.night(FIRST_NIGHT) == 0
    capfd.readouterr()
    assert mixed.night(SHORT_NIGHT) == 0
    assert "no model is trained tonight" in capfd.readouterr().out
    assert {night: contents(mixed.warehouse, run_date=night) for night in NIGHTS} == untouched
    assert contents(mixed.warehouse) == clean.held


def test_a_night_without_a_model_serves_popularity(clean: Clean) -> None:
    lists = rows_of(clean.place, RECOMMENDATIONS, run_date=SHORT_NIGHT)
    assert len(lists) == NUM_USERS - 3  # who have not come yet
    assert {entry["source"] for row in lists for entry in row["items"]} == {"fallback"}
    assert {len(row["items"]) for row in lists} == {K}
    assert {row["model_id"] for row in lists} <= {"popularity_6h", "popularity_24h", "popularity_72h"}
    again = ("--strict", "--rebuild", "--only", "evaluate_model")
    assert clean.nights.night(SHORT_NIGHT, *clean.flags, *again) == 5


def test_in_a_catalog_a_second_run_skips_every_stage(clean: Clean) -> None:
    def of_first_night() -> Counter[str]:
        return Counter(row["status"] for row in rows_of(clean.place, RUNS, run_date=FIRST_NIGHT))

    assert of_first_night() == {"finished": 6}
    assert clean.nights.night(FIRST_NIGHT, *clean.flags) == 0
    assert of_first_night() == {"finished": 6, "skipped": 6}


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
