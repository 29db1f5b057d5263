"""What is old: rows of past dates, and model files that no night within reach starts from or serves with."""

import shutil
import time
from collections.abc import Iterable
from datetime import date, timedelta
from difflib import get_close_matches
from pathlib import Path

from pyspark.sql import functions as F

from intentrec.config import MaintenanceConfig
from intentrec.errors import ConfigError
from intentrec.gate import champion_before
from intentrec.io.upkeep import change_rows
from intentrec.keeping.artifacts import REPRODUCED
from intentrec.keeping.books import restate_books, waiting_contents
from intentrec.ledger import Run
from intentrec.tables import (
    ALL,
    EVENTS_QUARANTINE,
    FEATURE_VOCABULARY,
    GATE_DECISIONS,
    MODELS,
    RUNS,
    VOCABULARY,
    Table,
)

_DATED = tuple(table for table in ALL if table.partition)
_OF_MODELS = (VOCABULARY, FEATURE_VOCABULARY)  # a model is applied with the numbers of its own night
_IDS = ("model_id", "serving_model_id")


def check_names(settings: MaintenanceConfig) -> None:
    """Refuse a name in ``keep_days`` that is no table with a date.

    Raises:
        ConfigError: names the nearest table.
    """
    names = [table.name for table in _DATED]
    for name in settings.keep_days:
        if name not in names:
            nearest = get_close_matches(name, names, n=1, cutoff=0)[0]
            raise ConfigError(f"maintenance.keep_days.{name}: no table with a date, the nearest is {nearest}")


def first_kept(table: Table, settings: MaintenanceConfig, run_date: date) -> date | None:
    """Return the oldest date whose rows stay; None: all of them do."""
    if not table.partition:
        return None
    by_run_date = table.partition[0] == "run_date" and table is not EVENTS_QUARANTINE
    days = settings.keep_days.get(table.name, settings.run_date_days if by_run_date else None)
    return None if days is None else run_date - timedelta(days=days)


def remove_old_rows(run: Run) -> dict[str, int]:
    """Delete the rows of dates that are past keeping; the newest date of a table stays, however old.

    Returns:
        Table: dates that are gone.
    """
    settings = run.config.maintenance
    needed = {model_date for _, model_date in models_in_reach(run)}
    removed, nights, waiting = {}, set[date](), waiting_contents(run)
    for table in _DATED:
        since = first_kept(table, settings, run.run_date)
        if since is None or not run.warehouse.exists(table):
            continue
        column = table.partition[0]
        dates = sorted(row[0] for row in run.warehouse.read(table).select(column).distinct().collect())
        old = [day for day in dates[:-1] if day < since and not (table in _OF_MODELS and day in needed)]
        if old:
            run.warehouse.delete(table, **{column: old})
            removed[table.name] = len(old)
            nights.update(old if column == "run_date" else ())
    if EVENTS_QUARANTINE.name in removed or "events" in removed:
        restate_books(run, waiting)  # else ingest takes what is missing for a replay that was interrupted
    _mark_removed(run, nights)
    return removed


def _mark_removed(run: Run, nights: Iterable[date]) -> None:
    """Let the stages of these nights count as finished no more: one that is run again is built, not skipped."""
    found = run.spark.createDataFrame([(night, "finished") for night in sorted(nights)], "run_date DATE, status STRING")
    if run.warehouse.exists(RUNS) and not run.warehouse.read(RUNS).join(found, found.columns, "left_semi").isEmpty():
        change_rows(run.warehouse, RUNS, found, {"status": F.lit("removed")})


def models_in_reach(run: Run) -> set[tuple[str, date]]:
    """Return every model, with its night, that a night from the oldest kept run date on can start from or serve with.

    Those are the models of these nights, all that a decision since then names, and the champions at its beginning and
    after every demotion, which brings an older one back.
    """
    if not (run.warehouse.exists(MODELS) and run.warehouse.exists(GATE_DECISIONS)):
        return set()
    since = run.run_date - timedelta(days=run.config.maintenance.run_date_days)
    table = run.warehouse.read(GATE_DECISIONS)
    decisions = table.where(F.col("run_date") >= F.lit(since)).select("run_date", "verdict", *_IDS).collect()
    demoted = {row["run_date"] + timedelta(days=1) for row in decisions if row["verdict"] == "demoted"}
    champions = [
        row for day in sorted({since, *demoted}) for row in champion_before(table, day).select(*_IDS).collect()
    ]
    named = {row[name] for row in (*decisions, *champions) for name in _IDS}
    models = run.warehouse.read(MODELS).select("model_id", "challenger_id", "run_date").collect()
    named |= {row["challenger_id"] for row in models if row["model_id"] in named}
    kept = [row for row in models if row["run_date"] >= since or row["model_id"] in named]
    return {(row["model_id"], row["run_date"]) for row in kept}


def remove_old_files(run: Run) -> list[str]:
    """Remove reports and model files of nights past keeping, checkpoints that no training went on from, and copies.

    The rows in MODELS stay, as the record of what there was.

    Returns:
        The folders that are gone, below the folder of the artifacts, sorted.
    """
    root = Path(str(run.config.artifacts))
    since = run.run_date - timedelta(days=run.config.maintenance.run_date_days)
    gone = [folder for folder in sorted(root.glob("reports/*")) if _date_of(folder.name, since) < since]
    untouched = time.time() - 3600 * run.config.maintenance.retention_hours
    scratch = sorted([*root.glob(f"{REPRODUCED}/*"), *root.glob("training/*")])
    gone += [folder for folder in scratch if _last_written(folder) < untouched]
    if run.warehouse.exists(MODELS):
        known = {row["model_id"] for row in run.warehouse.read(MODELS).select("model_id").collect()}
        old = known - {model_id for model_id, _ in models_in_reach(run)}
        folders = (folder for kind in ("models", "starts") for folder in sorted(root.glob(f"{kind}/*")))
        gone += [folder for folder in folders if folder.name in old]
    for folder in gone:
        shutil.rmtree(folder)
    return [folder.relative_to(root).as_posix() for folder in gone]


def _last_written(folder: Path) -> float:
    return max(file.stat().st_mtime for file in (folder, *folder.rglob("*")))


def _date_of(name: str, other: date) -> date:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return other
