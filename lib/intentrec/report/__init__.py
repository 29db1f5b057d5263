"""What a person sees of a night: report.html and the summary on the terminal."""

from intentrec.report.alarms import alarms
from intentrec.report.collecting import collect_report
from intentrec.report.data import (
    Coverage,
    Day,
    Epoch,
    IntentShare,
    NightFigure,
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
from intentrec.report.files import put_text
from intentrec.report.monitoring import write_monitoring
from intentrec.report.summary import print_summary
from intentrec.report.tracking import mirror_night

__all__ = [
    "Coverage",
    "Day",
    "Epoch",
    "IntentShare",
    "NightFigure",
    "Rejected",
    "ReportData",
    "SampleItem",
    "SampleUser",
    "Score",
    "SessionLength",
    "StageRows",
    "Trade",
    "alarms",
    "collect_report",
    "mirror_night",
    "print_summary",
    "put_text",
    "render_report",
    "write_monitoring",
    "write_report",
]
