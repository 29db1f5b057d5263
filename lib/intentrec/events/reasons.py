"""Why a row can be refused, and the checks of texts that events, items and users share."""

from pyspark.sql import Column
from pyspark.sql import functions as F

REASONS = {
    "malformed_row": "not a row of its format: no JSON object, a key twice, another number of fields, not its encoding",
    "missing_field": "a mapped field that every row must have is null or absent",
    "wrong_type": "a value that cannot be read as its type, or a time without the offset it needs",
    "bad_id": "an id that is empty, blank, longer than 512 bytes, or holds a NUL character",
    "time_out_of_range": "an instant before 1990 or after 2099",
    "unit_slip": "an instant outside of 1990 to 2099 that would lie inside in another time unit",
    "too_late": "older than input.late_days allows, counted from the newest run date that was ingested",
    "future": "later than input.future_days allows; read again when the run date has moved on",
    "too_long": "a line longer than 1 MiB",
    "unknown_action": "an action that input.actions does not list",
    "file_unreadable": "a file whose packing or checksum is damaged; it is rejected whole",
}

ID_LIMIT = 512  # bytes of UTF-8
_SHOWN = 100  # characters of a value in a detail
_VISIBLE = r"[^\s\p{Z}\p{Cc}\p{Cf}]"


def problem(reason: str, *detail: Column | str) -> Column:
    """Return the STRUCT<reason, detail> of a refused row."""
    assert reason in REASONS, reason
    parts = [F.lit(part) if isinstance(part, str) else F.coalesce(part, F.lit("null")) for part in detail]
    return F.struct(F.lit(reason).alias("reason"), F.concat(*parts).alias("detail"))


def shown(text: Column) -> Column:
    """Return a value as it stands in a detail: quoted and cut."""
    return F.concat(F.lit("'"), F.substring(text, 1, _SHOWN), F.lit("'"))


def required(name: str) -> Column:
    """Refuse a null."""
    return F.when(F.col(name).isNull(), problem("missing_field", f"{name}: null or absent, every row must have one"))


def sound_id(name: str) -> Column:
    """Refuse an id that is blank, too long or holds NUL; null passes."""
    value = F.col(name)
    bad = ~value.rlike(_VISIBLE) | (F.octet_length(value) > ID_LIMIT) | value.contains("\0")
    wanted = f", wanted 1 to {ID_LIMIT} bytes that are not all blank, without NUL"
    return F.when(bad, problem("bad_id", f"{name}: ", shown(value), wanted))


def wrong_type(name: str, wanted: str) -> Column:
    """Return the problem of a text that could not be read."""
    return problem("wrong_type", f"{name}: ", shown(F.col(name)), f", wanted {wanted}")


def pairs(values: dict[str, Column]) -> Column:
    """Return ARRAY<STRUCT<key, value>> sorted by key, without nulls."""
    if not values:
        return F.expr("CAST(array() AS ARRAY<STRUCT<key: STRING, value: STRING>>)")
    found = [F.struct(F.lit(key).alias("key"), values[key].alias("value")) for key in sorted(values)]
    return F.filter(F.array(*found), lambda pair: pair["value"].isNotNull())
