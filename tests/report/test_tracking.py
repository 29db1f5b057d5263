"""A night in MLflow's own file store, where MLflow is installed: it is an extra and not in the lock."""

import importlib.util
import sys
from dataclasses import replace

import pytest

from intentrec.errors import SetupError
from intentrec.report import mirror_night
from intentrec.report.data import Epoch
from intentrec.report.tracking import EXPERIMENT, losses_of, metrics_of

MLFLOW = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="mlflow is an extra: pip install intentrec[mlflow]"
)


def test_figures_have_names_that_mlflow_takes(full_night):
    found = metrics_of(full_night)
    assert found["challenger.m1.ndcg.10"] == 0.1234
    assert found["ingest_events.rows_read"] == 1234
    assert found["lists.intent_shift.category_ odd"] == 0.25
    assert found["lists.list_churn.all"] == 0.5


def test_epochs_are_steps_and_one_without_validation_has_no_such_figure(full_night):
    epochs = (Epoch(1, 2.5, 2.75), Epoch(2, 2.25, None))
    assert losses_of(replace(full_night, epochs=epochs)) == [
        ("training.train_loss", 1, 2.5),
        ("training.train_loss", 2, 2.25),
        ("training.validation_loss", 1, 2.75),
    ]
    assert losses_of(replace(full_night, epochs=())) == []


def test_without_mlflow_the_extra_is_named(full_night, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(SetupError, match=r"mlflow is not installed, wanted by this key; install intentrec\[mlflow\]"):
        mirror_night(full_night, str(tmp_path))


@MLFLOW
@pytest.mark.filterwarnings("ignore")
def test_a_night_is_one_run_and_replaces_what_was_told_of_it_before(full_night, tmp_path):
    from mlflow.tracking import MlflowClient

    store = (tmp_path / "runs").as_uri()
    other = replace(full_night, run_date=full_night.run_date.replace(day=3))
    for night in (full_night, other, replace(full_night, run_id="r2")):
        mirror_night(night, store)
    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"2024-05-02", "2024-05-03"}
    told = runs["2024-05-02"]
    assert told.data.tags["intentrec.run_id"] == "r2"
    assert told.data.tags["intentrec.verdict"] == "promoted"
    last = {name: value for name, _, value in losses_of(full_night)}
    assert last
    assert told.data.metrics == metrics_of(full_night) | last
    steps = client.get_metric_history(told.info.run_id, "training.train_loss")
    assert [(point.step, point.value) for point in steps] == [(row.epoch, row.train_loss) for row in full_night.epochs]
    assert told.info.status == "FINISHED"


@MLFLOW
@pytest.mark.filterwarnings("ignore")
def test_a_store_that_cannot_be_reached_is_named(full_night, tmp_path):
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(SetupError, match=r"monitoring.mlflow: .*file does not take the night"):
        mirror_night(full_night, file.as_uri())
