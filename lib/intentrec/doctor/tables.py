"""The tables that are there already: schemas, versions, what their rows were made with, row groups against ranks."""

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from intentrec import __version__
from intentrec.config import Config
from intentrec.doctor.findings import Finding, failed, misconfigured, passed, warned
from intentrec.errors import ConfigError, IntentrecError
from intentrec.events import compare_layout as compare_events
from intentrec.events import layout_of
from intentrec.io import Warehouse
from intentrec.sessions import Built, settings_of
from intentrec.sessions import compare_layout as compare_sessions
from intentrec.tables import ALL, EVENTS, EXAMPLES, RUNS, SESSIONS
from intentrec.tables.evolution import additions

_VECTORS = "delta.enableDeletionVectors"


def check_tables(warehouse: Warehouse, config: Config) -> Iterator[Finding]:
    """Read every table's newest schema as the jobs do; a table that is not there yet is no fault."""
    there, grow, faults = [], [], 0
    for table in ALL:
        try:
            if warehouse.exists(table):
                there.append(table)
                missing = additions(warehouse.delta(table).toDF().schema, table.schema)
                if missing and all(addition.field.nullable for addition in missing):
                    grow.append(table.name)  # of an earlier version: the next night adds the columns
                else:
                    warehouse.read(table)
        except IntentrecError as error:
            faults += 1
            remedy = "point `warehouse` at a place of this project's, or restore the table (RESTORE TABLE, a backup)"
            yield failed("tables", str(error), remedy)
    if not there:
        yield passed("tables", f"none yet in {warehouse.location}: the first night makes them")
        return
    if grow:
        said = f"{', '.join(grow)}: of an earlier version, without some columns of this one"
        yield warned("tables", said, "nothing: the next night adds the columns; the rest is looked at after it")
    if faults or grow:
        return
    yield passed("tables", f"{len(there)} of {len(ALL)} are there, with the columns of this version")
    yield from _layouts(warehouse, config)
    if EXAMPLES in there:
        yield from _examples(warehouse, config.training.workers)
    if RUNS in there:
        yield _code_version(warehouse)


def _layouts(warehouse: Warehouse, config: Config) -> Iterator[Finding]:
    """Compare the config with what the tables were filled with: gap, time zone, mapping."""
    try:
        events = warehouse.layout(EVENTS) if warehouse.exists(EVENTS) else None
        if events is not None:
            compare_events(events, layout_of(config.input.events, 0))
        built = Built.from_text(warehouse.layout(SESSIONS)) if warehouse.exists(SESSIONS) else None
        if built is not None:
            compare_sessions(built, settings_of(config))
    except ConfigError as error:
        yield misconfigured("tables", str(error), "restore the value, or run the night with --rebuild")
        return
    yield passed("tables", "were filled with the gap, time zone and mapping of this config")


def _examples(warehouse: Warehouse, workers: int) -> Iterator[Finding]:
    if warehouse.properties(EXAMPLES).get(_VECTORS) == "true":
        found = f"examples has {_VECTORS}: deleted rows would be trained on, they lie beside the files"
        yield failed("tables", found, "ALTER TABLE ... SET TBLPROPERTIES (false), then REORG TABLE ... APPLY (PURGE)")
    examples = warehouse.read(EXAMPLES)
    newest = examples.agg(F.max("run_date")).collect()[0][0]
    if newest is None:
        yield passed("row groups", "no examples yet")
        return
    training = (F.col("run_date") == F.lit(newest)) & (F.col("split") == "train")
    groups = [_num_row_groups(file) for file in examples.where(training).inputFiles()]
    if any(number is None for number in groups):
        yield passed("row groups", "lie in storage elsewhere: train_model counts them")
        return
    total = sum(number or 0 for number in groups)
    if total < workers:
        remedy = f"set training.workers to {max(1, total)}, or give it more history"
        yield warned("row groups", f"{total} of {newest} for {workers} ranks: the others would read nothing", remedy)
    else:
        yield passed("row groups", f"{total} of {newest} for {workers} rank{'s' * (workers > 1)}")


def _num_row_groups(address: str) -> int | None:
    parts = urlsplit(address)
    if parts.scheme not in ("", "file"):
        return None
    try:
        return int(pq.read_metadata(unquote(parts.path)).num_row_groups)
    except (OSError, pa.ArrowException):
        return 0


def _code_version(warehouse: Warehouse) -> Finding:
    runs = warehouse.read(RUNS)
    last = runs.orderBy(F.desc("finished_at")).select("code_version").first()
    version = __version__ if last is None else str(last["code_version"])
    if _numbers(version) > _numbers(__version__):
        remedy = f"install {version} or later: schemas only grow, but an older code does not fill the new columns"
        return warned("version", f"the last night was written by {version}, this is {__version__}", remedy)
    return passed("version", f"{__version__}; the last night was written by {version}")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]
