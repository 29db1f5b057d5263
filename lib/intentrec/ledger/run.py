"""A run: its stages, what is skipped, and the rows of ``runs``."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from intentrec import __version__
from intentrec.config import STAGES, Config, Cutoff, config_hash, cutoff_of, is_catalog, stage_hash
from intentrec.crashes import commit_points, crash_point, file_points, layout_points
from intentrec.io import Warehouse
from intentrec.ledger.chain import Identity, input_hash, refuse_broken_chain
from intentrec.tables import RUNS, Table

logger = logging.getLogger("intentrec")
_UNKNOWN = "unknown"  # the input hash of a stage that failed before its inputs were known
_REFUSED = "refused"  # the counter that marks a stage's row whose message is what the gate said


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What stood on the command line."""

    config: Config
    run_date: date
    strict: bool = False
    rebuild: bool = False
    debug: bool = False
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
        self.debug = command.debug
        self.replay_quarantine = command.replay_quarantine
        self.run_id = run_id
        self.started_at = datetime.now(UTC)
        self.spark = spark
        self.cutoff: Cutoff = cutoff_of(command.config)
        location = command.config.warehouse
        self.warehouse = Warehouse(spark, location, in_catalog=is_catalog(location), run_id=run_id)
        self.warehouse.signature = f"run {run_id}, config {config_hash(command.config)}"
        self.outcomes: list[Outcome] = []
        self.refusals: list[str] = []
        self.check_lock: Callable[[], None] = _always_held
        self._stage = "start"
        self._warnings: list[str] = []

    def log(self, message: str) -> None:
        """Tell a person what happens; run id and stage stand before it."""
        logger.info("%s %s %s", self.run_id, self._stage, message)

    def warn(self, message: str) -> None:
        """Tell a person, and keep it in the stage's row of ``runs``."""
        self._warnings.append(message)
        logger.warning("%s %s %s", self.run_id, self._stage, message)

    def enter(self, name: str) -> None:
        """Begin a stage or another job: its name stands before what is told, its warnings are its own."""
        self._stage, self._warnings = name, []

    def warned(self) -> str | None:
        """Return the warnings since then, as they are kept in ``runs``."""
        return "; ".join(self._warnings) or None

    def refuse(self, message: str) -> None:
        """Warn that the gate refused: under --strict the command ends with exit code 5 after its last stage."""
        self.refusals.append(message)
        self.warn(message)

    def execute(self, stage: "Stage") -> Outcome:
        """Run a stage, or skip it if it has finished for the same inputs, config and package version.

        A skipped stage that refused when it ran refuses again.

        Raises:
            InputError: the stage before has not finished for this run date.
            PublishError: the warehouse's lease was lost.
        """
        self.enter(stage.name)
        self.check_lock()
        self.warehouse.create(dict.fromkeys((*stage.reads, *stage.writes)))
        attempt = _Attempt(Identity(_UNKNOWN, stage_hash(self.config, stage.name), __version__))
        try:
            attempt.identity = replace(attempt.identity, input_hash=self._inputs_of(stage))
            if self._finished.get(stage.name) == attempt.identity and not (self.rebuild or self.replay_quarantine):
                self.log("skipped: already finished for the same inputs, config and version")
                refusal = self._refusal(stage.name)
                if refusal is not None:
                    self.refuse(refusal)
                outcome = Outcome(stage=stage.name, status="skipped", seconds=attempt.seconds(), message=refusal)
            else:
                outcome = self._run(stage, attempt)
        except Exception as error:
            self._record_failure(stage, attempt, error)
            raise
        self.outcomes.append(outcome)
        return outcome

    def _run(self, stage: "Stage", attempt: "_Attempt") -> Outcome:
        self.log("started")
        crash_point(f"{stage.name}:start")
        attempt.inputs = self._versions((*dict.fromkeys((*stage.reads, *stage.writes)),))
        if stage.name in self._finished:
            # A repeated stage that is killed half-way must not count as finished with what it had before.
            killed = Outcome(stage=stage.name, status="failed", seconds=0.0, message="did not end: the run was killed")
            self._record(killed, attempt)
            del self._finished[stage.name]
        refused_before = len(self.refusals)
        counters = stage.body(self)
        if len(self.refusals) > refused_before:
            counters = {**counters, _REFUSED: len(self.refusals) - refused_before}
        self.check_lock()
        attempt.outputs = self._versions(stage.writes)
        outcome = Outcome(
            stage=stage.name, status="finished", seconds=attempt.seconds(), counters=counters, message=self.warned()
        )
        crash_point(f"{stage.name}:before_record")
        self._record(outcome, attempt)
        crash_point(f"{stage.name}:after_record")
        self._finished[stage.name] = attempt.identity
        numbers = ", ".join(f"{key} {value:,}" for key, value in counters.items())
        self.log(f"finished in {outcome.seconds:.1f} s: {numbers}")
        return outcome

    def record_skips(self) -> None:
        """Write the rows of the skipped stages, in one commit."""
        skipped = [outcome for outcome in self.outcomes if outcome.status == "skipped"]
        rows = [self._row(outcome, _Attempt(self._finished[outcome.stage])) for outcome in skipped]
        if rows:
            self.warehouse.append(RUNS, self.spark.createDataFrame(rows, RUNS.schema))

    @cached_property
    def _latest(self) -> dict[str, Row]:
        """The row that each stage last left for this run date, finished or failed."""
        self.warehouse.create([RUNS])
        tried = self.warehouse.read(RUNS).where(
            (F.col("run_date") == F.lit(self.run_date))
            & F.col("status").isin("finished", "failed")
            & (F.col("input_hash") != _UNKNOWN)  # such a stage failed before it wrote anything
        )
        return {
            row["stage"]: row for row in sorted(tried.collect(), key=lambda row: row["finished_at"].astimezone(UTC))
        }

    @cached_property
    def _finished(self) -> dict[str, Identity]:
        """What each stage last finished with for this run date; without those that failed since."""
        return {
            stage: Identity(row["input_hash"], row["config_hash"], row["code_version"])
            for stage, row in self._latest.items()
            if row["status"] == "finished"
        }

    def _refusal(self, stage: str) -> str | None:
        """Return what the gate said when a finished stage ran; None: it did not refuse."""
        row = self._latest[stage]
        return row["message"] if any(pair["key"] == _REFUSED for pair in row["counters"]) else None

    def _inputs_of(self, stage: "Stage") -> str:
        """Hash what the stage can see: its own fingerprint, and how the stage before it last finished."""
        refuse_broken_chain(stage.name, self._finished, self.run_date, __version__)
        position = STAGES.index(stage.name)
        before = self._finished[STAGES[position - 1]] if position else None
        return input_hash(stage.fingerprint(self), before)

    def _versions(self, wanted: tuple[Table, ...]) -> list[tuple[str, int]]:
        return [(table.name, self.warehouse.version(table)) for table in wanted]

    def _record_failure(self, stage: "Stage", attempt: "_Attempt", error: Exception) -> None:
        message = next(iter(str(error).strip().splitlines()), type(error).__name__)
        failed = Outcome(stage=stage.name, status="failed", seconds=attempt.seconds(), message=message)
        self.outcomes.append(failed)
        try:
            self._record(failed, attempt)
        except Exception as second:  # noqa: BLE001 a full disk or a dead JVM: what ended the stage is what the user must read
            logger.debug("table runs: the failure was not recorded: %s", second)

    def _record(self, outcome: Outcome, attempt: "_Attempt") -> None:
        rows = self.spark.createDataFrame([self._row(outcome, attempt)], RUNS.schema)
        if attempt.recorded:
            self.warehouse.replace(RUNS, rows, run_id=self.run_id, stage=outcome.stage)
        else:
            self.warehouse.append(RUNS, rows)
        attempt.recorded = True

    def _row(self, outcome: Outcome, attempt: "_Attempt") -> Row:
        identity, now, last = attempt.identity, datetime.now(UTC), self._latest.get(outcome.stage)
        return Row(
            run_id=self.run_id, run_date=self.run_date, stage=outcome.stage, status=outcome.status,
            started_at=attempt.started_at,
            finished_at=now if last is None else just_after(last["finished_at"].astimezone(UTC), now),
            inputs=attempt.inputs, outputs=attempt.outputs,
            input_hash=identity.input_hash, config_hash=identity.config_hash, code_version=identity.code_version,
            counters=sorted(outcome.counters.items()), message=outcome.message,
        )  # fmt: skip


