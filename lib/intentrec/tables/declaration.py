"""What a table promises: its columns, key, partitioning, constraints and provenance."""

import re
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql.types import DataType, StructType

from intentrec.errors import SchemaError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A table and the columns it promises.

    Attributes:
        name: the table's name in the warehouse.
        row: what one row is: "one row per ...".
        writer: the job that writes it.
        key: the columns that identify a row.
        columns: DDL with units and comments.
        partition: the columns that a run replaces as a whole, DATE first.
        provenance: columns that say who wrote a row and when; "equal tables" means equal in all others.
        checks: CHECK constraints by name.
        properties: Delta table properties.
    """

    name: str
    row: str
    writer: str
    key: tuple[str, ...]
    columns: str
    partition: tuple[str, ...] = ()
    provenance: tuple[str, ...] = ()
    checks: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> StructType:
        """Return the columns as Spark's type, comments and NOT NULL included."""
        schema = StructType.fromDDL(re.sub(r"\s+", " ", self.columns.strip()))
        assert isinstance(schema, StructType)
        return schema

    def conform(self, rows: DataFrame) -> DataFrame:
        """Select exactly this table's columns, in order.

        Raises:
            SchemaError: a column is missing or has another type; nullability is not compared.
        """
        wanted = _types(self.schema)
        actual = _types(rows.schema)
        wrong = [
            f"column {column} must be {type_}, is {actual.get(column, 'missing')}"
            for column, type_ in wanted.items()
            if actual.get(column) != type_
        ]
        if wrong:
            raise SchemaError(
                f"table {self.name}: {'; '.join(wrong)}. Point `warehouse` at a place where intentrec made this table"
            )
        return rows.select(*wanted)


def _types(schema: DataType) -> dict[str, str]:
    assert isinstance(schema, StructType)
    return {column.name: column.dataType.simpleString() for column in schema}
