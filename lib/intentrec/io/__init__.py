"""The only package that reads or writes tables (Delta)."""

from intentrec.io.crashes import CRASH_VARIABLE, crash_point, crash_points
from intentrec.io.warehouse import Warehouse

__all__ = ["CRASH_VARIABLE", "Warehouse", "crash_point", "crash_points"]
