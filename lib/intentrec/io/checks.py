"""CHECK constraints of a table that an earlier version made."""

from intentrec.io.altering import add_check, drop_check
from intentrec.io.warehouse import Warehouse
from intentrec.tables import Table


def renew_checks(warehouse: Warehouse, table: Table) -> None:
    """Give a table the CHECK constraints that are declared now; two commits where one differs, none otherwise.

    Only what writes rows that an earlier version did not know needs this.
    """
    found = warehouse.delta(table).detail().select("properties").first()
    assert found is not None
    for name, check in table.checks.items():
        if found["properties"].get(f"delta.constraints.{name}") != check:
            warehouse.alter(table, "check", drop_check(warehouse.spark, name))
            warehouse.alter(table, "check", add_check(warehouse.spark, name, check))
