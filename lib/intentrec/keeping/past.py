"""What the ledger holds of a past night: its stages, the versions they found and left, and its config."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pydantic import ValidationError
from pyspark.sql import Row
from pyspark.sql import functions as F

from intentrec import __version__
from intentrec.config import STAGES, Config, stage_hash
from intentrec.errors import ConfigError, InputError, SetupError
from intentrec.ledger import Run
from intentrec.tables import MODELS, RUNS


@dataclass(frozen=True, slots=True)
class PastNight:
    """A night as the ledger knows it.

    Attributes:
        run_id: that was asked for.
        run_date: of the night.
        stages: stage: its row in ``runs``; of one that the run skipped the row that it found finished.
        until: the newest run date that build_sessions had seen by then.
        config: with which all of it was run.
    """

    run_id: str
    run_date: date
    stages: Mapping[str, Row]
    until: date
    config: Config

    def found(self, stage: str, table: str) -> int:
        """Return the version of a table that a stage found.

        Raises:
            InputError: the ledger does not tell.
        """
        return self._version(stage, "inputs", table)

    def left(self, stage: str, table: str) -> int:
        """Return the version of a table that a stage left behind; errors as ``found``."""
        return self._version(stage, "outputs", table)

    def _version(self, stage: str, column: str, table: str) -> int:
        versions = {entry["table"]: entry["version"] for entry in self.stages[stage][column]}
        if table not in versions:
            raise InputError(
                f"table runs: run {self.run_id} does not tell which version of {table} {stage} found or left: it was "
                "made by an earlier version of intentrec, wanted a later run"
            )
        return int(versions[table])


def past_night(run: Run, run_id: str, given: Config) -> PastNight:
    """Look a night up, with the config whose hashes the ledger holds: the given one, else that of its models.

    Raises:
        InputError: there is no such run, or it is no whole night of the run date.
        SetupError: another version of the package made it.
        ConfigError: neither config is the one of the night; the stages that differ are named.
    """
    run.warehouse.create([RUNS, MODELS])
    rows = run.warehouse.read(RUNS).where(F.col("run_date") == F.lit(run.run_date)).orderBy("finished_at").collect()
    mine = [row for row in rows if row["run_id"] == run_id]
    if not mine:
        raise InputError(f"table runs: no run {run_id} of run date {run.run_date}; look it up there, with its run date")
    stages = _stages(mine, rows)
    versions = {row["code_version"] for row in stages.values()}
    if versions != {__version__}:
        raise SetupError(
            f"run {run_id} was made by intentrec {', '.join(sorted(versions))}, this is {__version__}: install that one"
        )
    built = stages["build_sessions"]["finished_at"]
    before = run.warehouse.read(RUNS).where((F.col("stage") == "build_sessions") & (F.col("status") == "finished"))
    newest = before.where(F.col("finished_at") <= F.lit(built)).agg(F.max("run_date")).collect()[0][0]
    return PastNight(run_id, run.run_date, stages, newest, _config_of(run, run_id, stages, given))


def _stages(mine: Sequence[Row], rows: Sequence[Row]) -> dict[str, Row]:
    last = {row["stage"]: row for row in mine}
    found = {}
    for stage in STAGES:
        row = last.get(stage)
        if row is not None and row["status"] == "skipped":
            ended = row["finished_at"]
            before = [other for other in rows if other["stage"] == stage and other["finished_at"] <= ended]
            done = [other for other in before if other["status"] == "finished"]
            row = done[-1] if done else None
        if row is None or row["status"] != "finished":
            raise InputError(
                f"table runs: {stage} did not finish in run {mine[0]['run_id']}, wanted a run of the whole night"
            )
        found[stage] = row
    return found


def _config_of(run: Run, run_id: str, stages: Mapping[str, Row], given: Config) -> Config:
    candidates = [given]
    models = run.warehouse.read(MODELS).where(F.col("run_date") == F.lit(run.run_date)).select("config").distinct()
    for row in models.collect():
        try:
            candidates.append(Config.model_validate_json(row["config"]))
        except ValidationError:  # of an earlier version
            continue
    for config in candidates:
        if not _differing(config, stages):
            return config
    raise ConfigError(
        f"run {run_id} was made with another config: {', '.join(_differing(given, stages))} differ; give the one of "
        "that night with --config and --set"
    )


def _differing(config: Config, stages: Mapping[str, Row]) -> list[str]:
    return [stage for stage in STAGES if stage_hash(config, stage) != stages[stage]["config_hash"]]
