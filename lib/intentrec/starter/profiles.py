"""What the texts of a column look like: numbers, times, how many different ones."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from math import isfinite
from zoneinfo import ZoneInfo

from intentrec.events.times import EARLIEST_US, ISO_OFFSET, ISO_TIME, LATEST_US

_LOOKED_AT = 20_000  # texts of a column that tell its type, evenly spread
_PER_UNIT = {"s": 1_000_000.0, "ms": 1_000.0, "us": 1.0, "ns": 0.001}
_NEARLY_ALL = 0.98
_UTC = ZoneInfo("UTC")
# A time with the name of its zone behind it, as in "2019-10-01 00:00:00 UTC": what stands before it can be read.
NAMED_UTC = r"^(\d{4}-\d{2}-\d{2}[T ][0-9:.,]+) ?(?:UTC|GMT)$"
_MIDNIGHT = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]00:00(?::00(?:[.,]0+)?)? ?(?:Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?")
_CLOCK = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?")


@dataclass(frozen=True, slots=True)
class Profile:
    """A column in figures.

    Attributes:
        name: of the column.
        position: from 0, in the order of the file.
        num_rows: of the sample.
        filled: share of rows that hold a text.
        counts: text: rows.
        numeric: share of the texts that are finite numbers.
        whole: share of the texts that are whole numbers.
        mean_length: characters.
        time_unit: s, ms, us, ns or iso if nearly all texts are such times within 1990 to 2099; else None.
        has_offset: whether nearly all iso times carry their offset.
        named_utc: whether nearly all are times followed by the word UTC or GMT.
        midnights: whether nearly all are days, or the midnights at which they begin: no clock stands in them.
        clock: whether nearly all are times of day, HH:MM or HH:MM:SS.
    """

    name: str
    position: int
    num_rows: int
    filled: float
    counts: Counter[str]
    numeric: float
    whole: float
    mean_length: float
    time_unit: str | None
    has_offset: bool
    named_utc: bool
    midnights: bool
    clock: bool

    @property
    def num_distinct(self) -> int:
        """Return how many different texts there are."""
        return len(self.counts)

    @property
    def tokens(self) -> frozenset[str]:
        """Return the words of the name in lower case: ``visitorId`` gives visitor and id, as does ``visitorid``."""
        parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", self.name)
        return frozenset(word for part in parts for word in _words(part.lower()))


def profile(name: str, position: int, texts: Sequence[str | None]) -> Profile:
    """Return the figures of one column."""
    counts = Counter(text for text in texts if text is not None)
    num_filled = counts.total()
    step = max(1, num_filled // _LOOKED_AT)
    some = list(islice((text for text in texts if text is not None), 0, None, step))
    numbers = [number for number in map(_number, some) if number is not None]
    size = max(1, len(some))

    def share(is_one: Callable[[str], object]) -> float:
        return sum(bool(is_one(text)) for text in some) / size

    named = share(re.compile(NAMED_UTC).match)
    is_iso = max(share(re.compile(ISO_TIME).match), named) >= _NEARLY_ALL
    offset = share(lambda text: len(text) > len("2024-01-01") and re.search(ISO_OFFSET, text))
    return Profile(
        name=name,
        position=position,
        num_rows=len(texts),
        filled=num_filled / max(1, len(texts)),
        counts=counts,
        numeric=len(numbers) / size,
        whole=share(re.compile(r"[+-]?\d+").fullmatch),
        mean_length=sum(map(len, some)) / size,
        time_unit="iso" if is_iso else _unit(numbers, size),
        has_offset=offset >= _NEARLY_ALL,
        named_utc=named >= _NEARLY_ALL,
        midnights=share(_MIDNIGHT.fullmatch) >= _NEARLY_ALL,
        clock=share(_CLOCK.fullmatch) >= _NEARLY_ALL,
    )


def micros(text: str | None, unit: str, timezone: str | None) -> float | None:
    """Return a text as microseconds since 1970 as the jobs will read it; None: it is no time in 1990 to 2099.

    Args:
        text: of the log.
        unit: s, ms, us, ns or iso.
        timezone: of iso times without an offset.
    """
    found = None if text is None else any_micros(text, unit, timezone)
    return found if found is not None and EARLIEST_US <= found < LATEST_US else None


def any_micros(text: str, unit: str, timezone: str | None) -> float | None:
    """As ``micros``, of any year."""
    return _iso_micros(text, timezone) if unit == "iso" else _scaled(_number(text), unit)


def _scaled(number: float | None, unit: str) -> float | None:
    return None if number is None else number * _PER_UNIT[unit]


def _iso_micros(text: str, timezone: str | None) -> float | None:
    if not re.match(ISO_TIME, text):  # fromisoformat reads weeks and times without colons as well, the jobs do not
        return None
    try:
        instant = datetime.fromisoformat(text.replace(",", ".").upper())
    except ValueError:
        return None
    if instant.tzinfo is None:
        if timezone is None:
            return None
        instant = instant.replace(tzinfo=_UTC if timezone == "UTC" else ZoneInfo(timezone))
    return instant.timestamp() * 1e6


def _unit(numbers: Sequence[float], size: int) -> str | None:
    """Return the unit in which nearly all numbers lie in 1990 to 2099; the ranges do not overlap."""
    for unit, factor in _PER_UNIT.items():
        if sum(EARLIEST_US <= number * factor < LATEST_US for number in numbers) >= _NEARLY_ALL * size:
            return unit if numbers else None
    return None


def _number(text: str) -> float | None:
    try:
        number = float(text if "_" not in text else "nan")  # Python alone reads 1_000
    except ValueError:
        return None
    return number if isfinite(number) else None


def _words(part: str) -> tuple[str, ...]:
    if part.endswith("id") and len(part) > 3 and part not in ("valid", "paid", "bid", "grid", "uuid", "guid", "void"):
        return part[:-2], "id"
    return (part,)
