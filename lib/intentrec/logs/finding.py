"""Which files a glob of the config names tonight."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from delta import DeltaTable
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from intentrec.config import EventSource, RulesSource, Snapshot
from intentrec.errors import InputError

Source = EventSource | Snapshot | RulesSource
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file as listed, before it is opened.

    Attributes:
        path: absolute, or an address with a scheme.
        size: bytes as delivered.
        modified_at: aware, UTC, microseconds.
    """

    path: str
    size: int
    modified_at: datetime

    @property
    def remote(self) -> bool:
        """Return whether only Spark can open it."""
        return "://" in self.path


def find_files(spark: SparkSession, source: Source, run_date: date) -> tuple[LogFile, ...]:
    """List the files of a source, sorted by path.

    ``{run_date}`` in the path stands for each of the last ``lookback_days`` dates that end at ``run_date`` (of
    a snapshot: for ``run_date`` alone). A folder stands for the files in it. Names that begin with ``_`` or ``.``
    are left out: they are markers and files still being written. Nothing is opened.

    Raises:
        InputError: no file matches.
    """
    if source.format == "delta":
        return _files_of_table(spark, source.path)
    patterns = _dated(source, run_date)
    remote = "://" in source.path and not source.path.startswith("file://")
    found = _listed_by_spark(spark, patterns) if remote else _listed(patterns)
    return _some(found, source, patterns, run_date)


def find_local_files(source: Source, run_date: date) -> tuple[LogFile, ...]:
    """List the files of a source on this machine, without Spark; else as ``find_files``.

    Raises:
        InputError: no file matches.
    """
    patterns = _dated(source, run_date)
    return _some(_listed(patterns), source, patterns, run_date)


def _some(found: Iterable[LogFile], source: Source, patterns: Sequence[str], run_date: date) -> tuple[LogFile, ...]:
    files = {file.path: file for file in found}
    if not files:
        dates = f" for the {len(patterns)} days to {run_date}" if len(patterns) > 1 else ""
        raise InputError(f"{source.path}: no file matches{dates}; deliver the files or correct the path in the config")
    return tuple(files[path] for path in sorted(files))


def _files_of_table(spark: SparkSession, path: str) -> tuple[LogFile, ...]:
    """List the data files of a Delta table as it is now; files of older versions are no part of it."""
    try:
        properties = DeltaTable.forPath(spark, path).detail().select("properties").collect()[0][0]
        addresses = spark.read.format("delta").load(path).inputFiles()
    except AnalysisException as error:
        raise InputError(f"{path}: no Delta table that can be read ({str(error).splitlines()[0]})") from error
    if properties.get("delta.enableDeletionVectors") == "true":
        raise InputError(
            f"{path}: its files hold deleted rows (delta.enableDeletionVectors), wanted a table without them; "
            "switch the property off and run REORG TABLE ... APPLY (PURGE)"
        )
    if any(not address.startswith("file:") for address in addresses):
        return tuple(sorted(_listed_by_spark(spark, addresses), key=lambda file: file.path))
    return tuple(_listed(sorted(unquote(urlsplit(address).path) for address in addresses), escaped=False))


def _dated(source: Source, run_date: date) -> list[str]:
    if "{run_date}" not in source.path:
        return [source.path]
    days = source.lookback_days if isinstance(source, EventSource) else 1
    dates = (run_date - timedelta(days=behind) for behind in reversed(range(days)))
    return [source.path.replace("{run_date}", day.isoformat()) for day in dates]


def _listed(patterns: list[str], *, escaped: bool = True) -> Iterator[LogFile]:
    for pattern in patterns:
        found = glob.iglob(pattern.removeprefix("file://"), recursive=True) if escaped else (pattern,)  # noqa: PTH207
        for match in found:
            path = Path(match)
            for file in path.iterdir() if path.is_dir() else (path,):
                if file.is_file() and not file.name.startswith(("_", ".")):
                    status = file.stat()
                    modified_at = _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
                    yield LogFile(str(file.absolute()), status.st_size, modified_at)


def _listed_by_spark(spark: SparkSession, patterns: list[str]) -> Iterator[LogFile]:
    for pattern in patterns:
        try:
            files = spark.read.format("binaryFile").load(pattern)
            # the session runs in UTC; integers, because Python would read a timestamp in the zone of its process
            rows = files.select("path", F.unix_micros("modificationTime").alias("micros"), "length").collect()
        except Exception as error:
            if "PATH_NOT_FOUND" not in str(error):
                reason = str(error).splitlines()[0]
                raise InputError(f"{pattern}: cannot be listed ({reason}); check the address and its rights") from error
            continue
        for row in rows:
            if not row.path.rsplit("/", 1)[1].startswith(("_", ".")):
                yield LogFile(row.path, row.length, _EPOCH + timedelta(microseconds=row.micros))
