"""Which model a night starts from and serves with, on small literal tables."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.ledger.nights import command, write_config

from intentrec.errors import InputError
from intentrec.ledger import Champion, Run, champion_fingerprint, champion_of, decision_time, serving_model_id
from intentrec.tables import GATE_DECISIONS, MODELS

NIGHT = {day: date(2024, 1, day) for day in range(1, 5)}
NOW = datetime(2024, 1, 5, tzinfo=UTC)


def model(model_id: str, day: int, challenger_id: str | None = None) -> tuple[object, ...]:
    kind = "refit" if challenger_id else "challenger"
    return (model_id, NIGHT[day], kind, challenger_id, None, NOW, "{}", f"/models/{model_id}", [], [], [], "r", NOW)


def decision(day: int, model_id: str, verdict: str, serving: str | None = None, hour: int = 1) -> tuple[object, ...]:
    decided_at = datetime(2024, 1, 5, hour, tzinfo=UTC)
    return (NIGHT[day], model_id, verdict, None, serving, [], "because", "r", decided_at)


@pytest.fixture(scope="module")
def warehouse(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nights 1 and 2 promote, night 3 refuses; b has no refit; c's own night has a second, later verdict."""
    folder = tmp_path_factory.mktemp("champions")
    tables = Run(command(write_config(folder)), spark, "seed").warehouse
    tables.create([GATE_DECISIONS, MODELS])
    models = [model("a", 1), model("a-refit", 1, "a"), model("b", 2), model("c", 3)]
    decisions = [
        decision(1, "a", "promoted", "a-refit"),
        decision(2, "b", "promoted"),
        decision(3, "c", "promoted", hour=1),
        decision(3, "c", "refused", hour=2),
    ]
    tables.append(MODELS, spark.createDataFrame(models, MODELS.schema))
    tables.append(GATE_DECISIONS, spark.createDataFrame(decisions, GATE_DECISIONS.schema))
    return folder


@pytest.fixture
def run(spark: SparkSession, warehouse: Path) -> Run:
    return Run(command(warehouse / "config.yaml"), spark, "20240131-r")


@pytest.mark.parametrize(
    ("day", "champion", "serves", "fingerprint"),
    [
        (1, None, "a-refit", "first night"),
        (2, Champion("a", "a-refit", NIGHT[1]), "b", "a-refit"),
        (3, Champion("b", "b", NIGHT[2]), "b", "b"),
        (4, Champion("b", "b", NIGHT[2]), "b", "b"),
    ],
)
def test_a_night_starts_from_the_last_model_promoted_before_it_and_serves_its_own_if_promoted(
    run: Run, day: int, champion: Champion | None, serves: str, fingerprint: str
) -> None:
    run.run_date = NIGHT[day]
    assert champion_of(run) == champion
    assert serving_model_id(run) == serves
    assert champion_fingerprint(run) == fingerprint


def test_a_champion_that_is_demoted_tonight_makes_tonights_lists_no_more(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(command(write_config(tmp_path)), spark, "20240131-r")
    run.warehouse.create([GATE_DECISIONS, MODELS])
    run.warehouse.append(MODELS, spark.createDataFrame([model("a", 1), model("b", 2)], MODELS.schema))
    rows = [decision(1, "a", "promoted"), decision(2, "b", "promoted"), decision(3, "c", "refused")]
    rows.append(decision(3, "b", "demoted", hour=2))
    run.warehouse.append(GATE_DECISIONS, spark.createDataFrame(rows, GATE_DECISIONS.schema))
    run.run_date = NIGHT[3]
    assert champion_of(run) == Champion("b", "b", NIGHT[2])  # what the night's challenger was compared with
    assert serving_model_id(run) == "a"
    run.run_date = NIGHT[4]
    assert champion_of(run) == Champion("a", "a", NIGHT[1])


def test_a_decision_is_the_last_although_the_clock_was_set_back(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(command(write_config(tmp_path)), spark, "20240131-r")
    run.warehouse.create([GATE_DECISIONS])
    began = datetime.now(UTC)
    assert began <= decision_time(run) <= datetime.now(UTC)
    ahead = datetime(2100, 1, 1, tzinfo=UTC)
    rows = [(*decision(1, "a", "promoted")[:-1], ahead)]
    run.warehouse.append(GATE_DECISIONS, spark.createDataFrame(rows, GATE_DECISIONS.schema))
    assert decision_time(run) == ahead + timedelta(microseconds=1)


def test_a_first_night_that_refused_serves_no_model(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(command(write_config(tmp_path)), spark, "20240131-r")
    run.warehouse.create([GATE_DECISIONS, MODELS])
    run.run_date = NIGHT[1]
    run.warehouse.append(GATE_DECISIONS, spark.createDataFrame([decision(1, "a", "refused")], GATE_DECISIONS.schema))
    assert champion_of(run) is None
    assert serving_model_id(run) is None
    # A pin of the refit model: the challenger behind it is what the next night starts from.
    pinned = [decision(2, "a-refit", "pinned")]
    run.warehouse.append(GATE_DECISIONS, spark.createDataFrame(pinned, GATE_DECISIONS.schema))
    run.run_date = NIGHT[3]
    with pytest.raises(InputError, match="table models: model_id a-refit is missing, wanted by"):
        champion_of(run)
    run.warehouse.append(MODELS, spark.createDataFrame([model("a-refit", 1, "a")], MODELS.schema))
    assert champion_of(run) == Champion("a", "a-refit", NIGHT[1])
