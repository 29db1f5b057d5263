"""ReportData -> the summary that ends a command."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from intentrec.report.data import ReportData
from intentrec.report.sections import Section, heading, sections

_STYLES = {"promoted": "green", "refused": "red"}


def print_summary(data: ReportData, console: Console) -> None:
    """Print the night: tables on a terminal, one plain line per row when piped.

    The curves and daily counts of the report are left out, and metrics at all but the first k.
    """
    brief = [section for section in sections(data) if section.brief]
    if console.is_terminal:
        _print_tables(data, brief, console)
    else:
        _print_lines(data, brief, console)


def _print_tables(data: ReportData, brief: list[Section], console: Console) -> None:
    for label, text in heading(data):
        console.print(Text(f"{label}: ", style="dim"), Text(text, style=_STYLES.get(text, "")), sep="")
    for section in brief:
        table = Table(title=Text(section.title, style="bold"), title_justify="left", caption_justify="left")
        for column in section.columns:
            table.add_column(Text(column))
        for row in section.rows:
            table.add_row(*map(Text, row))  # Text: a title such as [red] is not markup
        console.print()
        if section.rows:
            console.print(table)
        if section.note:
            console.print(Text(section.note if section.rows else f"{section.title}: {section.note}"))


def _print_lines(data: ReportData, brief: list[Section], console: Console) -> None:
    lines = [f"{label}: {text}" for label, text in heading(data)]
    for section in brief:
        lines += [f"{section.title}: {section.note}"] if section.note else []
        for row in section.rows:
            named = (f"{column} {cell}" for column, cell in zip(section.columns, row, strict=True) if cell)
            lines.append(f"{section.title}: {', '.join(named)}")
    for line in lines:
        console.out(line, highlight=False)
