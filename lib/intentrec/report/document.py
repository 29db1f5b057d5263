"""ReportData -> report.html, one page that needs nothing but itself."""

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from intentrec.report.data import ReportData
from intentrec.report.files import put_text
from intentrec.report.plots import plots
from intentrec.report.sections import heading, sections


def render_report(data: ReportData) -> str:
    """Return the page; text from outside is escaped, plots are inside it."""
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = page.from_string(files("intentrec.report").joinpath("template.html").read_text(encoding="utf-8"))
    return template.render(
        run_date=data.run_date.isoformat(),
        verdict=data.verdict or "",
        heading=heading(data),
        sections=sections(data),
        plots=plots(data),
    )


def write_report(data: ReportData, path: Path) -> None:
    """Write the page in one step: a reader sees the old one or the new one.

    Raises:
        SetupError: the file cannot be written.
    """
    put_text(path, render_report(data))
