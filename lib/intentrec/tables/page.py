"""The page for consumers: TABLES.md is made from the declarations by ``python -m intentrec.tables.page``."""

from collections.abc import Iterator

from pyspark.sql import SparkSession

from intentrec.tables import ALL, SCHEMA_VERSION, Table
from intentrec.tables.usage import CHANGES, usage_of

_HEAD = f"""\
# Tables

Made of `lib/intentrec/tables/` by `make pages`: change that. All tables are Delta, here in flow order. Timestamps are
UTC. A column in *italics* tells who wrote a row and when: "equal tables" means equal in all the others. CHECK
constraints raise a table's writer version to 3, the change data feed to 4; readers need version 1.

Schema version {SCHEMA_VERSION}. A later version adds tables, columns and fields of structs, which are null in rows written before; what is
here keeps its name, type and place in the key.

| table | one row per | key | partitioned by | written by |
|---|---|---|---|---|
"""


def tables_page(tables: tuple[Table, ...] = ALL) -> str:
    """Return the Markdown text: an overview, then every table with its columns.

    Needs a running Spark session, which reads the DDL.
    """
    overview = "\n".join(map(_overview_row, tables))
    return _HEAD + overview + "\n" + "".join(f"\n{_table(table)}\n" for table in tables) + f"\n{CHANGES}"


def _overview_row(table: Table) -> str:
    partition = ", ".join(table.partition) or "-"
    return f"| [{table.name}](#{table.name}) | {table.row} | {', '.join(table.key)} | {partition} | {table.writer} |"


def _table(table: Table) -> str:
    return "\n".join(
        [
            f"## {table.name}",
            f"One row per {table.row}. Written by {table.writer}.",
            "",
            *_columns(table),
            *_promises(table),
            *_use(table),
        ]
    )


def _columns(table: Table) -> Iterator[str]:
    yield "| column | type | null | meaning |"
    yield "|---|---|---|---|"
    for column in table.schema:
        name = f"*{column.name}*" if column.name in table.provenance else column.name
        meaning = column.metadata.get("comment", "").replace("|", "\\|")
        yield f"| {name} | `{column.dataType.simpleString()}` | {'yes' if column.nullable else 'no'} | {meaning} |"


def _promises(table: Table) -> Iterator[str]:
    if table.checks or table.properties:
        yield ""
    for name, condition in table.checks.items():
        yield f"- CHECK {name}: `{condition}`"
    for name, value in table.properties.items():
        yield f"- property `{name}` = `{value}`"


def _use(table: Table) -> Iterator[str]:
    usage = usage_of(table)
    if usage is not None:
        yield from ("", f"Fresh: {usage.fresh}.", "", "```sql", usage.query, "```")


if __name__ == "__main__":
    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    print(tables_page(), end="")
    session.stop()
