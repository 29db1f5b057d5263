"""What protects consumers: a worse model is not promoted, a wrong list is not published."""

from intentrec.gate.counts import catalogue_counts, event_counts, intent_counts, list_counts, overlap_counts
from intentrec.gate.decision import Decision, Judged, champion_before, decide
from intentrec.gate.figures import CHAMPION, YESTERDAY, ListFigures, drift_figures, gather, list_figures
from intentrec.gate.limits import broken_limits, refuse_broken_limits
from intentrec.gate.lists import CHECKS, MAX_SHORT_SHARE, ListInputs, check_lists, violations
from intentrec.gate.overrides import BY_GATE, DEMOTED, LIFTED, PINNED, WITHDRAWN, overrides_of, withdrawal_of
from intentrec.gate.segments import Members

__all__ = [
    "BY_GATE",
    "CHAMPION",
    "CHECKS",
    "DEMOTED",
    "LIFTED",
    "MAX_SHORT_SHARE",
    "PINNED",
    "WITHDRAWN",
    "YESTERDAY",
    "Decision",
    "Judged",
    "ListFigures",
    "ListInputs",
    "Members",
    "broken_limits",
    "catalogue_counts",
    "champion_before",
    "check_lists",
    "decide",
    "drift_figures",
    "event_counts",
    "gather",
    "intent_counts",
    "list_counts",
    "list_figures",
    "overlap_counts",
    "overrides_of",
    "refuse_broken_limits",
    "violations",
    "withdrawal_of",
]
