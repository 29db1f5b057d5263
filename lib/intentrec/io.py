"""The only module that reads or writes tables (Delta)."""

import os
import re
import signal
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from delta import DeltaTable
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F

from intentrec import tables
from intentrec.errors import InputError, SchemaError
from intentrec.tables import Table

CRASH_VARIABLE = "INTENTREC_CRASH_AT"
_LAYOUT = "intentrec.layout"
_Value = date | int | str
_Values = _Value | Sequence[_Value]


class Warehouse:
    """The tables of one folder, or of one catalog.schema.

    Attributes:
        spark: the session that reads and writes.
        location: folder or catalog.schema, as in the config.
        run_id: stands in the user metadata of every commit.
    """

    def __init__(self, spark: SparkSession, location: str, *, in_catalog: bool, run_id: str = "none") -> None:
        """Name the place; nothing is read or made yet."""
        self.spark = spark
        self.location = location
        self.run_id = run_id
        self._in_catalog = in_catalog

    def create(self, wanted: Iterable[Table] = tables.ALL) -> None:
        """Make what is missing, with comments, constraints and properties; check what exists.

        Raises:
            SchemaError: a table of that name exists and is not ours.
        """
        if self._in_catalog:
            catalog, schema = self.location.split(".")
            self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS `{catalog}`.`{schema}`")  # noqa: S608 checked by is_catalog
        for table in wanted:
            if self.exists(table):
                self.read(table)
            else:
                self._create(table)

    def _create(self, table: Table) -> None:
        builder = DeltaTable.createIfNotExists(self.spark).comment(f"One row per {table.row}.")
        if self._in_catalog:
            builder = builder.tableName(self._name(table))
        else:
            builder = builder.location(self._path(table))
        builder = builder.addColumns(table.schema)
        if table.partition:
            builder = builder.partitionedBy(*table.partition)
        checks = {f"delta.constraints.{name}": check for name, check in table.checks.items()}
        for key, value in {**table.properties, **checks}.items():
            builder = builder.property(key, value)
        builder.execute()

    def exists(self, table: Table) -> bool:
        """Return whether there is a Delta table of this name."""
        if self._in_catalog:
            return bool(self.spark.catalog.tableExists(self._name(table)))
        if "://" not in self.location:
            return Path(self._path(table), "_delta_log").is_dir()
        return DeltaTable.isDeltaTable(self.spark, self._path(table))

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """Read a table, checked against its declaration, at ``version`` or as it is now.

        Raises:
            InputError: there is no such table.
            SchemaError: it is not ours.
        """
        if not self.exists(table):
            raise InputError(
                f"table {table.name}: not found in {self.location}, wanted the one that {table.writer} writes"
            )
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        try:
            rows = reader.table(self._name(table)) if self._in_catalog else reader.load(self._path(table))
        except AnalysisException as error:
            raise SchemaError(
                f"table {table.name}: {self.location} holds no readable Delta table: {_line(error)}"
            ) from error
        return table.conform(rows)

    def inserted_since(self, table: Table, version: int) -> DataFrame:
        """Read the rows that commits after ``version`` added; the table must have a change-data feed."""
        reader = self.spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", version + 1)
        rows = reader.table(self._name(table)) if self._in_catalog else reader.load(self._path(table))
        return table.conform(rows.where(F.col("_change_type") == "insert"))

    def version(self, table: Table) -> int:
        """Return the number of the newest commit."""
        newest = self._delta(table).history(1).select("version").first()
        assert newest is not None
        return int(newest["version"])

    def files(self, table: Table, version: int | None = None, **partition: _Values) -> list[str]:
        """List the Parquet files of whole partitions, for a reader that does not know Delta.

        They are sorted by folder, then by the task that wrote them and its count of files: the rest of a name is
        random, so that a table written again would be read in another order.
        Deletion vectors must be off on the table: such rows are deleted beside the file, not in it.
        """
        assert partition.keys() <= set(table.partition), "whole partitions only: other rows are in the files as well"
        return sorted(self.read(table, version).where(_condition(partition)).inputFiles(), key=_writing_order)

    def append(self, table: Table, rows: DataFrame) -> None:
        """Add rows in one commit."""
        self._commit(table, table.conform(rows).write.mode("append"))

    def replace(
        self, table: Table, rows: DataFrame, *, rows_per_file: int | None = None, **partition: _Values
    ) -> None:
        """Replace whole partitions in one commit; other rows stay, a second call changes nothing.

        Args:
            table: what to write.
            rows: all the rows that the partitions hold afterwards; one outside of them is refused by Delta.
            rows_per_file: most rows of a file; None: as they come.
            partition: column = value, or one of several values.
        """
        where = _condition(partition)
        writer = table.conform(rows).write.mode("overwrite").option("replaceWhere", where)
        if rows_per_file is not None:
            writer = writer.option("maxRecordsPerFile", rows_per_file)
        self._commit(table, writer)

    def delete(self, table: Table, **values: _Values) -> None:
        """Delete the rows whose columns have one of the values, in one commit."""
        crash_point(f"{table.name}:before_commit")
        self._delta(table).delete(_condition(values))
        crash_point(f"{table.name}:after_commit")

    def empty(self, table: Table) -> None:
        """Delete every row, in one commit."""
        self._delta(table).delete()

    def layout(self, table: Table) -> str | None:
        """Return the text that ``set_layout`` remembered, or nothing."""
        found = self._delta(table).detail().select("properties").first()
        assert found is not None
        text: str | None = found["properties"].get(_LAYOUT)
        return text

    def set_layout(self, table: Table, text: str) -> None:
        """Remember with the table what its rows were made with: a property, so it is one commit.

        Raises:
            ValueError: the text holds a quote or a backslash, which SQL would read.
        """
        if "'" in text or "\\" in text:
            raise ValueError(f"layout of {table.name} must be free of quotes and backslashes, is {text}")
        self.spark.sql(f"ALTER TABLE {self._sql_name(table)} SET TBLPROPERTIES ('{_LAYOUT}' = '{text}')")  # noqa: S608

    def _commit(self, table: Table, writer: DataFrameWriter) -> None:
        crash_point(f"{table.name}:before_commit")
        writer = writer.format("delta").option("userMetadata", f"run {self.run_id}")
        if self._in_catalog:
            writer.saveAsTable(self._name(table))
        else:
            writer.save(self._path(table))
        crash_point(f"{table.name}:after_commit")

    def _delta(self, table: Table) -> DeltaTable:
        if self._in_catalog:
            return DeltaTable.forName(self.spark, self._name(table))
        return DeltaTable.forPath(self.spark, self._path(table))

    def _name(self, table: Table) -> str:
        catalog, schema = self.location.split(".")
        return f"`{catalog}`.`{schema}`.`{table.name}`"

    def _path(self, table: Table) -> str:
        return f"{self.location}/{table.name}"

    def _sql_name(self, table: Table) -> str:
        return self._name(table) if self._in_catalog else f"delta.`{self._path(table)}`"


