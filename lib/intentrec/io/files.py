"""The Parquet files of a table: their order, and names that a reader outside of Spark understands."""

import re
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import quote

_SPAN = re.compile(r"(\d+)\s+(week|day|hour|minute|second)")


def as_url(path: str) -> str:
    """Return the URL of a file that Spark names: its names look like URLs, but no character in them is escaped."""
    scheme, colon, rest = path.partition(":")
    return f"{scheme}{colon}{quote(rest, safe='/:=@+,')}"


def writing_order(path: str) -> tuple[str, int, int, str]:
    """Return what sorts files by folder, then by the task that wrote them and its count of files.

    The rest of a name is random.
    """
    folder, _, name = path.rpartition("/")
    numbers = re.match(r"part-(\d+)-.*?\.c(\d+)\.", name)
    task, count = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    return folder, task, count, name


def kept_for(properties: Mapping[str, str]) -> timedelta:
    """Return how long files of older versions are safe from a vacuum by a Delta table's properties: 7 days if none."""
    text = properties.get("delta.deletedFileRetentionDuration", "interval 7 days")
    return sum((timedelta(**{f"{unit}s": int(number)}) for number, unit in _SPAN.findall(text)), timedelta())
