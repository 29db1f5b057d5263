"""Refused rows that are read again: which, what becomes of the other rows of their files, and of the files' books."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from intentrec.events.deliveries import Lines, Rejected
from intentrec.events.merging import Count

_FILE = ["source_file", "content_sha256"]


def read_rejected(quarantine: DataFrame, latest_us: int) -> Sequence[Rejected]:
    """Return what was quarantined by file content, with the lines of ``future`` rows that are due now.

    One Spark action. The instant stands in the detail of each such row, so that it is read again on the very night
    that accepts it.

    Args:
        quarantine: EVENTS_QUARANTINE rows.
        latest_us: the end of what tonight's run accepts, in microseconds since 1970.
    """
    instant = F.regexp_extract("detail", r"^occurred_at: (\S+) ", 1).try_cast("timestamp")
    due = (F.col("reason") == "future") & (F.unix_micros(instant) < latest_us)
    groups = quarantine.groupBy(*_FILE).agg(F.count("*").alias("rows"), F.collect_list(F.when(due, F.col("line"))))
    return [Rejected(path, sha256, rows, tuple(sorted(lines))) for path, sha256, rows, lines in groups.collect()]


def left_in_quarantine(quarantine: DataFrame, read: Sequence[tuple[str, str]], lines: Lines) -> DataFrame:
    """Return the EVENTS_QUARANTINE rows that stay, of the contents that were read: those that were not read again.

    Args:
        quarantine: EVENTS_QUARANTINE rows.
        read: (path, content_sha256) of every file that was read; an equal content elsewhere keeps its rows.
        lines: what was read of contents that were not read whole.
    """
    spark, schema = quarantine.sparkSession, "source_file STRING, content_sha256 STRING"
    parts = {(path, sha256): own for path, found in lines.items() for sha256, own in found.items()}
    whole = spark.createDataFrame([file for file in read if file not in parts], schema)
    again = spark.createDataFrame([(*file, n) for file in read for n in parts.get(file, ())], f"{schema}, line BIGINT")
    same = quarantine.where(F.col("content_sha256").isin(sorted({sha256 for _, sha256 in read})))
    others = same.join(F.broadcast(whole), _FILE, "left_anti")
    return others.join(F.broadcast(again), [*_FILE, "line"], "left_anti")


def with_unread_rows(
    counts: Mapping[tuple[str, str], Count], booked: Iterable[Row], lines: Lines
) -> dict[tuple[str, str], Count]:
    """Return the counts of whole contents: what was not read again of one is as its book has it.

    Args:
        counts: of tonight's rows, by (path, content_sha256).
        booked: INGESTED_FILES rows of these contents.
        lines: what was read of contents that were not read whole.
    """
    whole = dict(counts)
    for book in booked:
        file = (book.path, book.content_sha256)
        if file in whole and file[1] in lines.get(file[0], {}):
            now = counts[file]
            still = {"any": book.rows_quarantined - now.accepted - now.duplicate}  # books do not keep the reasons
            whole[file] = Count(book.rows_accepted + now.accepted, book.rows_duplicate + now.duplicate, still)
    return whole


def newest_dates(
    counts: Iterable[tuple[str, str]], booked: Iterable[Row], run_date: date
) -> dict[tuple[str, str], date]:
    """Return the run date that each content is booked with: an older one that replays does not set it back.

    The newest of all dates is where ``late_days`` counts from.

    Args:
        counts: (path, content_sha256) of what was read.
        booked: INGESTED_FILES rows of these contents.
        run_date: of the run.
    """
    before = {(book.path, book.content_sha256): book.run_date for book in booked}
    return {file: max(run_date, before.get(file, run_date)) for file in counts}