def crash_points(written: Iterable[Table]) -> list[str]:
    """List the places around the commits to these tables where ``crash_point`` can end the process."""
    return [f"{table.name}:{moment}" for table in written for moment in ("before_commit", "after_commit")]


def crash_point(name: str) -> None:
    """End the process at once if the environment names this point; for the fault checks."""
    if os.environ.get(CRASH_VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)


def _condition(values: dict[str, _Values]) -> str:
    """Write the values as SQL: dates, integers and plain words only, so that nothing can be injected."""
    assert values, "without a condition every row is meant: say so with empty()"
    parts = []
    for column, wanted in values.items():
        several = wanted if isinstance(wanted, (list, tuple)) else (wanted,)
        parts.append(f"{column} IN ({', '.join(_literal(value) for value in several)})" if several else "FALSE")
    return " AND ".join(parts)


def _literal(value: _Value) -> str:
    if isinstance(value, date):
        return f"DATE'{value.isoformat()}'"
    if isinstance(value, int):
        return str(value)
    if not re.fullmatch(r"[A-Za-z0-9_]+", value):
        raise ValueError(f"a partition value must be a plain word, is {value!r}")
    return f"'{value}'"


def _writing_order(file: str) -> tuple[str, int, int, str]:
    folder, _, name = file.rpartition("/")
    numbers = re.match(r"part-(\d+)-.*?\.c(\d+)\.", name)
    task, count = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    return folder, task, count, name


def _line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
