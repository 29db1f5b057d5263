"""Which rows a commit replaces or deletes."""

import re
from collections.abc import Mapping, Sequence
from datetime import date

Value = date | int | str
Values = Value | Sequence[Value]


def condition(values: Mapping[str, Values]) -> str:
    """Write the values as SQL: dates, integers and plain words only, so that nothing can be injected.

    Args:
        values: column = value, or one of several values; all columns must match.

    Raises:
        ValueError: a value is something else, or a text that is no plain word.
    """
    assert values, "without a condition every row is meant: say so with empty()"
    assert all(wanted not in ([], ()) for wanted in values.values()), "no value: the caller has nothing to do"
    parts = []
    for column, wanted in values.items():
        several = wanted if isinstance(wanted, (list, tuple)) else (wanted,)
        parts.append(f"{column} IN ({', '.join(map(_literal, several))})")
    return " AND ".join(parts)


def _literal(value: Value) -> str:
    kind = type(value)  # exactly: a datetime is also a date, and a bool an int
    if kind is date:
        return f"DATE'{value}'"
    if kind is int:
        return str(value)
    if kind is not str or not re.fullmatch(r"[A-Za-z0-9_.:-]+", str(value)):
        raise ValueError(f"a value in a condition must be a date, an integer or a plain word, is {value!r}")
    return f"'{value}'"