def just_after(last: datetime, now: datetime) -> datetime:
    """Return now, or where the clock was set back the first instant after what was written last; aware."""
    return max(now, last + timedelta(microseconds=1))


def _always_held() -> None:
    """Pass: a folder's lock cannot be lost while the process lives."""


@dataclass(slots=True)
class _Attempt:
    """What is known of a stage's execution so far."""

    identity: Identity
    inputs: list[tuple[str, int]] = field(default_factory=list)
    outputs: list[tuple[str, int]] = field(default_factory=list)
    recorded: bool = False  # its row of `runs` stands already
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        return time.monotonic() - self.began


def _nothing_else(_run: Run) -> str:
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
        remembers: the tables with which it remembers what their rows were made with, on any night that brings some.
        files: what it puts in its place as a file or folder: model, checkpoint.
    """

    name: str
    body: Callable[[Run], dict[str, int]]
    reads: tuple[Table, ...]
    writes: tuple[Table, ...]
    fingerprint: Callable[[Run], str] = _nothing_else
    remembers: tuple[Table, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def crash_points(self) -> list[str]:
        """List the places where the environment can end the process: see ``intentrec.crashes``."""
        around = [point for table in self.writes for point in commit_points(table.name)]
        around += [point for table in self.remembers for point in layout_points(table.name)]
        around += [point for what in self.files for point in file_points(what)]
        return [f"{self.name}:start", *around, f"{self.name}:before_record", f"{self.name}:after_record"]
