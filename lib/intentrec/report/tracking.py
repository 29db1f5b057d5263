"""ReportData -> MLflow, for teams that look there; tables stay the truth. Needs the extra ``intentrec[mlflow]``."""

import os
import re
from typing import Any

from intentrec.errors import SetupError
from intentrec.report.data import ReportData

EXPERIMENT = "intentrec"
_TAG = "intentrec.run_id"


def mirror_night(data: ReportData, uri: str) -> None:
    """Write a night as one MLflow run of the experiment ``intentrec``; a night that is told again replaces its run.

    Metrics are those of the report at every k, drift and lists, what the stages counted, and the losses of training,
    an epoch a step; tags name run, run date, verdict and serving model. No user is in it.

    Args:
        data: of the night.
        uri: tracking URI; a folder is a local file store.

    Raises:
        SetupError: mlflow is not installed, or the store cannot be reached.
    """
    make_client = _client_class(uri)
    try:
        client = make_client(tracking_uri=uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        experiment = client.create_experiment(EXPERIMENT) if found is None else found.experiment_id
        for old in client.search_runs([experiment], filter_string=f"tags.`intentrec.run_date` = '{data.run_date}'"):
            client.delete_run(old.info.run_id)
        run = client.create_run(experiment, run_name=f"{data.run_date}", tags=_tags(data)).info.run_id
        for name, value in metrics_of(data).items():
            client.log_metric(run, name, value)
        for name, epoch, value in losses_of(data):
            client.log_metric(run, name, value, step=epoch)
        client.set_terminated(run)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise SetupError(
            f"monitoring.mlflow: {uri} does not take the night ({reason}); tables hold all of it"
        ) from error


def metrics_of(data: ReportData) -> dict[str, float]:
    """Return the night's figures under names that MLflow takes."""
    named = {f"{score.role}.{score.name}.{score.metric}.{score.k}": score.value for score in data.scores}
    named |= {f"lists.{figure.metric}.{figure.segment}": figure.value for figure in data.figures}
    for stage in data.stages:
        named[f"{stage.stage}.seconds"] = stage.seconds
        named |= {f"{stage.stage}.{key}": float(number) for key, number in stage.counters}
    return {re.sub(r"[^\w. /-]", "_", name): value for name, value in named.items()}


def losses_of(data: ReportData) -> list[tuple[str, int, float]]:
    """Return what training told of its epochs as (name, epoch, value), epochs ascending under each name."""
    train = [("training.train_loss", row.epoch, row.train_loss) for row in data.epochs]
    validation = [
        ("training.validation_loss", row.epoch, row.validation_loss)
        for row in data.epochs
        if row.validation_loss is not None
    ]
    return train + validation


def _tags(data: ReportData) -> dict[str, str]:
    said = {"verdict": data.verdict, "model_id": data.model_id, "reason": data.reason}
    return {
        _TAG: data.run_id,
        "intentrec.run_date": data.run_date.isoformat(),
        **{f"intentrec.{name}": text for name, text in said.items() if text},
    }


def _client_class(uri: str) -> Any:
    if "://" not in uri or uri.startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # since 3.x mlflow refuses a folder without it
    try:
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise SetupError(
            "monitoring.mlflow: mlflow is not installed, wanted by this key; install intentrec[mlflow], or leave it out"
        ) from None
    return MlflowClient
