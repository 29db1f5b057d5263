"""The first rows of a source or snapshot against the config: would ingest_events take them?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from intentrec.config import Config, EventSource, RulesSource, Snapshot, cutoff_of
from intentrec.doctor.findings import Finding, misconfigured, warned
from intentrec.doctor.refusals import Problems, Row, problems_of_event, problems_of_member
from intentrec.events import micros_of
from intentrec.events.judging import ONLY_ACTION
from intentrec.starter.profiles import micros
from intentrec.tables import RULE_KINDS

_MOST = 0.5  # of the texts; more say that the config is wrong, fewer that rows are
_SAID = {
    "missing_field": "is empty",
    "bad_id": "is blank, longer than 512 bytes or holds NUL",
    "wrong_type": "cannot be read",
}
_WANTED = {
    "value": "finite numbers", "sequence": "whole numbers", "published_at": "times", "available": "true or false",
}  # fmt: skip
Rows = Sequence[Row]
Counts = Counter[tuple[str, str]]  # of field and reason


def check_events(config: Config, where: str, source: EventSource, rows: Rows, run_date: date) -> Iterator[Finding]:
    """Count what would be refused against ``input.max_rejected_share``; nothing is told where all is well.

    Args:
        config: limits, actions, time zone.
        where: key of the source.
        source: its mapping.
        rows: reason, and the texts of ``columns_of(source)``.
        run_date: of the night.
    """
    most = config.input.max_rejected_share * len(rows)
    found = [problems_of_event(row, source, config.input.actions) for row in rows]
    counts = Counter(problem for problems in found for problem in problems.items())
    if _num_bad(counts, "row") > most:
        yield _malformed(where, source, counts, len(rows))
        return
    sound = [row for row in rows if row["reason"] is None]
    faults = [*_fields(where, counts, most, len(rows))]
    if _num_bad(counts, "occurred_at") > most:
        faults.append(_times(where, source, sound))
    if counts["action", "unknown_action"] > most:
        faults.append(_unlisted(config, where, sound))
    yield from faults or _sum(config, where, found)
    yield from _ahead(config, where, source, sound, run_date)
    yield from _unseen(config, where, source, sound)


def check_members(config: Config, where: str, snapshot: Snapshot, kind: str, rows: Rows) -> Iterator[Finding]:
    """Count what would be refused of a catalogue or a users file; one without rows, and an id twice, is refused too.

    Args:
        config: limits, time zone.
        where: key of the snapshot.
        snapshot: its mapping.
        kind: items or users.
        rows: reason, and the texts of ``columns_of_snapshot(snapshot, kind)``.
    """
    if not rows:
        yield misconfigured("input", f"{where}: holds no row, wanted all {kind}", "deliver it, or leave the key out")
        return
    most = config.input.max_rejected_share * len(rows)
    found = [problems_of_member(row, snapshot, kind, config.timezone) for row in rows]
    counts = Counter(problem for problems in found for problem in problems.items())
    if _num_bad(counts, "row") > most:
        yield _malformed(where, snapshot, counts, len(rows))
        return
    faults = [*_fields(where, counts, most, len(rows))]
    yield from faults or _sum(config, where, found)
    key = f"{kind.removesuffix('s')}_id"
    ids = Counter(row[key] for row, problems in zip(rows, found, strict=True) if not problems)
    twice = [(name, number) for name, number in ids.most_common(1) if number > 1]
    for name, number in twice:
        said = f"{where}: {key} {name!r} stands {number} times, wanted once"
        yield misconfigured("input", said, f"correct the file, or {where}.columns.{key}")


def check_rules(where: str, source: RulesSource, rows: Rows) -> Iterator[Finding]:
    """Name the first row that is none, or whose kind there is not: one such row refuses the run."""
    if not rows:
        remedy = "deliver it again, or leave the source out: rules without any row refuse the night"
        yield warned("input", f"{where}: holds no row", remedy)
    broken = Counter(("row", str(row["reason"])) for row in rows if row["reason"] is not None)
    if broken:
        yield _malformed(where, source, broken, len(rows))
        return
    for row in rows:
        kind = row.get("rule_kind")
        if kind is not None and kind not in RULE_KINDS:
            yield misconfigured("rules", f"{where}: kind {kind}", f"take one of {', '.join(sorted(RULE_KINDS))}")
            return


def _num_bad(counts: Counts, field: str) -> int:
    return sum(number for (name, _), number in counts.items() if name == field)


def _malformed(where: str, source: EventSource | Snapshot | RulesSource, counts: Counts, total: int) -> Finding:
    broken = Counter({reason: number for (field, reason), number in counts.items() if field == "row"})
    said = f"{where}: {broken.total():,} of {total:,} rows are refused: {broken.most_common(1)[0][0]}"
    return misconfigured(
        "input", said, f"is {where}.format {source.format} right, and {where}.options (sep, quote, encoding)?"
    )


def _fields(where: str, counts: Counts, most: float, total: int) -> Iterator[Finding]:
    """Tell the fields of which alone too many are refused; times and unknown actions have findings of their own."""
    for (field, reason), number in counts.items():
        if number <= most or field in ("row", "occurred_at") or reason == "unknown_action":
            continue
        remedy = f"correct {where}.columns.{'event_id' if field.startswith('event_id') else field}"
        if field in _WANTED:
            remedy += f", wanted {_WANTED[field]}"
        if field == "item_id" and where.startswith("input.events"):
            remedy += ", or declare the actions that come without an item: {has_item: false}"
        yield misconfigured("columns", f"{where}: {field} {_SAID[reason]} in {number:,} of {total:,} rows", remedy)


def _sum(config: Config, where: str, found: Sequence[Problems]) -> Iterator[Finding]:
    """Tell rows that are refused for several reasons, none of which alone is too frequent."""
    refused = sum(map(bool, found))
    if refused > config.input.max_rejected_share * len(found):
        reasons = Counter(f"{field} {reason}" for problems in found for field, reason in problems.items())
        told = ", ".join(f"{reason} {number:,}" for reason, number in reasons.most_common(5))
        said = f"{where}: {refused:,} of {len(found):,} rows would be refused: {told}"
        remedy = f"correct {where}.columns or the files, or raise input.max_rejected_share"
        yield misconfigured("input", said, remedy)


def _times(where: str, source: EventSource, rows: Rows) -> Finding:
    texts = [row["occurred_at"] for row in rows if row["occurred_at"] is not None]
    bad = [text for text in texts if micros(text, source.time_unit, source.timezone) is None]
    if texts and len(bad) <= _MOST * len(texts):
        said = f"{where}: occurred_at is empty in {len(rows) - len(texts):,} of {len(rows):,} rows and no time in "
        said += f"{len(bad):,}{f', {bad[0]!r} for one' if bad else ''}"
        remedy = f"correct the files or {where}.columns.occurred_at, or raise input.max_rejected_share"
        return misconfigured("times", said, remedy)
    fits = [
        (unit, zone)
        for unit, zone in (("s", None), ("ms", None), ("us", None), ("ns", None), ("iso", None), ("iso", "UTC"))
        if texts and sum(micros(text, unit, zone) is not None for text in texts) > _MOST * len(texts)
    ]
    example = texts[0] if texts else "nothing"
    said = f"{where}: occurred_at {example!r} is no time in time_unit {source.time_unit}"
    if not fits:
        return misconfigured("times", said, f"map another column to {where}.columns.occurred_at")
    if fits[0] == ("iso", "UTC"):
        unit = "" if source.time_unit == "iso" else f", and {where}.time_unit to iso"
        remedy = f"set {where}.timezone to the zone of the log's clock{unit}"
        return misconfigured("times", f"{said}: it carries no offset", remedy)
    return misconfigured("times", said, f"set {where}.time_unit to {fits[0][0]}")


def _ahead(config: Config, where: str, source: EventSource, rows: Rows, run_date: date) -> Iterator[Finding]:
    instants = (micros(row["occurred_at"], source.time_unit, source.timezone) for row in rows)
    read = [at for at in instants if at is not None]
    latest = micros_of(cutoff_of(config).end_of(run_date + timedelta(days=config.input.future_days)))
    ahead = sum(at >= latest for at in read)
    if ahead > config.input.max_rejected_share * len(read):
        said = (
            f"{where}: {ahead:,} of {len(read):,} events lie more than {config.input.future_days} days after {run_date}"
        )
        remedy = "take a later --run-date; is time_unit right? `input.future_days` says how many days ahead may lie"
        yield warned("times", said, remedy)


def _unlisted(config: Config, where: str, rows: Rows) -> Finding:
    known = {None, *(config.input.actions or ())}
    seen = Counter(row.get("action", ONLY_ACTION) for row in rows)
    unlisted = Counter({name: number for name, number in seen.items() if name not in known})
    said = ", ".join(f"{name!r} {number / len(rows):.1%}" for name, number in unlisted.most_common(5))
    return misconfigured("actions", f"{where}: input.actions lacks {said} of the rows", "list them, or correct them")


def _unseen(config: Config, where: str, source: EventSource, rows: Rows) -> Iterator[Finding]:
    if config.input.actions is None or "action" not in source.columns:
        return
    seen = {row["action"] for row in rows}
    missing = [name for name in config.input.actions if name not in seen]
    if missing:
        remedy = "nothing, if they are rare; else correct the spelling"
        yield warned("actions", f"{where}: not in the {len(rows):,} rows looked at: {', '.join(missing)}", remedy)
