"""Findings -> a table on a terminal, plain lines when piped."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from intentrec.doctor.findings import Finding

_STYLES = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red"}


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print every finding in order, then how many there are of each level."""
    if console.is_terminal:
        table = Table("", "check", "found", "what to do")
        for finding in findings:
            level = Text(finding.level, style=_STYLES[finding.level])
            table.add_row(level, Text(finding.check), Text(finding.found), Text(finding.remedy))
        console.print(table)
    else:
        for finding in findings:
            remedy = f". What to do: {finding.remedy}" if finding.remedy else ""
            line = " ".join(f"{finding.level} {finding.check}: {finding.found}{remedy}".split())
            console.out(line, highlight=False)
    counts = Counter(finding.level for finding in findings)
    console.out(f"{counts['PASS']} PASS, {counts['WARN']} WARN, {counts['FAIL']} FAIL", highlight=False)
