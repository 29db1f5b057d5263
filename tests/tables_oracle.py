"""The tables as a reader that is not Spark (delta-rs) finds them, and a hash of what they hold."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from intentrec.tables import ALL, RUNS, Table

Rows = list[dict[str, Any]]


def rows_of(warehouse: Path, table: Table, **values: object) -> Rows:
    """Read the rows whose columns have these values."""
    found: Rows = DeltaTable(str(warehouse / table.name)).to_pyarrow_table().to_pylist()
    return [row for row in found if all(row[column] == value for column, value in values.items())]


def versions(warehouse: Path, tables: Iterable[Table] = ALL) -> dict[str, int]:
    """Return the number of every table's newest commit; those that are missing are left out."""
    present = [table for table in tables if (warehouse / table.name / "_delta_log").is_dir()]
    return {table.name: DeltaTable(str(warehouse / table.name)).version() for table in present}


def contents(warehouse: Path, **values: object) -> dict[str, str]:
    """Hash every table but ``runs``: rows in any order, without provenance columns and the places in a model's config.

    Args:
        warehouse: folder.
        values: only rows whose columns have these values, in the tables that have such columns.
    """
    hashes = {}
    for table in ALL:
        if table is RUNS or not (warehouse / table.name / "_delta_log").is_dir():
            continue
        wanted = {column: value for column, value in values.items() if column in table.schema.names}
        texts = sorted(_text(table, row) for row in rows_of(warehouse, table, **wanted))
        hashes[table.name] = f"{len(texts)} rows {hashlib.sha256(chr(10).join(texts).encode()).hexdigest()[:16]}"
    return hashes


def _text(table: Table, row: dict[str, Any]) -> str:
    kept = {column: value for column, value in row.items() if column not in table.provenance}
    if "config" in kept:  # says where the tables and files of the model's own run lay
        config = json.loads(kept["config"])
        kept["config"] = {key: value for key, value in config.items() if key not in ("warehouse", "artifacts", "spark")}
    return json.dumps(kept, sort_keys=True, default=str)
