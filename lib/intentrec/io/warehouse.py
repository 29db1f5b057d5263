"""The tables of one folder or schema, in Delta."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

from delta import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F

from intentrec import tables
from intentrec.crashes import crash_point
from intentrec.errors import ConfigError, InputError, SchemaError
from intentrec.io.altering import add_column, alter_table, set_property
from intentrec.io.conditions import Values, condition
from intentrec.io.files import as_url, writing_order
from intentrec.tables import Table
from intentrec.tables.evolution import additions

_LAYOUT = "intentrec.layout"
_SIGNATURE = "spark.databricks.delta.commitInfo.userMetadata"
_BROKEN_LOG = ("DELTA_TRUNCATED_TRANSACTION_LOG", "MALFORMED_RECORD_IN_PARSING")


class Warehouse:
    """The tables of one folder, or of one catalog.schema.

    Attributes:
        spark: the session that reads and writes.
        location: folder or catalog.schema, as in the config.
        run_id: of the run that writes.
        signature: the user metadata of every commit.
    """

    def __init__(self, spark: SparkSession, location: str, *, in_catalog: bool, run_id: str = "none") -> None:
        """Name the place; nothing is read or made yet.

        Raises:
            ConfigError: the catalog is unknown to Spark.
        """
        self.spark = spark
        self.location = location
        self.run_id = run_id
        self.signature = f"run {run_id}"
        self._in_catalog = in_catalog
        self._in_folder = not in_catalog and "://" not in location
        self._catalog, self._schema = location.split(".") if in_catalog else ("spark_catalog", "")
        if in_catalog:
            self._use_catalog()

    def _use_catalog(self) -> None:
        """Make the catalog the current one: Delta's own interface knows names of two parts only."""
        try:
            self.spark.catalog.setCurrentCatalog(self._catalog)
        except (AnalysisException, Py4JJavaError) as error:
            raise ConfigError(
                f"warehouse: {self.location} names a catalog that Spark cannot load: {_line(error)}. Wanted "
                "spark_catalog or one set in spark.conf; a folder that looks like this is written with a slash"
            ) from error

    def create(self, wanted: Iterable[Table] = tables.ALL) -> None:
        """Make what is missing, with comments, constraints and properties; check what exists.

        A table of an earlier version gets the columns and nested fields that it lacks; its rows hold null there.

        Raises:
            SchemaError: a table of that name exists and is not ours, or something else stands in its place.
        """
        if self._in_catalog:
            self.spark.sql("CREATE SCHEMA IF NOT EXISTS IDENTIFIER(:name)", args={"name": self.location})
        for table in wanted:
            try:
                if self.exists(table):
                    self.delta(table)
                    self._add_columns(table)
                    self.read(table)
                else:
                    self._create(table)
            except AnalysisException as error:
                raise self._not_ours(table, error) from error

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
        with self.commit_to(table, "create"):
            builder.execute()

    def _add_columns(self, table: Table) -> None:
        missing = additions(self._rows(table).schema, table.schema)
        # What a later version adds may be null: a table without one of the others is not ours, as read() then says.
        if missing and all(addition.field.nullable for addition in missing):
            self.alter(table, "columns", *(add_column(self.spark, addition) for addition in missing))

    def exists(self, table: Table) -> bool:
        """Return whether there is a Delta table of this name."""
        if self._in_catalog:
            return bool(self.spark.catalog.tableExists(self._name(table)))
        if self._in_folder:
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
        return table.conform(self._rows(table, version))

    def _rows(self, table: Table, version: int | None = None) -> DataFrame:
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        try:
            return reader.table(self._name(table)) if self._in_catalog else reader.load(self._path(table))
        except (AnalysisException, Py4JJavaError) as error:
            if isinstance(error, Py4JJavaError) and not any(word in str(error) for word in _BROKEN_LOG):
                raise
            raise self._not_ours(table, error) from error

    def _not_ours(self, table: Table, error: Exception) -> SchemaError:
        return SchemaError(
            f"table {table.name}: {self.location} holds no readable Delta table of this name: {_line(error)}. "
            "Point `warehouse` at a place where intentrec may make this table, or restore it"
        )

    def inserted_since(self, table: Table, version: int) -> DataFrame:
        """Read the rows that commits after ``version`` added; the table must have a change-data feed.

        Rows that a commit wrote once more (``replace``) count as added.
        """
        if version >= self.version(table):
            return self.read(table).limit(0)  # Delta refuses to start after the newest commit
        reader = self.spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", version + 1)
        rows = reader.table(self._name(table)) if self._in_catalog else reader.load(self._path(table))
        return table.conform(rows.where(F.col("_change_type") == "insert"))

    def version(self, table: Table) -> int:
        """Return the number of the newest commit."""
        if self._in_folder:
            log = Path(self._path(table), "_delta_log")
            # The history is a Spark job: 0.25 s each, and a night asks some 40 times.
            return max(int(file.stem) for file in log.glob("[0-9]*.json") if file.stem.isdigit())
        newest = self.delta(table).history(1).select("version").first()
        assert newest is not None
        return int(newest["version"])

    def files(self, table: Table, version: int | None = None, **partition: Values) -> list[str]:
        """List the Parquet files of whole partitions as URLs, for a reader that does not know Delta.

        They are sorted by folder, then by the task that wrote them and its count of files: the rest of a name is
        random, so that a table written again would be read in another order.
        Deletion vectors must be off on the table: such rows are deleted beside the file, not in it.
        """
        assert partition.keys() <= set(table.partition), "whole partitions only: other rows are in the files as well"
        rows = self.read(table, version)
        chosen = rows.where(condition(partition)) if partition else rows
        return [as_url(path) for path in sorted(chosen.inputFiles(), key=writing_order)]

    def append(self, table: Table, rows: DataFrame) -> None:
        """Add rows in one commit."""
        self._write(table, table.conform(rows).write.mode("append"))

    def replace(self, table: Table, rows: DataFrame, **partition: Values) -> None:
        """Replace the rows with these values in one commit; other rows stay, a second call changes nothing.

        Args:
            table: what to write.
            rows: all the rows with these values afterwards; another row is refused by Delta.
            partition: column = value, or one of several values; other columns than those of the partitions are
                allowed and cost that the files concerned are written again.

        Raises:
            ValueError: there is a row although a list of values is empty.
        """
        if _is_empty(partition):
            if not rows.isEmpty():  # Delta takes FALSE for no condition and would append them
                raise ValueError(f"table {table.name}: rows were given for no value of {', '.join(partition)}")
            return
        writer = table.conform(rows).write.mode("overwrite").option("replaceWhere", condition(partition))
        self._write(table, writer)

    def claim(self, table: Table, rows: DataFrame, free: Column) -> None:
        """Write rows under their keys in one commit: where there is none yet, or the present one (`held`) is free.

        Delta refuses the later of two such commits made at the same moment.

        Args:
            table: what to write.
            rows: at most one row per key, called `claimed` in ``free``.
            free: whether the row `held` may be replaced.
        """
        same = [F.col(f"held.{column}") == F.col(f"claimed.{column}") for column in table.key]
        merge = self.delta(table).alias("held").merge(table.conform(rows).alias("claimed"), reduce(and_, same))
        with self.commit_to(table, "claim"):
            merge.whenMatchedUpdateAll(free).whenNotMatchedInsertAll().execute()

    def delete(self, table: Table, **values: Values) -> None:
        """Delete the rows whose columns have one of the values, in one commit."""
        if _is_empty(values):
            return
        where = condition(values)
        with self.commit_to(table):
            self.delta(table).delete(where)

    def empty(self, table: Table) -> None:
        """Delete every row, in one commit."""
        with self.commit_to(table):
            self.delta(table).delete()

    def layout(self, table: Table) -> str | None:
        """Return the text that ``set_layout`` remembered, or nothing."""
        return self.properties(table).get(_LAYOUT)

    def properties(self, table: Table) -> dict[str, str]:
        """Return what the table in its place has been given, which may be more or less than its declaration."""
        found = self.delta(table).detail().select("properties").first()
        assert found is not None
        return dict(found["properties"])

    def set_layout(self, table: Table, text: str) -> None:
        """Remember with the table what its rows were made with: a property, so it is one commit."""
        self.alter(table, "layout", set_property(self.spark, _LAYOUT, text))

    def alter(self, table: Table, what: str, *changes: Any) -> None:
        """Apply changes of ``intentrec.io.altering`` in one commit; ``what`` names its places for the fault checks."""
        namespace, name = (self._schema, table.name) if self._in_catalog else ("delta", self._path(table))
        with self.commit_to(table, what):
            alter_table(self.spark, (self._catalog, namespace, name), changes)

    def _write(self, table: Table, writer: DataFrameWriter) -> None:
        with self.commit_to(table):
            if self._in_catalog:
                writer.format("delta").saveAsTable(self._name(table))
            else:
                writer.format("delta").save(self._path(table))

    @contextmanager
    def commit_to(self, table: Table, what: str = "commit") -> Iterator[None]:
        """Stand around the one commit made inside: it carries the warehouse's signature.

        The fault checks can end the process on either side of it.
        """
        crash_point(f"{table.name}:before_{what}")
        self.spark.conf.set(_SIGNATURE, self.signature)
        try:
            yield
        finally:
            self.spark.conf.unset(_SIGNATURE)
        crash_point(f"{table.name}:after_{what}")

    def place_of(self, table: Table) -> str:
        """Return the folder or URL below which the table's files lie."""
        if not self._in_catalog:
            return self._path(table)
        detail = self.delta(table).detail().select("location").first()
        assert detail is not None
        return str(detail["location"])

    def delta(self, table: Table) -> DeltaTable:
        """Return Delta's own handle, for what this class has no method for."""
        if self._in_catalog:
            return DeltaTable.forName(self.spark, self._name(table))
        return DeltaTable.forPath(self.spark, self._path(table))

    def _name(self, table: Table) -> str:
        return f"`{self._schema}`.`{table.name}`"

    def _path(self, table: Table) -> str:
        return f"{self.location}/{table.name}"


def _is_empty(values: Mapping[str, Values]) -> bool:
    return any(isinstance(wanted, list | tuple) and not wanted for wanted in values.values())


def _line(error: BaseException) -> str:
    lines = [line.strip(" :") for line in str(error).splitlines()]
    return next(
        (line for line in lines if line and not line.startswith("An error occurred while")), type(error).__name__
    )
