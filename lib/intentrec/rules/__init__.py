"""What may be recommended, to whom, and how much of it: rules are gathered, compiled, kept, audited."""

from intentrec.rules.audit import Written, audit_lists, broken_rules
from intentrec.rules.compiling import Reader, RuleRow, Rules, View
from intentrec.rules.eligibility import eligible_items
from intentrec.rules.feasibility import count_barred, refuse_impossible
from intentrec.rules.gathering import Moment, addressed, gather_rules, hidden_items
from intentrec.rules.selecting import Chosen, Fetch, Found, pinned, repair, select, take

__all__ = [
    "Chosen",
    "Fetch",
    "Found",
    "Moment",
    "Reader",
    "RuleRow",
    "Rules",
    "View",
    "Written",
    "addressed",
    "audit_lists",
    "broken_rules",
    "count_barred",
    "eligible_items",
    "gather_rules",
    "hidden_items",
    "pinned",
    "refuse_impossible",
    "repair",
    "select",
    "take",
]
