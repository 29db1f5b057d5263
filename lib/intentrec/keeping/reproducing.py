"""A past night is built again in a warehouse of its own, from the versions that its run found, and compared."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.errors import GateError, InputError, SchemaError
from intentrec.io.upkeep import storage_of
from intentrec.keeping.artifacts import REPRODUCED
from intentrec.keeping.past import PastNight, past_night
from intentrec.keeping.receipts import write_receipt
from intentrec.ledger import Command, Run, Stage, champion_of, get_model, model_folder, open_run, start_folder
from intentrec.sessions import Built, settings_of
from intentrec.tables import EXAMPLES, HISTORIES, MODELS, RUNS, SESSIONS, Table

_MADE_ANEW = (SESSIONS, EXAMPLES, HISTORIES)  # of the night alone, or from nothing
_UNKNOWN_GENERATION = -1  # of no EVENTS table: build_sessions builds all sessions
_PLACES = ("config",)  # of a model: says where its own run's tables lay; what decides it was compared by its hashes


@dataclass(frozen=True, slots=True)
class Compared:
    """A table of the night, as it was and as it was built again; ``differing`` counts rows that one of both lacks."""

    table: str
    rows: int
    rows_again: int
    differing: int


def reproduce_night(stages: Sequence[Stage], command: Command, run_id: str) -> None:
    """Build the night of a run again under ``<artifacts>/reproduced/<run id>``, and tell which tables are equal.

    What ingest_events wrote is taken over at the versions that the other stages read: raw logs are not asked again.

    Args:
        stages: of a night, in order.
        command: the run date, and the config with the warehouse that holds the run.
        run_id: as in ``runs``.

    Raises:
        InputError: the run is no whole night, or versions that it found are gone.
        ConfigError: the config of the night is not known.
        SetupError: another version of the package made it.
        GateError: a table differs.
    """
    with open_run(command, locked=False) as past:
        past.enter("reproduce")
        night = past_night(past, run_id, command.config)
        place = Path(str(command.config.artifacts), REPRODUCED, run_id)
        shutil.rmtree(place, ignore_errors=True)
        places = {"warehouse": str(place / "warehouse"), "artifacts": str(place / "artifacts")}
        config = night.config.model_copy(update={**places, "spark": command.config.spark})
        with open_run(Command(config=config, run_date=night.run_date, debug=command.debug)) as again:
            found = Run(command, again.spark, past.run_id)  # one session for both: their rows meet
            _bring(found, night, again, stages[1:])
            for stage in stages[1:]:
                again.execute(stage)
            again.enter("reproduce")
            compared = [_compare(found, night, again, written) for written in _written(stages[1:]).items()]
            for each in compared:
                again.log(f"{each.table}: {_told(each)}")
            facts = {each.table: {"rows": each.rows, "differing": each.differing} for each in compared}
            again.log(f"receipt: {write_receipt(again, 'comparisons', {'reproduced': run_id, 'tables': facts})}")
        different = [each for each in compared if each.differing]
        if different:
            told = "; ".join(f"{each.table}: {_told(each)}" for each in different)
            raise GateError(f"run {run_id} is not what the same inputs give again: {told}. Compare with {place}")
        past.log(f"run {run_id} was built again in {place}: all {len(compared)} tables are equal")


def _told(each: Compared) -> str:
    if not each.differing:
        return f"equal, {each.rows:,} rows"
    return f"{each.differing:,} rows differ, {each.rows:,} then and {each.rows_again:,} now"


def _wanted(stages: Sequence[Stage], night: PastNight) -> list[tuple[Table, str, Column]]:
    """List what stages read and do not make anew, with the first of them to find it, and the rows that are needed.

    What a stage writes is brought as the nights before left it: models, decisions, the champion's numbers.
    """
    tonight, until = F.col("run_date") == F.lit(night.run_date), F.col("run_date") <= F.lit(night.run_date)
    written = {table for stage in stages for table in stage.writes}
    wanted = []
    for table in dict.fromkeys(table for stage in stages for table in stage.reads if table not in _MADE_ANEW):
        first = next(stage.name for stage in stages if table in (*stage.reads, *stage.writes))
        if table is MODELS:
            rows = ~tonight  # a decision before may name a model of a later night
        elif table in written:
            rows = F.col("run_date") < F.lit(night.run_date)
        else:
            rows = until if "run_date" in table.schema.names else F.lit(True)  # drift is told from the champion's night
        wanted.append((table, first, rows))
    return wanted


def _bring(past: Run, night: PastNight, again: Run, stages: Sequence[Stage]) -> None:
    """Copy what the stages after ingest_events found, the champion's weights, and what the ledger says of ingest."""
    wanted = _wanted(stages, night)
    pinned = [(table, _pinned(past, table, night.found(stage, table.name), rows)) for table, stage, rows in wanted]
    again.warehouse.create([*(table for table, _ in pinned), SESSIONS, RUNS])
    for table, rows in pinned:
        again.warehouse.append(table, rows)
    ingested = night.stages["ingest_events"]
    again.warehouse.append(RUNS, again.spark.createDataFrame([ingested], RUNS.schema))
    built = Built(settings_of(night.config), night.until, 0, _UNKNOWN_GENERATION)
    again.warehouse.set_layout(SESSIONS, built.text())
    _bring_champion(past, again)


