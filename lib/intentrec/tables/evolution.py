"""How a table that an earlier version made comes to its present declaration: by what is added, never by a change."""

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql.types import ArrayType, DataType, StructField, StructType

# Raised with every release whose declarations differ from those before; tests/tables/schemas holds one file for each.
SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class Addition:
    """A column, or a field of a struct, that an earlier version did not know.

    Attributes:
        path: names from the column down to the field; ``element`` stands for the entries of an array.
        field: type and comment; old rows hold null.
        after: name of the field before it; None: it is the first.
    """

    path: tuple[str, ...]
    field: StructField
    after: str | None


def additions(actual: StructType, wanted: StructType) -> list[Addition]:
    """List what is declared and not there, outermost first, in declared order; other differences are not looked at."""
    return [*_missing(actual, wanted, ())]


def _missing(actual: StructType, wanted: StructType, path: tuple[str, ...]) -> Iterator[Addition]:
    known = {field.name: field.dataType for field in actual}
    before = None
    for field in wanted:
        here = (*path, field.name)
        if field.name in known:
            yield from _below(known[field.name], field.dataType, here)
        else:
            yield Addition(here, field, before)
        before = field.name


def _below(actual: DataType, wanted: DataType, path: tuple[str, ...]) -> Iterator[Addition]:
    if isinstance(actual, StructType) and isinstance(wanted, StructType):
        yield from _missing(actual, wanted, path)
    elif isinstance(actual, ArrayType) and isinstance(wanted, ArrayType):
        yield from _below(actual.elementType, wanted.elementType, (*path, "element"))


def described(schema: StructType) -> dict[str, str]:
    """Return every column and nested field by dotted path, with its type and whether it may be null.

    Structs and arrays of structs are taken apart, so that a field more is an entry more and no changed one.
    """
    return dict(_described(schema, ""))


def _described(schema: StructType, prefix: str) -> Iterator[tuple[str, str]]:
    for field in schema:
        name = f"{prefix}{field.name}"
        inner: DataType = field.dataType
        kind = ""
        while isinstance(inner, ArrayType):
            inner, kind = inner.elementType, f"{kind}array of "
        null = "" if field.nullable else " not null"
        if isinstance(inner, StructType):
            yield name, f"{kind}struct{null}"
            yield from _described(inner, f"{name}.")
        else:
            yield name, f"{kind}{inner.simpleString()}{null}"
