"""Texts -> instants in integer microseconds since 1970, UTC. Nothing raises: what cannot be read is null."""

from pyspark.sql import Column
from pyspark.sql import functions as F

EARLIEST_US = 631_152_000_000_000  # 1990-01-01
LATEST_US = 4_102_444_800_000_000  # 2100-01-01
_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}
_MOST_US = 2**63 - 1
_SLIPS = (1_000, 1_000_000, 1_000_000_000)

ISO_TIME = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|z|[+-]\d{2}(:?\d{2})?)?)?$"
ISO_OFFSET = r"(Z|z|[+-]\d{2}(:?\d{2})?)$"


def instant_us(name: str, unit: str, timezone: str | None, partial: bool = False) -> Column:
    """Read a text column as BIGINT microseconds.

    Args:
        name: the column.
        unit: s, ms, us or ns since 1970, fractions allowed and cut at microseconds; or iso.
        timezone: of iso texts without an offset; None refuses them. A local time that a clock change skips or
            repeats is read with the offset before the change.
        partial: whether an iso text may be a year or a month, read as its first instant.
    """
    if unit != "iso":
        return _number_us(name, unit)
    return _iso_us(_first_day(F.col(name)) if partial else F.col(name), timezone)


def _first_day(text: Column) -> Column:
    year, month = text.rlike(r"^\d{4}$"), text.rlike(r"^\d{4}-\d{2}$")
    return F.when(year, F.concat(text, F.lit("-01-01"))).when(month, F.concat(text, F.lit("-01"))).otherwise(text)


def _number_us(name: str, unit: str) -> Column:
    whole = F.expr(f"try_cast(`{name}` AS BIGINT)")
    exact = F.expr(f"try_cast(`{name}` AS DECIMAL(28, 9))")  # seconds with a fraction, 1.5e9; doubles are not exact
    beyond = F.when(exact.isNotNull(), F.lit(_MOST_US))  # a number, but no instant
    if unit == "ns":
        return F.coalesce(F.expr(f"try_cast(`{name}` AS BIGINT) div 1000"), F.floor(exact / F.lit(1000)))
    factor = F.lit(_PER_UNIT[unit])
    return F.coalesce(F.try_multiply(whole, factor), F.floor(exact * factor).try_cast("bigint"), beyond)


def _iso_us(text: Column, timezone: str | None) -> Column:
    full = _written_out(text)
    has_offset = text.rlike(ISO_OFFSET) & text.rlike("[T ]")
    instant = F.unix_micros(F.coalesce(text.try_cast("timestamp"), full.try_cast("timestamp")))
    if timezone is None:
        return F.when(text.rlike(ISO_TIME) & has_offset, instant)
    local = F.to_utc_timestamp(full.try_cast("timestamp_ntz").cast("timestamp"), timezone)
    return F.when(text.rlike(ISO_TIME), F.when(has_offset, instant).otherwise(F.unix_micros(local)))


def _written_out(text: Column) -> Column:
    """Write a time the one way Spark reads: with seconds, a point before their fraction, and hh:mm as offset."""
    point = F.upper(F.regexp_replace(text, ",", "."))
    seconds = F.regexp_replace(point, r"([T ]\d{2}:\d{2})(?![:\d])", "$1:00")
    colon = F.regexp_replace(seconds, r"([+-]\d{2})(\d{2})$", "$1:$2")
    return F.regexp_replace(colon, r"([T ][0-9:.]+[+-]\d{2})$", "$1:00")


def plausible(micros: Column) -> Column:
    """Return whether an instant lies in 1990 to 2099."""
    return (micros >= EARLIEST_US) & (micros < LATEST_US)


def slipped(micros: Column) -> Column:
    """Return whether an instant outside of 1990 to 2099 would lie inside in another of the units."""
    larger = [(micros >= EARLIEST_US // slip) & (micros < LATEST_US // slip) for slip in _SLIPS]
    smaller = [(micros / F.lit(slip) >= EARLIEST_US) & (micros / F.lit(slip) < LATEST_US) for slip in _SLIPS]
    found = larger[0]
    for other in (*larger[1:], *smaller):
        found = found | other
    return ~plausible(micros) & found


def as_text(micros: Column) -> Column:
    """Return an instant as ISO text in UTC, for details."""
    return F.date_format(F.timestamp_micros(micros), "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'")
