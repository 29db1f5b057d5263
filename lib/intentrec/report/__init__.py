"""What a person sees of a night: report.html and the summary on the terminal."""

from intentrec.report.collecting import collect_report
from intentrec.report.data import (
    Coverage,
    Day,
    Epoch,
    IntentShare,
    Rejected,
    ReportData,
    SampleItem,
    SampleUser,
    Score,
    SessionLength,
    StageRows,
    Trade,
)
from intentrec.report.document import render_report, write_report
from intentrec.report.summary import print_summary

__all__ = [
    "Coverage",
    "Day",
    "Epoch",
    "IntentShare",
    "Rejected",
    "ReportData",
    "SampleItem",
    "SampleUser",
    "Score",
    "SessionLength",
    "StageRows",
    "Trade",
    "collect_report",
    "print_summary",
    "render_report",
    "write_report",
]
