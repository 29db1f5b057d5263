"""ReportData -> plots, each a data URI of an SVG image. Equal data gives equal bytes."""

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from intentrec.report.data import ReportData
from intentrec.report.sections import printable

_COLOURS = {"challenger": "#1b6ca8", "champion": "#6a4c93", "baseline": "#9aa5b1"}
_MAIN, _SECOND = "#1b6ca8", "#d1495b"
_MAX_PANELS = 4  # metrics or heads side by side; the tables hold the rest
_MAX_LABELS = 8  # of a head
_MAX_DAYS = 6  # named below the bars
_STYLE: Any = {
    "svg.hashsalt": "intentrec",  # otherwise ids in the file are random
    "svg.fonttype": "none",  # text stays text: small files, any script
    "text.parse_math": False,  # labels come from outside: a $ in them is no formula
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def plots(data: ReportData) -> dict[str, str]:
    """Draw what there is data for.

    Returns:
        Key of the section that the plot belongs to -> data URI.
    """
    drawn: dict[str, tuple[bool, Callable[[ReportData], Figure]]] = {
        "days": (bool(data.days), _days),
        "session_lengths": (bool(data.session_lengths), _session_lengths),
        "epochs": (bool(data.epochs), _epochs),
        f"scores_{data.scores[0].k if data.scores else None}": (bool(data.scores), _scores),
        "intents": (bool(data.intents), _intents),
        "coverage": (bool(data.coverage), _coverage),
    }
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the reader's browser has the font
        return {key: _image(draw(data)) for key, (wanted, draw) in drawn.items() if wanted}


def _days(data: ReportData) -> Figure:
    figure, (events, sessions) = _panels(2)
    days = [day.day.toordinal() for day in data.days]
    named = data.days[:: len(data.days) // _MAX_DAYS + 1]
    for axes, title, counts, colour in (
        (events, "events", [day.num_events for day in data.days], _MAIN),
        (sessions, "sessions", [day.num_sessions for day in data.days], _SECOND),
    ):
        axes.bar(days, counts, color=colour)
        axes.set_title(title)
        axes.set_xticks([day.day.toordinal() for day in named], labels=[f"{day.day:%y-%m-%d}" for day in named])
    return figure


def _session_lengths(data: ReportData) -> Figure:
    figure, (axes,) = _panels(1)
    axes.bar(range(len(data.session_lengths)), [length.num_sessions for length in data.session_lengths], color=_MAIN)
    _name_ticks(axes.set_xticks, [length.label for length in data.session_lengths])
    axes.set_xlabel("events of a session")
    axes.set_ylabel("sessions")
    return figure


def _epochs(data: ReportData) -> Figure:
    figure, (axes,) = _panels(1)
    axes.plot([row.epoch for row in data.epochs], [row.train_loss for row in data.epochs], "o-", color=_MAIN)
    validated = [(row.epoch, row.validation_loss) for row in data.epochs if row.validation_loss is not None]
    axes.plot([epoch for epoch, _ in validated], [loss for _, loss in validated], "o-", color=_SECOND)
    axes.legend(["training", "validation"] if validated else ["training"], frameon=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss, nats")
    return figure


def _scores(data: ReportData) -> Figure:
    first = [score for score in data.scores if score.k == data.scores[0].k]
    metrics = list(dict.fromkeys(score.metric for score in first))[:_MAX_PANELS]
    num_rows = max(sum(score.metric == metric for score in first) for metric in metrics)
    figure, panels = _panels(len(metrics), height=1.2 + 0.25 * num_rows)
    for axes, metric in zip(panels, metrics, strict=True):
        rows = [score for score in first if score.metric == metric]
        places = range(len(rows))
        axes.barh(places, [row.value for row in rows], color=[_COLOURS.get(row.role, "#9aa5b1") for row in rows])
        for place, row in zip(places, rows, strict=True):
            if row.low is not None and row.high is not None:
                axes.hlines(place, row.low, row.high, color="black")
        _name_ticks(axes.set_yticks, [row.name[:24] for row in rows] if axes is panels[0] else [""] * len(rows))
        axes.invert_yaxis()
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_title(metric if rows[0].k is None else f"{metric} at {rows[0].k}")
    return figure


def _intents(data: ReportData) -> Figure:
    heads = list(dict.fromkeys(intent.head for intent in data.intents))[:_MAX_PANELS]
    figure, panels = _panels(len(heads))
    for axes, head in zip(panels, heads, strict=True):
        rows = [intent for intent in data.intents if intent.head == head][:_MAX_LABELS]
        axes.barh(range(len(rows)), [row.share for row in rows], color=_MAIN)
        _name_ticks(axes.set_yticks, [row.label[:16] for row in rows])
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(2))
        axes.set_title(printable(head))
    return figure


def _coverage(data: ReportData) -> Figure:
    figure, (axes,) = _panels(1, height=0.9 + 0.3 * len(data.coverage))
    places = range(len(data.coverage))
    axes.barh(places, [row.num_eligible for row in data.coverage], color="#d9dee3", label="eligible items")
    axes.barh(places, [row.num_shown for row in data.coverage], color=_MAIN, label="shown to anybody")
    _name_ticks(axes.set_yticks, [f"first {row.k}" for row in data.coverage])
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _panels(number: int, height: float = 2.4) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(figure)  # no display and no state shared between figures
    return figure, list(figure.subplots(1, number, squeeze=False)[0])


def _name_ticks(set_ticks: Callable[..., object], labels: Sequence[str]) -> None:
    """Name the ticks 0, 1, ..."""
    set_ticks(range(len(labels)), labels=[printable(label) for label in labels])


def _image(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
