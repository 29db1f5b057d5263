"""A job outside of the night: it has no place in its order, is never skipped, and leaves a row in ``runs``."""

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.sql import Row

from intentrec import __version__
from intentrec.crashes import crash_point
from intentrec.ledger.command import command_of, guarded, parser_of
from intentrec.ledger.opening import open_run
from intentrec.ledger.run import Run
from intentrec.tables import RUNS


def _no_flags(_parser: argparse.ArgumentParser) -> None:
    """Add nothing: the job has the flags of all jobs alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A job outside of the night.

    Attributes:
        name: the job's name, also in ``runs.stage``.
        body: does it; returns what it counted.
        flags: adds the job's own flags to the parser.
        alone: whether it holds the warehouse's lock from beginning to end; else it takes the lock itself, step by step.
    """

    name: str
    body: Callable[[Run, argparse.Namespace], dict[str, int]]
    flags: Callable[[argparse.ArgumentParser], None] = _no_flags
    alone: bool = True


def run_errand(errand: Errand, argv: Sequence[str] | None = None) -> int:
    """Run the job with the flags of its command line; return the exit code (argparse itself exits with 2)."""
    parser = parser_of(errand.name)
    errand.flags(parser)
    flags = parser.parse_args(argv)
    return guarded(lambda: _perform(errand, flags), flags.debug)


def _perform(errand: Errand, flags: argparse.Namespace) -> None:
    with open_run(command_of(flags), locked=errand.alone) as run:
        run.enter(errand.name)
        crash_point(f"{errand.name}:start")
        counters = errand.body(run, flags)
        crash_point(f"{errand.name}:before_record")
        if errand.alone:
            record_errand(run, errand.name, counters)
        crash_point(f"{errand.name}:after_record")
        numbers = ", ".join(f"{key} {value:,}" for key, value in counters.items())
        run.log(f"finished in {(datetime.now(UTC) - run.started_at).total_seconds():.1f} s: {numbers}")


def record_errand(run: Run, name: str, counters: dict[str, int]) -> None:
    """Append the row of a job that has ended well."""
    values = json.dumps(run.config.model_dump(mode="json"), sort_keys=True)
    row = Row(
        run_id=run.run_id, run_date=run.run_date, stage=name, status="finished", started_at=run.started_at,
        finished_at=datetime.now(UTC), inputs=[], outputs=[], input_hash="",
        config_hash=hashlib.sha256(values.encode()).hexdigest(), code_version=__version__,
        counters=sorted(counters.items()), message=run.warned(),
    )  # fmt: skip
    run.warehouse.create([RUNS])
    run.warehouse.append(RUNS, run.spark.createDataFrame([row], RUNS.schema))
