"""Rows of ``models``: added once, never changed, and found again as they were."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.ledger.nights import DAY, command, write_config

from intentrec.errors import InputError
from intentrec.ledger import (
    Measured,
    Model,
    Run,
    add_model,
    find_model,
    get_model,
    is_trained_anew,
    model_folder,
    recall_figures,
    record_figures,
    start_folder,
    tonights_challenger,
)
from intentrec.tables import EXAMPLES, FEATURE_VOCABULARY, METRICS, MODELS, VOCABULARY

MODEL = Model(
    model_id="a1",
    run_date=DAY,
    kind="challenger",
    folder=Path("/models/a1"),
    files=[("manifest.json", "ff", 3), ("weights.safetensors", "aa", 9)],
    trained_until=datetime(2024, 1, 30, 15, tzinfo=UTC),
    warm_started_from="a0",
)


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    run = Run(command(write_config(tmp_path_factory.mktemp("models"))), spark, "r1")
    run.warehouse.create([MODELS, METRICS, EXAMPLES, VOCABULARY, FEATURE_VOCABULARY])
    return run


def figures(model_id: str, loss: float) -> list[Measured]:
    return [
        Measured(model_id, "all", "train_loss", None, 1, loss),
        Measured(model_id, "action", "validation_accuracy", None, 1, float("nan")),
        Measured("popularity_6h", "validation", "ndcg", 10, None, 0.5, 0.4, 0.6, 9),
    ]


def test_a_model_is_added_once_and_found_as_it_was(run: Run) -> None:
    with pytest.raises(InputError) as caught:
        tonights_challenger(run)
    assert str(caught.value) == (
        "table models: no challenger of run date 2024-01-31, wanted by evaluate_model; run train_model first"
    )
    record_figures(run, "train_model", figures("a1", 3.0))
    add_model(run, MODEL, figures("a1", 3.0))
    add_model(run, replace(MODEL, folder=Path("/elsewhere"), kind="refit"))  # changes nothing
    assert find_model(run, "a1") == MODEL
    (row,) = run.warehouse.read(MODELS).collect()
    assert [tuple(pair) for pair in row["inputs"]] == [("vocabulary", 0), ("feature_vocabulary", 0), ("examples", 0)]
    assert (row["run_id"], row["config"]) == ("r1", run.config.model_dump_json())
    assert tonights_challenger(run) == MODEL

    refit = replace(MODEL, model_id="a2", kind="refit", challenger_id="a1", warm_started_from="a1")
    yesterdays = replace(MODEL, model_id="a3", run_date=DAY - timedelta(days=1), warm_started_from=None)
    add_model(run, refit)
    add_model(run, yesterdays)
    assert (get_model(run, "a2"), get_model(run, "a3")) == (refit, yesterdays)
    assert tonights_challenger(run) == MODEL  # neither a refit nor a model of another night, though later


def test_the_challenger_is_the_one_that_train_model_ended_with_last_and_not_the_newest(run: Run) -> None:
    newer = replace(MODEL, model_id="b1")
    record_figures(run, "train_model", figures("b1", 2.0))
    record_figures(run, "evaluate_model", [Measured("a1", "all", "ndcg", 10, None, 0.1)])
    add_model(run, newer, figures("b1", 2.0))
    assert tonights_challenger(run) == newer
    recall_figures(run, "a1")  # the first config once more
    assert tonights_challenger(run) == MODEL
    told = run.warehouse.read(METRICS).where("stage = 'train_model'").drop("run_date", "stage", "run_id")
    assert {tuple(row) for row in told.collect()} == {
        ("a1", "all", "train_loss", None, 1, 3.0, None, None, None),
        ("popularity_6h", "validation", "ndcg", 10, None, 0.5, 0.4, 0.6, 9),
    }


def test_a_model_that_is_not_there_is_named(run: Run) -> None:
    assert find_model(run, "zz") is None
    with pytest.raises(InputError) as caught:
        get_model(run, "zz")
    assert str(caught.value) == (
        "table models: model_id zz is missing, wanted by gate_decisions; restore it, or demote it"
    )


def test_the_files_of_a_model_lie_under_the_artifacts(run: Run) -> None:
    assert model_folder(run, "a1") == Path(run.config.artifacts or "", "models", "a1")
    assert start_folder(run, "a1") == Path(run.config.artifacts or "", "starts", "a1")
    assert model_folder(run, "a1").is_absolute()


def test_a_training_begins_anew_where_none_of_the_days_before_did(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    night = DAY + timedelta(days=9)  # away from the models of the other tests
    monkeypatch.setattr(run, "run_date", night)
    anew = replace(MODEL, model_id="c1", run_date=night - timedelta(days=2), warm_started_from=None)
    add_model(run, anew)
    add_model(run, replace(MODEL, model_id="c2", run_date=night - timedelta(days=1)))  # went on from a0
    add_model(run, replace(anew, model_id="c3", kind="refit", run_date=night - timedelta(days=1)))
    add_model(run, replace(anew, model_id="c4", run_date=night))  # tonight's own, from an earlier try
    found = {}
    for every in (None, 1, 2, 3):
        training = run.config.training.model_copy(update={"every_days": every})
        monkeypatch.setattr(run, "config", run.config.model_copy(update={"training": training}))
        found[every] = is_trained_anew(run)
    assert found == {None: False, 1: True, 2: True, 3: False}


@pytest.mark.parametrize(
    ("since", "as_start", "found"),
    [
        (datetime(2024, 1, 30, 15, tzinfo=UTC), False, False),
        (datetime(2024, 1, 30, 14, tzinfo=UTC), False, False),  # a day of 25 hours lies between
        (datetime(2024, 1, 29, 15, tzinfo=UTC), False, True),
        (datetime(2024, 1, 28, 15, tzinfo=UTC), True, False),
        (datetime(2024, 1, 27, 15, tzinfo=UTC), True, True),
    ],
)
def test_a_model_and_its_start_have_not_learnt_from_what_came_after(
    since: datetime, as_start: bool, found: bool
) -> None:
    assert replace(MODEL, validation_days=2).has_learnt_from(since, as_start=as_start) is found
