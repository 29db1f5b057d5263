"""The raw logs against the config: the first rows of the first and the last file by path; no Spark, some seconds."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from intentrec.config import Config, Derived, EventSource, RulesSource, Snapshot
from intentrec.doctor.findings import Finding, failed, misconfigured, passed, warned
from intentrec.doctor.rows import Rows, check_events, check_members, check_rules
from intentrec.errors import InputError
from intentrec.events import columns_of, columns_of_rules, columns_of_snapshot
from intentrec.logs import Asked, LogFile, find_local_files, read_head
from intentrec.logs.opening import DamagedFileError, ForeignFileError

_ROWS = 5_000  # of a file
Check = Callable[[Rows], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class SeenLogs:
    """What the input checks found, and the files that other checks need: their size and age."""

    findings: tuple[Finding, ...]
    files: tuple[LogFile, ...]


def check_inputs(config: Config, run_date: date) -> SeenLogs:
    """Open every source and the snapshots as the jobs will."""
    findings: list[Finding] = list(_features(config))
    files: list[LogFile] = []
    for number, source in enumerate(config.input.events):
        own, more = _source(config, number, source, run_date)
        findings += own
        files += more
    for kind in ("items", "users"):
        snapshot: Snapshot | None = getattr(config.input, kind)
        if snapshot is not None:
            where = f"input.{kind}"
            check: Check = partial(check_members, config, where, snapshot, kind)
            own, more = _snapshot(snapshot, where, columns_of_snapshot(snapshot, kind), run_date, check)
            findings += own
            files += more
    for number, rules in enumerate(config.input.rules):
        where = f"input.rules.{number}"
        own, more = _snapshot(rules, where, columns_of_rules(rules), run_date, partial(check_rules, where, rules))
        findings += own
        files += more
    return SeenLogs(tuple(findings), tuple(files))


def _features(config: Config) -> Iterator[Finding]:
    context = {key for source in config.input.events for key in source.context}
    asked = {
        "event_features": (config.examples.event_features, context | {"action", "categories"}),
        "numeric_features": (config.examples.numeric_features, context | {"value"}),
    }
    for key, (features, known) in asked.items():
        unknown = [feature for feature in features if feature not in known]
        if unknown:
            found = f"examples.{key}: {', '.join(unknown)} is no context column"
            remedy = f"add it to input.events context, or take one of {', '.join(sorted(known))}"
            yield misconfigured("config", found, remedy)
    if any("value" in source.columns for source in config.input.events):
        return
    remedy = "add value to input.events columns, or take it out"
    if config.examples.weigh_by_value:
        found = "examples.weigh_by_value: no input.events has a column for value, so all events count alike"
        yield misconfigured("config", found, remedy)
    if "value" in config.examples.numeric_features:
        found = "examples.numeric_features: no input.events has a column for value, so no event has that number"
        yield misconfigured("config", found, remedy)


def _needs_spark(source: EventSource | Snapshot | RulesSource) -> bool:
    return source.format == "delta" or ("://" in source.path and not source.path.startswith("file://"))


def _source(
    config: Config, number: int, source: EventSource, run_date: date
) -> tuple[list[Finding], tuple[LogFile, ...]]:
    where = f"input.events.{number}"
    if _needs_spark(source):
        remedy = "nothing: ingest_events opens it; `--only ingest_events` on a scratch warehouse tries it"
        return [warned("input", f"{where}: {source.path} is read by Spark alone, not looked at here", remedy)], ()
    try:
        files = find_local_files(source, run_date)
    except InputError as error:
        return [misconfigured("input", f"{where}.path: {error}", "correct the path, or deliver the files")], ()
    except OSError as error:
        return [_forbidden(where, error)], ()
    columns = columns_of(source)
    nested = [name for name in columns if name.startswith("context_")]
    rows, refusal = _rows(files, Asked.of(source.format, columns, nested, source.options), where)
    if refusal is not None:
        return [refusal], files
    if not rows:
        return [warned("input", f"{where}: {len(files)} files without rows", "look at what was delivered")], files
    faults = [*check_events(config, where, source, rows, run_date)]
    size = sum(file.size for file in files) / 2**20
    good = passed("input", f"{where}: {len(files)} files, {size:,.1f} MiB, {len(rows):,} rows looked at")
    return faults or [good], files


def _snapshot(
    snapshot: Snapshot | RulesSource,
    where: str,
    columns: Mapping[str, str | Derived],
    run_date: date,
    check: Check,
) -> tuple[list[Finding], tuple[LogFile, ...]]:
    if _needs_spark(snapshot):
        return [warned("input", f"{where}: {snapshot.path} is read by Spark alone", "nothing")], ()
    try:
        files = find_local_files(snapshot, run_date)
    except InputError as error:
        return [misconfigured("input", f"{where}.path: {error}", "correct the path, or deliver the files")], ()
    except OSError as error:
        return [_forbidden(where, error)], ()
    nested = [name for name in columns if name == "categories" or name.startswith("attribute_")]
    rows, refusal = _rows(files, Asked.of(snapshot.format, dict(columns), nested, snapshot.options), where)
    if refusal is not None:
        return [refusal], files
    good = passed("input", f"{where}: {len(files)} files, {len(rows):,} rows looked at")
    return [*check(rows)] or [good], files


def _rows(files: Sequence[LogFile], asked: Asked, where: str) -> tuple[Rows, Finding | None]:
    """Return the first rows of the first and the last file by path, or why there are none.

    Where both are without rows, those of the next file that has some.
    """
    rows: list[dict[str, str | None]] = []
    ends = dict.fromkeys((files[0].path, files[-1].path))
    for path in [*ends, *(file.path for file in files[1:-1])]:
        if rows and path not in ends:
            break
        try:
            rows += read_head(path, asked, _ROWS)
        except ForeignFileError as error:
            remedy = f"correct {where}.columns or {where}.options (sep, header)"
            return (), misconfigured("columns", f"{where}: {path}: {error}", remedy)
        except DamagedFileError as error:
            remedy = f"deliver it again; is {where}.format {asked.format} right?"
            return (), misconfigured("input", f"{where}: {path}: {error}", remedy)
        except OSError as error:
            return (), _forbidden(where, error)
    return rows, None


def _forbidden(where: str, error: OSError) -> Finding:
    said = f"{where}.path: {error.filename} cannot be read: {error.strerror}"
    return failed("input", said, f"let user {os.geteuid()} read it (chown, chmod)")
