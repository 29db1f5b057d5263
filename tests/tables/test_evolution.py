"""Tables change by additions only: whatever an earlier version promised is promised still."""

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from intentrec.tables import ALL, SCHEMA_VERSION, Table
from intentrec.tables.evolution import additions, described

SCHEMAS = Path(__file__).parent / "schemas"
EARLIER = {int(file.stem): json.loads(file.read_text()) for file in SCHEMAS.glob("*.json")}


def declared(table: Table) -> dict[str, Any]:
    """Return what a snapshot keeps of a table; TABLE.json is written with it when a release is made."""
    return {
        "key": list(table.key),
        "partition": list(table.partition),
        "checks": table.checks,
        "columns": described(table.schema),
    }


def schema(ddl: str) -> StructType:
    found = StructType.fromDDL(ddl)
    assert isinstance(found, StructType)
    return found


@pytest.mark.parametrize("version", sorted(EARLIER))
def test_what_an_earlier_version_declared_is_declared_still_and_what_is_new_may_be_null(
    spark: SparkSession, version: int
) -> None:
    now = {table.name: declared(table) for table in ALL}
    for name, before in EARLIER[version].items():
        assert name in now, f"table {name} is gone"
        assert before["checks"].keys() <= now[name]["checks"].keys()  # one may allow more than it did
        for what in ("key", "partition"):
            assert now[name][what] == before[what], f"table {name}: its {what} differ from version {version}"
        columns = now[name]["columns"]
        changed = {
            column: columns.get(column) for column, type_ in before["columns"].items() if columns.get(column) != type_
        }
        assert not changed, f"table {name}: {changed}, were {before['columns']}"
        strict = {column for column in columns.keys() - before["columns"] if columns[column].endswith("not null")}
        assert not strict, f"table {name}: {strict} are new and must allow null: rows of version {version} lack them"


def test_the_version_is_that_of_the_newest_snapshot_or_the_next_one(spark: SparkSession) -> None:
    newest = max(EARLIER)
    same = EARLIER[newest] == {table.name: declared(table) for table in ALL}
    assert newest + (not same) == SCHEMA_VERSION


def test_missing_columns_and_nested_fields_are_listed_with_their_place(spark: SparkSession) -> None:
    old = schema("a INT, list ARRAY<STRUCT<rank: INT, score: DOUBLE>>, inner STRUCT<x: INT>")
    new = schema(
        "zero INT, a INT, list ARRAY<STRUCT<rank: INT, reason: STRING, score: DOUBLE>>, more STRING, "
        "inner STRUCT<x: INT, y: ARRAY<INT>>"
    )
    assert [(each.path, each.field.dataType.simpleString(), each.after) for each in additions(old, new)] == [
        (("zero",), "int", None),
        (("list", "element", "reason"), "string", "rank"),
        (("more",), "string", "list"),
        (("inner", "y"), "array<int>", "x"),
    ]
    assert additions(new, old) == []


def test_a_schema_is_described_field_by_field(spark: SparkSession) -> None:
    found = schema("a INT NOT NULL, list ARRAY<ARRAY<STRUCT<rank: INT>>> NOT NULL, tags ARRAY<STRING>")
    assert described(found) == {
        "a": "int not null",
        "list": "array of array of struct not null",
        "list.rank": "int",
        "tags": "array of string",
    }
