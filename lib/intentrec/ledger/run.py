"""A run: its stages, what is skipped, and the rows of ``runs``."""

import hashlib
import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from intentrec import __version__
from intentrec.config import STAGES, Config, Cutoff, cutoff_of, is_catalog, stage_hash
from intentrec.errors import InputError
from intentrec.io import Warehouse, crash_point
from intentrec.ledger.lock import catalog_lease, folder_lock
from intentrec.spark import start_spark
from intentrec.tables import RUNS, Table

logger = logging.getLogger("intentrec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What stood on the command line."""

    config: Config
    run_date: date
    strict: bool = False
    rebuild: bool = False
    replay_quarantine: bool = False
    first: str | None = None
    only: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a stage ended."""

    stage: str
    status: str
    seconds: float
    counters: dict[str, int] = field(default_factory=dict)
    message: str | None = None


class Run:
    """One command on one warehouse: one Spark session, one run id, the lock held."""

    def __init__(self, command: Command, spark: SparkSession, run_id: str) -> None:
        """Name everything a stage needs; nothing is read yet."""
        self.config = command.config
        self.run_date = command.run_date
        self.strict = command.strict
        self.rebuild = command.rebuild
        self.replay_quarantine = command.replay_quarantine
        self.run_id = run_id
        self.started_at = datetime.now(UTC)
        self.spark = spark
        self.cutoff: Cutoff = cutoff_of(command.config)
        location = command.config.warehouse
        self.warehouse = Warehouse(spark, location, in_catalog=is_catalog(location), run_id=run_id)
        self.outcomes: list[Outcome] = []
        self.refusals: list[str] = []
        self._stage = "start"
        self._warnings: list[str] = []

    def log(self, message: str) -> None:
        """Tell a person what happens; run id and stage stand before it."""
        logger.info("%s %s %s", self.run_id, self._stage, message)

    def warn(self, message: str) -> None:
        """Tell a person, and keep it in the stage's row of ``runs``."""
        self._warnings.append(message)
        logger.warning("%s %s %s", self.run_id, self._stage, message)

    def refuse(self, message: str) -> None:
        """Warn that the gate refused: under --strict the command ends with exit code 5 after its last stage."""
        self.refusals.append(message)
        self.warn(message)

    def execute(self, stage: "Stage") -> Outcome:
        """Run a stage, or skip it if it has finished for the same inputs, config and package version.

        Raises:
            InputError: the stage before has not finished for this run date.
        """
        self._stage, self._warnings = stage.name, []
        began, started_at = time.monotonic(), datetime.now(UTC)
        self.warehouse.create(dict.fromkeys((*stage.reads, *stage.writes)))
        identity = _Identity(self._inputs_of(stage), stage_hash(self.config, stage.name), __version__)
        finished = self._finished.get(stage.name)
        if finished == identity and not (self.rebuild or self.replay_quarantine):
            outcome = Outcome(stage=stage.name, status="skipped", seconds=time.monotonic() - began)
            self.log("skipped: already finished for the same inputs, config and version")
        else:
            self.log("started")
            crash_point(f"{stage.name}:start")
            inputs = self._versions(stage.reads)
            try:
                counters = stage.body(self)
            except Exception as error:
                message = str(error).splitlines()[0] if str(error) else type(error).__name__
                failed = Outcome(stage=stage.name, status="failed", seconds=time.monotonic() - began, message=message)
                self._record(failed, identity, started_at, inputs, [])
                raise
            outcome = Outcome(
                stage=stage.name, status="finished", seconds=time.monotonic() - began, counters=counters,
                message="; ".join(self._warnings) or None,
            )  # fmt: skip
            crash_point(f"{stage.name}:before_record")
            self._record(outcome, identity, started_at, inputs, self._versions(stage.writes))
            self._finished[stage.name] = identity
            numbers = ", ".join(f"{key} {value:,}" for key, value in counters.items())
            self.log(f"finished in {outcome.seconds:.1f} s: {numbers}")
        self.outcomes.append(outcome)
        return outcome

    def record_skips(self) -> None:
        """Write the rows of the skipped stages, in one commit."""
        skipped = [outcome for outcome in self.outcomes if outcome.status == "skipped"]
        now = datetime.now(UTC)
        rows = [self._row(outcome, self._finished[outcome.stage], now, [], []) for outcome in skipped]
        if rows:
            self.warehouse.append(RUNS, self.spark.createDataFrame(rows, RUNS.schema))

    @cached_property
    def _finished(self) -> dict[str, "_Identity"]:
        """What each stage last finished with for this run date."""
        self.warehouse.create([RUNS])
        done = self.warehouse.read(RUNS).where(
            (F.col("run_date") == F.lit(self.run_date)) & (F.col("status") == "finished")
        )
        rows = done.select("stage", "input_hash", "config_hash", "code_version", "finished_at").collect()
        return {
            row["stage"]: _Identity(row["input_hash"], row["config_hash"], row["code_version"])
            for row in sorted(rows, key=lambda row: row["finished_at"])
        }

    def _inputs_of(self, stage: "Stage") -> str:
        """Hash what the stage can see: its own fingerprint, and how the stage before it last finished."""
        parts = [stage.fingerprint(self)]
        position = STAGES.index(stage.name)
        if position:
            before = self._finished.get(STAGES[position - 1])
            if before is None:
                raise InputError(
                    f"table runs: {STAGES[position - 1]} has not finished for run date {self.run_date}, "
                    f"wanted by {stage.name}; run it first, or jobs/nightly.py"
                )
            parts += [before.input_hash, before.config_hash, before.code_version]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _versions(self, wanted: tuple[Table, ...]) -> list[tuple[str, int]]:
        return [(table.name, self.warehouse.version(table)) for table in wanted]

    def _record(
        self,
        outcome: Outcome,
        identity: "_Identity",
        started_at: datetime,
        inputs: list[tuple[str, int]],
        outputs: list[tuple[str, int]],
    ) -> None:
        row = self._row(outcome, identity, started_at, inputs, outputs)
        self.warehouse.append(RUNS, self.spark.createDataFrame([row], RUNS.schema))

    def _row(
        self,
        outcome: Outcome,
        identity: "_Identity",
        started_at: datetime,
        inputs: list[tuple[str, int]],
        outputs: list[tuple[str, int]],
    ) -> Row:
        return Row(
            run_id=self.run_id, run_date=self.run_date, stage=outcome.stage, status=outcome.status,
            started_at=started_at, finished_at=datetime.now(UTC), inputs=inputs, outputs=outputs,
            input_hash=identity.input_hash, config_hash=identity.config_hash, code_version=identity.code_version,
            counters=sorted(outcome.counters.items()), message=outcome.message,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Identity:
    """A stage that finished with this need not run again."""

    input_hash: str
    config_hash: str
    code_version: str


def _nothing_else(run: Run) -> str:
    """Return the fingerprint of a stage that sees only what the stage before it wrote."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A job's one stage.

    Attributes:
        name: the job's name, everywhere.
        body: reads tables, calls the library once, writes tables; returns what it counted.
        reads: the tables it reads.
        writes: the tables it writes.
        fingerprint: text that changes with anything the stage can see beyond what the stage before it wrote.
    """

    name: str
    body: Callable[[Run], dict[str, int]]
    reads: tuple[Table, ...]
    writes: tuple[Table, ...]
    fingerprint: Callable[[Run], str] = _nothing_else


@contextmanager
def open_run(command: Command) -> Iterator[Run]:
    """Take the lock, start Spark or use the active session, and end what was started here.

    Raises:
        PublishError: another run holds the warehouse.
        SetupError: the warehouse cannot be written, or Spark or Delta is missing.
    """
    config = command.config
    run_id = f"{command.run_date:%Y%m%d}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    conf = {key: str(value) for key, value in config.spark.conf.items()}
    with ExitStack() as stack:
        in_catalog = is_catalog(config.warehouse)
        if not in_catalog and "://" not in config.warehouse:
            # Before Spark starts, so that a second run ends within seconds.
            stack.enter_context(folder_lock(Path(config.warehouse), run_id))
        spark, started_here = start_spark("intentrec", config.spark.master, conf, config.spark.jars)
        if started_here:
            stack.callback(spark.stop)
        if in_catalog:
            stack.enter_context(catalog_lease(spark, config.warehouse, run_id))
        yield Run(command, spark, run_id)


def log_to_terminal() -> None:
    """Write the package's log lines to standard output, with the time; called by jobs, never by the library."""
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
