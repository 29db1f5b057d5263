"""Rows of ``models`` and the folders of their files."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pyspark.sql import functions as F

from intentrec.errors import InputError
from intentrec.ledger.figures import Measured, figure_rows, record_figures
from intentrec.ledger.run import Run
from intentrec.tables import EXAMPLES, FEATURE_VOCABULARY, METRICS, MODELS, VOCABULARY

TRAINING = "train_model"  # the stage whose figures say which challenger is tonight's
Files = Sequence[tuple[str, str, int]]
_SLIP = timedelta(hours=3)  # days have 23 to 25 hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A trained model as the ledger knows it.

    Attributes:
        model_id: hash of all that decides it.
        run_date: the night it belongs to; its vocabulary is the one of this night.
        kind: challenger or refit.
        folder: of its files.
        files: (name, sha256, bytes) of each.
        trained_until: aware; no target at or after this instant was trained on.
        challenger_id: for a refit, the judged model.
        warm_started_from: model_id of the champion it started from.
        validation_days: of its night: before it learnt from these too, it was what is kept as the next start.
    """

    model_id: str
    run_date: date
    kind: str
    folder: Path
    files: Files
    trained_until: datetime
    challenger_id: str | None = None
    warm_started_from: str | None = None
    validation_days: int = 1

    def has_learnt_from(self, since: datetime, *, as_start: bool = False) -> bool:
        """Return whether targets from an instant on taught the model, or what is kept of it as the next start.

        Nights of one config never ask for more unseen days than the night before left; one with more of them does.
        """
        until = self.trained_until - timedelta(days=self.validation_days if as_start else 0)
        return until - since > _SLIP


def model_folder(run: Run, model_id: str) -> Path:
    """Return where the files of a model lie."""
    return Path(str(run.config.artifacts), "models", model_id)


def start_folder(run: Run, model_id: str) -> Path:
    """Return where a challenger lies as it was before it learnt from the validation days: the next start."""
    return Path(str(run.config.artifacts), "starts", model_id)


def find_model(run: Run, model_id: str) -> Model | None:
    """Look a model up; None if it was never trained.

    Its files are looked for where this warehouse keeps models, since it may have moved; else where they were written.
    """
    row = run.warehouse.read(MODELS).where(F.col("model_id") == F.lit(model_id)).first()
    if row is None:
        return None
    here = model_folder(run, model_id)
    return Model(
        model_id=model_id,
        run_date=row["run_date"],
        kind=row["kind"],
        folder=here if here.is_dir() else Path(row["artifact_path"]),
        files=[(file["name"], file["sha256"], file["bytes"]) for file in row["files"]],
        trained_until=row["trained_until"].astimezone(UTC),
        challenger_id=row["challenger_id"],
        warm_started_from=row["warm_started_from"],
        validation_days=json.loads(row["config"]).get("evaluation", {}).get("validation_days", 1),
    )


def get_model(run: Run, model_id: str) -> Model:
    """Look a model up.

    Raises:
        InputError: there is no such row.
    """
    model = find_model(run, model_id)
    if model is None:
        raise InputError(
            f"table models: model_id {model_id} is missing, wanted by gate_decisions; restore it, or demote it"
        )
    return model


def is_trained_anew(run: Run) -> bool:
    """Return whether tonight's training begins from nothing although there is a champion: ``training.every_days``.

    It does where no challenger of the days before did, whether it was promoted or not: a refused one has to be tried
    again only after as many days.
    """
    every = run.config.training.every_days
    if every is None:
        return False
    since = run.run_date - timedelta(days=every)
    dates = (F.col("run_date") < F.lit(run.run_date)) & (F.col("run_date") > F.lit(since))
    anew = (F.col("kind") == "challenger") & F.col("warm_started_from").isNull()
    return run.warehouse.read(MODELS).where(dates & anew).isEmpty()


def tonights_challenger(run: Run) -> Model:
    """Return the challenger that the night's last train_model ended with: trained then, or found as trained before.

    It is the one whose figures stand in ``metrics``; the night may have made others under other configs.

    Raises:
        InputError: none was trained.
    """
    mine = (F.col("run_date") == F.lit(run.run_date)) & (F.col("kind") == "challenger")
    told = run.warehouse.read(METRICS).where(
        (F.col("run_date") == F.lit(run.run_date)) & (F.col("stage") == F.lit(TRAINING))
    )
    row = run.warehouse.read(MODELS).where(mine).join(told, "model_id", "left_semi").select("model_id").first()
    if row is None:
        raise InputError(
            f"table models: no challenger of run date {run.run_date}, wanted by evaluate_model; run train_model first"
        )
    return get_model(run, row["model_id"])


def add_model(run: Run, model: Model, measured: Iterable[Measured] = ()) -> None:
    """Add the row of a model that was trained now; one that is there already stays as it is.

    Args:
        run: of the job that trained it.
        model: the model.
        measured: what ``recall_figures`` brings back.
    """
    if find_model(run, model.model_id) is not None:
        return
    versions = [(table.name, run.warehouse.version(table)) for table in (VOCABULARY, FEATURE_VOCABULARY, EXAMPLES)]
    row = (
        model.model_id, model.run_date, model.kind, model.challenger_id, model.warm_started_from, model.trained_until,
        run.config.model_dump_json(), str(model.folder), sorted(model.files), figure_rows(measured), versions,
        run.run_id, datetime.now(UTC),
    )  # fmt: skip
    run.warehouse.append(MODELS, run.spark.createDataFrame([row], MODELS.schema))


def recall_figures(run: Run, model_id: str) -> None:
    """Put into ``metrics`` what was measured when a model was trained: tonight's train_model ended with it again."""
    row = run.warehouse.read(MODELS).where(F.col("model_id") == F.lit(model_id)).select("figures").first()
    assert row is not None
    record_figures(run, TRAINING, [Measured(*figure) for figure in row["figures"]])
