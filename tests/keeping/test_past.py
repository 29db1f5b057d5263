"""What the ledger tells of a past night, and what it cannot tell any more."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.ledger.nights import DAY, command, write_config

from intentrec import __version__
from intentrec.config import STAGES, Config, stage_hash
from intentrec.errors import ConfigError, InputError, SetupError
from intentrec.keeping.past import past_night
from intentrec.ledger import Run
from intentrec.tables import MODELS, RUNS

NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)


def rows(config: Config, run_id: str, minute: int, **changed: Any) -> list[tuple[Any, ...]]:
    """Return the ledger of a night whose stages ended a second after each other."""
    found = []
    for number, stage in enumerate(STAGES):
        at = NOON + timedelta(minutes=minute, seconds=number)
        values = {
            "run_id": run_id, "run_date": DAY, "stage": stage, "status": "finished", "started_at": at,
            "finished_at": at, "inputs": [("events", number)], "outputs": [("sessions", number + 1)], "input_hash": "",
            "config_hash": stage_hash(config, stage), "code_version": __version__, "counters": [], "message": None,
        } | changed  # fmt: skip
        found.append(tuple(values.values()))
    return found


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path) -> Run:
    found = Run(command(write_config(tmp_path)), spark, "r1")
    found.warehouse.create([RUNS, MODELS])
    return found


def record(run: Run, several: list[tuple[Any, ...]]) -> None:
    run.warehouse.append(RUNS, run.spark.createDataFrame(several, RUNS.schema))


def test_a_night_has_its_versions_its_config_and_what_sessions_had_seen(run: Run, tmp_path: Path) -> None:
    wide = command(write_config(tmp_path), "model.width=128").config
    record(run, rows(run.config, "later", 0, run_date=DAY + timedelta(days=2)))
    record(run, rows(wide, "wide", 1))
    record(run, rows(wide, "again", 2, status="skipped", inputs=[], outputs=[]))
    model = (
        "m", DAY, "challenger", None, None, NOON, wide.model_dump_json(), "p", [], [], [], "wide", NOON,
    )  # fmt: skip
    run.warehouse.append(MODELS, run.spark.createDataFrame([model], MODELS.schema))
    night = past_night(run, "again", run.config)
    assert night.config == wide  # not the one given: its hashes are in the ledger
    assert night.until == DAY + timedelta(days=2)
    assert (night.found("build_sessions", "events"), night.left("build_sessions", "sessions")) == (1, 2)
    with pytest.raises(InputError, match="run again does not tell which version of items build_sessions found or left"):
        night.found("build_sessions", "items")


def test_what_is_no_whole_night_of_this_code_and_config_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"table runs: no run none of run date 2024-01-31; look it up"):
        past_night(run, "none", run.config)
    record(run, rows(run.config, "half", 0)[:3])
    with pytest.raises(InputError, match="train_model did not finish in run half, wanted a run of the whole night"):
        past_night(run, "half", run.config)
    record(run, rows(run.config, "old", 1, code_version="0.0.9"))
    with pytest.raises(SetupError, match=rf"run old was made by intentrec 0.0.9, this is {__version__}: install"):
        past_night(run, "old", run.config)
    record(run, rows(run.config, "whole", 2))
    other = command(write_config(tmp_path), "sessions.gap_minutes=60").config
    with pytest.raises(
        ConfigError,
        match="another config: build_sessions, train_model, evaluate_model, write_recommendations differ; give",
    ):
        past_night(run, "whole", other)
    assert past_night(run, "whole", run.config).until == date(2024, 1, 31)