def _bring_champion(past: Run, again: Run) -> None:
    champion = champion_of(again)
    if champion is None:
        return
    folders = {start_folder(past, champion.model_id): start_folder(again, champion.model_id)}
    for model_id in (champion.model_id, champion.serving_model_id):
        folders[get_model(past, model_id).folder] = model_folder(again, model_id)
    for then, now in folders.items():
        if not then.is_dir():
            raise InputError(f"{then}: is gone, wanted for the champion's weights; restore it from a copy")
        shutil.copytree(then, now)


def _written(stages: Iterable[Stage]) -> dict[Table, str]:
    """Return every table that stages write, with the last stage that does."""
    return {table: stage.name for stage in stages for table in stage.writes}


def _pinned(past: Run, table: Table, version: int, rows: Column) -> DataFrame:
    """Read rows of a past version.

    Raises:
        InputError: files that hold them, or the log that names these, are gone.
    """
    try:
        found = past.warehouse.read(table, version).where(rows)
        files = found.inputFiles()
    except (SchemaError, AnalysisException, Py4JJavaError):
        raise _gone(table, version) from None
    place = past.warehouse.place_of(table).removeprefix("file:").rstrip("/")
    present = storage_of(past.warehouse, table).sizes()
    if any(file.partition(f"{place}/")[2] not in present for file in files):
        raise _gone(table, version)
    return found


def _gone(table: Table, version: int) -> InputError:
    return InputError(
        f"table {table.name}: version {version}, which the run found or left, is gone: maintain_tables keeps old "
        "versions for maintenance.retention_hours, erase_users none. Only later nights can be built again"
    )


def _compare(past: Run, night: PastNight, again: Run, written: tuple[Table, str]) -> Compared:
    table, stage = written
    columns = [name for name in table.schema.names if name not in table.provenance and name not in _PLACES]
    tonight = F.col("run_date") == F.lit(night.run_date) if "run_date" in table.schema.names else F.lit(True)
    then = _pinned(past, table, night.left(stage, table.name), tonight)
    now = again.warehouse.read(table).where(tonight)
    if not table.partition and "run_id" in table.schema.names:  # models and decisions of other runs of this night stay
        key = [name for name in table.key if name not in table.provenance]
        then = then.join(F.broadcast(now.select(*key)), key, "left_semi").select(*then.columns)
    rows, rows_again = then.count(), now.count()
    lacking = then.select(*columns).exceptAll(now.select(*columns)).count()
    return Compared(table.name, rows, rows_again, max(lacking, lacking + rows_again - rows))
