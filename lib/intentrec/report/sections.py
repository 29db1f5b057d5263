"""ReportData -> titled tables of text, the same for the page and the terminal."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from intentrec.report.data import ReportData, SampleItem, SampleUser, Score, Trade


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table.

    Attributes:
        key: names the section for plots and tests.
        title: for people.
        columns: headings.
        rows: text, as many cells as columns.
        note: a line above the table, or instead of an empty one.
        brief: False for what only the page shows.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    brief: bool = True


def sections(data: ReportData) -> tuple[Section, ...]:
    """Return all sections in the order of the flow; one without rows and without a note is left out."""
    found = (
        _stages(data),
        _rejected(data),
        _days(data),
        _session_lengths(data),
        _epochs(data),
        *_scores(data),
        _intents(data),
        _coverage(data),
        _trades(data),
        _figures(data),
        *map(_sample, data.samples),
    )
    return tuple(section for section in found if section.rows or section.note)


def heading(data: ReportData) -> tuple[tuple[str, str], ...]:
    """Return what the night was, as label and text; what is unknown is left out."""
    lines = (
        ("run date", data.run_date.isoformat()),
        ("run", data.run_id),
        ("warehouse", data.warehouse),
        ("lists made by", data.model_id),
        ("gate", data.verdict),
        ("because", data.reason),
        *(("warning", warning) for warning in data.warnings),
    )
    return tuple((label, printable(text)) for label, text in lines if text)


def printable(text: str) -> str:
    """Drop control characters: titles come from outside, and a terminal obeys some of them."""
    return "".join(" " if unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else letter for letter in text)


def _stages(data: ReportData) -> Section:
    rows = (
        (stage.stage, stage.status, f"{stage.seconds:.1f}", ", ".join(f"{name} {n:,}" for name, n in stage.counters))
        for stage in data.stages
    )
    return _section("stages", "Rows per stage", ("stage", "status", "seconds", "counted"), rows)


def _rejected(data: ReportData) -> Section:
    rows = ((rejected.reason, f"{rejected.num_rows:,}", rejected.example) for rejected in data.rejected)
    note = "" if data.rejected else "no row was rejected"
    return _section("rejected", "Quarantine", ("reason", "rows", "example"), rows, note)


def _days(data: ReportData) -> Section:
    rows = ((day.day.isoformat(), f"{day.num_events:,}", f"{day.num_sessions:,}") for day in data.days)
    return _section("days", "Events and sessions per day", ("day", "events", "sessions"), rows, brief=False)


def _session_lengths(data: ReportData) -> Section:
    rows = ((length.label, f"{length.num_sessions:,}") for length in data.session_lengths)
    return _section("session_lengths", "Session length", ("events", "sessions"), rows, brief=False)


def _epochs(data: ReportData) -> Section:
    rows = ((str(epoch.epoch), f"{epoch.train_loss:.4f}", _figure(epoch.validation_loss)) for epoch in data.epochs)
    columns = ("epoch", "training loss", "validation loss")
    return _section("epochs", "Training", columns, rows, brief=False)


def _scores(data: ReportData) -> list[Section]:
    lengths = list(dict.fromkeys(score.k for score in data.scores))
    return [_scores_at(k, [score for score in data.scores if score.k == k], lengths) for k in lengths]


def _scores_at(k: int | None, scores: Sequence[Score], lengths: Sequence[int | None]) -> Section:
    metrics = list(dict.fromkeys(score.metric for score in scores))
    cells = {(score.name, score.role, score.metric): score for score in scores}
    names = list(dict.fromkeys((score.name, score.role) for score in scores))
    rows = ((name, role, *(_interval(cells.get((name, role, metric))) for metric in metrics)) for name, role in names)
    title = "Metrics" if k is None else f"Metrics at {k}"
    return _section(f"scores_{k}", title, ("recommender", "role", *metrics), rows, brief=k == lengths[0])


def _intents(data: ReportData) -> Section:
    rows = ((intent.head, intent.label, f"{intent.share:.1%}") for intent in data.intents)
    return _section("intents", "Intents of the users", ("head", "most likely label", "users"), rows, brief=False)


def _coverage(data: ReportData) -> Section:
    rows = (
        (str(row.k), f"{row.num_shown:,}", f"{row.num_eligible:,}", f"{row.num_shown / max(1, row.num_eligible):.1%}")
        for row in data.coverage
    )
    return _section("coverage", "Catalogue coverage", ("k", "items shown", "eligible items", "share"), rows)


def _trades(data: ReportData) -> Section:
    rows = (
        (f"{trade.metric} at {trade.k}", _figure(trade.without), _figure(trade.with_them), _change(trade))
        for trade in data.trades
    )
    columns = ("figure", "without", "with", "change")
    return _section("policies", "What recommendations.policies cost and buy", columns, rows)


def _change(trade: Trade) -> str:
    return f"{trade.with_them / trade.without - 1:+.1%}" if trade.without else ""


def _figures(data: ReportData) -> Section:
    rows = ((figure.metric, figure.segment, _figure(figure.value)) for figure in data.figures)
    return _section("figures", "Lists and drift", ("figure", "of", "value"), rows, brief=False)


def _sample(user: SampleUser) -> Section:
    rows = ((str(item.rank), item.title, item.source, _why(item)) for item in user.items)
    note = f"history: {' · '.join(user.history)}" if user.history else "history: none"
    return _section(
        f"sample_{user.user_id}", f"User {user.user_id}", ("rank", "recommended", "source", "why"), rows, note
    )


def _why(item: SampleItem) -> str:
    """Say in words why a row is there."""
    reasons = {
        "prior": ["popular now or often next"],
        "fallback": ["popular; fills a short list"],
        "pinned": ["pinned by a rule"],
        "explore": ["drawn at random" if item.chance is None else f"drawn at random, chance {item.chance:.1%}"],
    }.get(item.source, [])
    if item.because:
        reasons.append(f"like {item.because}")
    if item.intent:
        reasons.append(f"for {item.intent}")
    return "; ".join(reasons)


def _section(
    key: str, title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], note: str = "", brief: bool = True
) -> Section:
    clean = tuple(tuple(map(printable, row)) for row in rows)
    return Section(key, printable(title), tuple(map(printable, columns)), clean, printable(note), brief)


def _interval(score: Score | None) -> str:
    if score is None:
        return ""
    if score.low is None or score.high is None:
        return _figure(score.value)
    return f"{score.value:.4f} ({score.low:.4f} to {score.high:.4f})"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
