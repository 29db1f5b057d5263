"""The only package that reads or writes tables (Delta)."""

from intentrec.io.files import kept_for
from intentrec.io.warehouse import Warehouse

__all__ = ["Warehouse", "kept_for"]
