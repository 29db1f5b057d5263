"""ReportData -> report.html, one page that needs nothing but itself."""

import os
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from intentrec.crashes import crash_point
from intentrec.errors import SetupError
from intentrec.report.data import ReportData
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
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{path.name}.*"):  # by a run that was killed
            left.unlink(missing_ok=True)
        beside.write_text(render_report(data), encoding="utf-8")
        crash_point("report:before_rename")
        beside.replace(path)
        crash_point("report:after_rename")
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise SetupError(
            f"{path}: the report cannot be written ({error.strerror}). Set artifacts to a folder with space and rights"
        ) from None
