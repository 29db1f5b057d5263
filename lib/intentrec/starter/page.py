"""A suggestion -> the YAML text of a complete config, with what it was read from as comments."""

import json
import re
from collections.abc import Iterator
from math import ceil

from intentrec.starter.profiles import Profile
from intentrec.starter.suggesting import Suggestion

_USUAL_SHARE = 0.01  # the default of input.max_rejected_share
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_NOT_TEXT = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}  # YAML makes something else of them


def config_page(found: Suggestion) -> str:
    """Return the text; it loads as it stands and every path in it is absolute but the warehouse's."""
    return "\n".join([*_head(found), "warehouse: warehouse", "", *_input(found), "", *_stages(found), ""])


def _head(found: Suggestion) -> Iterator[str]:
    sample = found.sample
    first, last = found.days
    yield f"# Proposed by jobs/doctor.py from {_sampled(found)}: {sample.num_rows:,} rows, {found.num_users:,} users,"
    yield f"# {first} to {last} UTC. Packing: {sample.packing}. Every key and its meaning: deploy/conf/reference.yaml."
    yield f"#   python jobs/nightly.py --config THIS_FILE --run-date {found.run_date}"
    if found.roles.guessed:
        yield f"# CHECK: no name told the column of {' and '.join(found.roles.guessed)}; chosen by values and order."
    if not found.newest_seen:
        yield "# CHECK: the end of the last file was too long to unpack: the log may go on after the run date above."
    time = found.roles.columns["occurred_at"]
    if time.midnights:
        name, clock = scalar(time.name), found.roles.clock
        yield f"# CHECK: {name} holds days alone: every event would be at midnight, in no order, a session a day."
        if clock is not None:
            yield f"# CHECK: {scalar(clock)} looks like its clock: deliver both in one column, as 2024-05-01T09:30:00."


def _sampled(found: Suggestion) -> str:
    sample = found.sample
    files = "one file" if sample.num_files == 1 else f"{sample.num_files:,} files"
    return f"all of {files}" if sample.whole else f"the first rows of {files}"


def _input(found: Suggestion) -> Iterator[str]:
    sample = found.sample
    yield "input:"
    yield "  events:"
    yield f"    - path: {json.dumps(sample.pattern, ensure_ascii=False)}"
    yield f"      format: {sample.format}"
    yield "      columns:"
    for field, column in found.roles.columns.items():
        yield f"        {field}: {_source(found, field, column)}"
    yield f"      time_unit: {found.time_unit}"
    if found.timezone is not None and found.time_pattern is None:
        yield f"      timezone: {found.timezone}                  # CHECK: the times carry no offset"
    elif found.timezone is not None:
        yield f"      timezone: {found.timezone}"
    if found.context:
        yield f"      context: [{', '.join(map(scalar, found.context))}]"
    if sample.form is not None:
        yield f"      options: {{{_options(found)}}}"
    yield "  items: null                          # no catalogue: an item is as old as its first event"
    yield from _actions(found)
    share = _raised_share(found)
    digits, check = (2, "") if share is None else (1, "CHECK: ")
    said = f"{check}{found.refused_share:.{digits}%} of the sample is unusable"
    yield f"  max_rejected_share: {share or _USUAL_SHARE:g}".ljust(39) + f"# {said}"


def _raised_share(found: Suggestion) -> float | None:
    """Return twice the share of unusable rows, rounded up; None where the usual limits leave room enough."""
    return min(1.0, ceil(found.refused_share * 200) / 100) if found.refused_share > _USUAL_SHARE / 2 else None


def _source(found: Suggestion, field: str, column: Profile) -> str:
    if field == "occurred_at" and found.time_pattern is not None:
        return f"{{column: {scalar(column.name)}, pattern: {json.dumps(found.time_pattern)}}}"
    return scalar(column.name)


def _options(found: Suggestion) -> str:
    form = found.sample.form
    assert form is not None
    encoding = "" if form.encoding == "utf-8" else f", encoding: {form.encoding}"
    return f"sep: {json.dumps(form.sep)}, header: {'true' if form.header else 'false'}{encoding}"


def _actions(found: Suggestion) -> Iterator[str]:
    if not found.actions:
        return
    more = "" if found.sample.whole else "; add those that the sample missed"
    yield f"  actions:                             # one that is not listed is rejected{more}"
    for action in found.actions:
        value = f"{action.weight:g}" if action.has_item else f"{{weight: {action.weight:g}, has_item: false}}"
        yield f"    {_key(action.name)}: {value}".ljust(38) + f" # {action.share:.2%} of the rows"


def _stages(found: Suggestion) -> Iterator[str]:
    gap = found.gap
    why = f"the valley of {gap.num_pauses:,} pauses" if gap.valley else "the usual one: the pauses show no valley"
    yield f"sessions: {{gap_minutes: {gap.minutes}}}".ljust(38) + f" # {why}"
    features = ", ".join(map(scalar, found.features))
    yield f"examples: {{history_length: {found.history_length}, event_features: [{features}]}}"
    yield "model: {preset: intent, width: 64}"
    yield "training: {workers: 2, launcher: spark, epochs: 10, seed: 1}"
    days = found.holdout_days
    yield f"evaluation: {{holdout_days: {days}, validation_days: {days}, k: {_lengths(found.k)}}}"
    yield f"recommendations: {{k: {found.k}, active_days: {found.active_days}}}"
    share = _raised_share(found)
    if share is not None:
        yield f"monitoring: {{max_quarantine_share: {share:g}}}".ljust(38) + " # as above, or every night would warn"
    yield 'spark: {master: "local[*]"}            # used only where no session is active and spark-submit gives none'


def _lengths(k: int) -> str:
    return f"[10, {k}]" if k > 10 else f"[{k}]"


def scalar(text: str) -> str:
    """Return a text as YAML that is read back as the same text."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT
    return text if plain else json.dumps(text, ensure_ascii=False)


def _key(text: str) -> str:
    words = text.split(" ")
    plain = all(map(_PLAIN.fullmatch, words)) and text.lower() not in _NOT_TEXT
    return text if plain else json.dumps(text, ensure_ascii=False)
