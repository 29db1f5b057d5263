"""What protects consumers: a worse model is not promoted, a wrong list is not published."""

from intentrec.gate.decision import Decision, Judged, champion_before, decide
from intentrec.gate.lists import CHECKS, MAX_SHORT_SHARE, ListInputs, check_lists, violations

__all__ = [
    "CHECKS",
    "MAX_SHORT_SHARE",
    "Decision",
    "Judged",
    "ListInputs",
    "champion_before",
    "check_lists",
    "decide",
    "violations",
]
