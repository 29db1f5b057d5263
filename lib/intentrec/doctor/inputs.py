"""The raw logs against the config, from the first rows of the first and the newest file: no Spark, some seconds."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from intentrec.config import Action, Config, Derived, EventSource, RulesSource, Snapshot, cutoff_of
from intentrec.doctor.findings import Finding, failed, misconfigured, passed, warned
from intentrec.errors import InputError
from intentrec.events import columns_of, columns_of_rules, columns_of_snapshot, micros_of
from intentrec.logs import Asked, LogFile, find_local_files, read_head
from intentrec.logs.opening import DamagedFileError, ForeignFileError
from intentrec.starter.profiles import micros
from intentrec.tables import RULE_KINDS

_ROWS = 5_000  # of a file
_MOST = 0.5  # of the rows; more say that the config is wrong, fewer that rows are
Rows = Sequence[Mapping[str, str | None]]


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
            own, more = _snapshot(snapshot, f"input.{kind}", columns_of_snapshot(snapshot, kind), run_date)
            findings += own
            files += more
    for number, rules in enumerate(config.input.rules):
        own, more = _snapshot(rules, f"input.rules.{number}", columns_of_rules(rules), run_date)
        findings += own
        files += more
    return SeenLogs(tuple(findings), tuple(files))


def _features(config: Config) -> Iterator[Finding]:
    known = {"action", "categories", *(key for source in config.input.events for key in source.context)}
    unknown = [feature for feature in config.examples.event_features if feature not in known]
    if unknown:
        found = f"examples.event_features: {', '.join(unknown)} is no context column"
        remedy = f"add it to input.events context, or take one of {', '.join(sorted(known))}"
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
    faults = [*_faults(config, where, source, rows, run_date)]
    size = sum(file.size for file in files) / 2**20
    good = passed("input", f"{where}: {len(files)} files, {size:,.1f} MiB, {len(rows):,} rows looked at")
    return faults or [good], files


def _snapshot(
    snapshot: Snapshot | RulesSource, where: str, columns: Mapping[str, str | Derived], run_date: date
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
    good = passed("input", f"{where}: {len(files)} files, {len(rows):,} rows looked at")
    return [refusal or _unknown_kind(rows, where) or good], files


def _unknown_kind(rows: Rows, where: str) -> Finding | None:
    """Name the first rule of a kind that there is not: ingest_events would refuse the run."""
    for row in rows:
        kind = row.get("rule_kind")
        if kind is not None and kind not in RULE_KINDS:
            return misconfigured("rules", f"{where}: kind {kind}", f"take one of {', '.join(sorted(RULE_KINDS))}")
    return None


def _rows(files: Sequence[LogFile], asked: Asked, where: str) -> tuple[Rows, Finding | None]:
    """Return the first rows of the first and the newest file, or why there are none."""
    rows: list[dict[str, str | None]] = []
    for path in dict.fromkeys((files[0].path, files[-1].path)):
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
    return failed("input", said, f"let user {os.getuid()} read it (chown, chmod)")


def _faults(config: Config, where: str, source: EventSource, rows: Rows, run_date: date) -> Iterator[Finding]:
    broken = [row["reason"] for row in rows if row["reason"] is not None]
    if len(broken) > config.input.max_rejected_share * len(rows):
        said = f"{where}: {len(broken):,} of {len(rows):,} rows are refused: {Counter(broken).most_common(1)[0][0]}"
        remedy = f"is {where}.format {source.format} right, and {where}.options (sep, quote, encoding)?"
        yield misconfigured("input", said, remedy)
        return
    sound = [row for row in rows if row["reason"] is None]
    for field in ("user_id", "item_id"):
        yield from _empty(config, where, field, sound)
    yield from _times(config, where, source, sound, run_date)
    yield from _actions(config, where, source, sound)


def _empty(config: Config, where: str, field: str, rows: Rows) -> Iterator[Finding]:
    without = {name for name, action in (config.input.actions or {}).items() if not action.has_item}
    asked = [row for row in rows if field == "user_id" or row.get("action") not in without]
    empty = sum(not (row.get(field) or "").strip() for row in asked)
    if asked and empty > max(config.input.max_rejected_share, 0.0) * len(asked):
        remedy = f"correct {where}.columns.{field}"
        if field == "item_id":
            remedy += ", or declare the actions that come without an item: {has_item: false}"
        yield misconfigured("columns", f"{where}: {field} is empty in {empty:,} of {len(asked):,} rows", remedy)


def _times(config: Config, where: str, source: EventSource, rows: Rows, run_date: date) -> Iterator[Finding]:
    texts = [row["occurred_at"] for row in rows if row["occurred_at"] is not None]
    instants = [micros(text, source.time_unit, source.timezone) for text in texts]
    read = [at for at in instants if at is not None]
    if len(read) < _MOST * len(texts) or not texts:
        fits = [
            (unit, zone)
            for unit, zone in (("s", None), ("ms", None), ("us", None), ("ns", None), ("iso", None), ("iso", "UTC"))
            if texts and sum(micros(text, unit, zone) is not None for text in texts) > _MOST * len(texts)
        ]
        example = texts[0] if texts else "nothing"
        said = f"{where}: occurred_at {example!r} is no time in time_unit {source.time_unit}"
        if not fits:
            yield misconfigured("times", said, f"map another column to {where}.columns.occurred_at")
        elif fits[0] == ("iso", "UTC"):
            remedy = f"set {where}.timezone to the zone of the log's clock" + _unit("iso", source, where)
            yield misconfigured("times", f"{said}: it carries no offset", remedy)
        else:
            yield misconfigured("times", said, f"set {where}.time_unit to {fits[0][0]}")
        return
    latest = micros_of(cutoff_of(config).end_of(run_date + timedelta(days=config.input.future_days)))
    ahead = sum(at >= latest for at in read)
    if ahead > config.input.max_rejected_share * len(read):
        said = (
            f"{where}: {ahead:,} of {len(read):,} events lie more than {config.input.future_days} days after {run_date}"
        )
        remedy = "take a later --run-date; is time_unit right? `input.future_days` says how many days ahead may lie"
        yield warned("times", said, remedy)


def _unit(unit: str, source: EventSource, where: str) -> str:
    return "" if source.time_unit == unit else f", and {where}.time_unit to {unit}"


def _actions(config: Config, where: str, source: EventSource, rows: Rows) -> Iterator[Finding]:
    known: Mapping[str, Action] | None = config.input.actions
    if known is None or "action" not in source.columns:
        return
    seen = Counter(row["action"] for row in rows)
    unlisted = {str(name): count for name, count in seen.items() if name not in known}
    if sum(unlisted.values()) > config.input.max_rejected_share * len(rows):
        said = ", ".join(f"{name!r} {count / len(rows):.1%}" for name, count in Counter(unlisted).most_common(5))
        yield misconfigured("actions", f"{where}: input.actions lacks {said} of the rows", "list them, or correct them")
    missing = [name for name in known if name not in seen]
    if missing:
        remedy = "nothing, if they are rare; else correct the spelling"
        yield warned("actions", f"{where}: not in the {len(rows):,} rows looked at: {', '.join(missing)}", remedy)
