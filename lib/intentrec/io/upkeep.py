"""What keeps tables small and clean: rows leave, files are merged, old versions go. Each change is one commit."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from operator import and_

from py4j.protocol import Py4JError
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from intentrec.io.altering import remove_property, set_property
from intentrec.io.conditions import Values, condition
from intentrec.io.storage import Storage
from intentrec.io.warehouse import Warehouse
from intentrec.tables import Table

_CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"
_LOGGED = "spark.databricks.delta.vacuum.logging.enabled"
# While a table is purged: a checkpoint with every commit, in which no removed file stands any more.
_PURGING = {"delta.checkpointInterval": "1", "delta.deletedFileRetentionDuration": "interval 0 hours"}
_LOG = "_delta_log/"


@dataclass(frozen=True, slots=True)
class Size:
    """What a table takes.

    Attributes:
        files: of the newest version.
        bytes: of these files.
        stored_files: all that lie below its folder, old versions and log included.
        stored_bytes: of these.
    """

    files: int
    bytes: int
    stored_files: int
    stored_bytes: int


def size_of(warehouse: Warehouse, table: Table) -> Size:
    """Measure a table."""
    detail = warehouse.delta(table).detail().select("numFiles", "sizeInBytes").first()
    assert detail is not None
    stored = storage_of(warehouse, table).sizes()
    return Size(detail["numFiles"], detail["sizeInBytes"], len(stored), sum(stored.values()))


def storage_of(warehouse: Warehouse, table: Table) -> Storage:
    """Return the files below the table's location."""
    return Storage(warehouse.spark, warehouse.place_of(table))


def remove_rows(warehouse: Warehouse, table: Table, gone: DataFrame) -> None:
    """Delete the rows that have the values of one of ``gone``, in one commit; null equals null.

    The values never stand in the table's log: a deletion by condition would write them there.

    Args:
        warehouse: of the table.
        table: what to change.
        gone: distinct rows of some of the table's columns.
    """
    same = [F.col(f"held.{name}").eqNullSafe(F.col(f"gone.{name}")) for name in gone.columns]
    merge = warehouse.delta(table).alias("held").merge(gone.alias("gone"), reduce(and_, same))
    with warehouse.commit_to(table, "removal"):
        merge.whenMatchedDelete().execute()


def change_rows(warehouse: Warehouse, table: Table, found: DataFrame, values: Mapping[str, Column]) -> None:
    """Set columns of the rows that a row of ``found`` names, in one commit.

    Args:
        warehouse: of the table.
        table: what to change.
        found: distinct values of some of the table's columns, and further columns that no table has.
        values: column: what to set it to, from columns of ``held`` (the row) and ``found``.
    """
    names = [name for name in found.columns if name in table.schema.names]
    same = [F.col(f"held.{name}").eqNullSafe(F.col(f"found.{name}")) for name in names]
    merge = warehouse.delta(table).alias("held").merge(found.alias("found"), reduce(and_, same))
    with warehouse.commit_to(table, "change"):
        merge.whenMatchedUpdate(set=dict(values)).execute()


def cluster(warehouse: Warehouse, table: Table, column: str, partitions: Mapping[str, Values]) -> None:
    """Write the files of some partitions anew, few and ordered by a column, in one commit; no row changes."""
    with warehouse.commit_to(table, "cluster"):
        warehouse.delta(table).optimize().where(condition(partitions)).executeZOrderBy(column)


def vacuum(warehouse: Warehouse, table: Table, hours: float) -> None:
    """Remove the files that no version of the last ``hours`` needs; no commit, so it can run beside a writer."""
    conf = warehouse.spark.conf
    conf.set(_LOGGED, "false")
    # Delta wants 168 hours at least; the caller knows from the lock and the ledger who reads which version.
    conf.set(_CHECK, "false")
    try:
        warehouse.delta(table).vacuum(hours)
    finally:
        conf.set(_CHECK, "true")


def purge(warehouse: Warehouse, table: Table) -> list[str]:
    """Remove every file of every version before the newest, and the log before it: it names least and greatest values.

    Afterwards the table holds its rows as before, and no older version can be read, nor changes since one.

    Returns:
        The files that are gone, below the table's location, sorted.
    """
    storage = storage_of(warehouse, table)
    before = storage.sizes()
    spark = warehouse.spark
    warehouse.alter(table, "purge", *(set_property(spark, key, value) for key, value in _PURGING.items()))
    kept = warehouse.version(table)
    vacuum(warehouse, table, 0)
    declared = table.properties
    back = [
        set_property(spark, key, declared[key]) if key in declared else remove_property(spark, key) for key in _PURGING
    ]
    warehouse.alter(table, "purged", *back)
    after = storage.sizes()
    assert any(name.startswith(f"{_LOG}{kept:020}.checkpoint") for name in after), "no checkpoint: the log must stay"
    storage.remove(name for name in after if _log_version(name) < kept)
    _forget_logs(spark)
    return sorted(before.keys() - storage.sizes().keys())


def _forget_logs(spark: SparkSession) -> None:
    """Let Spark read the logs from the beginning: files of them that it remembers were removed."""
    java = spark.sparkContext._jvm
    assert java is not None
    with suppress(Py4JError, TypeError):  # a platform's own Delta has it elsewhere
        java.org.apache.spark.sql.delta.DeltaLog.clearCache()


def _log_version(name: str) -> float:
    """Return the version that a file of the log belongs to, checksums and hidden ones too; others last for ever."""
    digits = name.removeprefix(_LOG).lstrip(".")[:20] if name.startswith(_LOG) else ""
    return int(digits) if len(digits) == 20 and digits.isdigit() else float("inf")
