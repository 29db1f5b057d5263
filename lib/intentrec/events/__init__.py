"""Rows of text -> events, items and users; what is refused keeps its file, line and reason."""

from intentrec.events.catalogue import (
    columns_of_snapshot,
    items_from_catalogue,
    items_from_events,
    judge_items,
    judge_users,
    refuse_bad_snapshot,
    refuse_lost_items,
    users_from_snapshot,
)
from intentrec.events.deliveries import (
    REBUILDING,
    Book,
    Plan,
    Rejected,
    compare_layout,
    generation_of,
    layout_of,
    plan_reading,
    read_books,
    watermark_of,
)
from intentrec.events.judging import Bounds, bounds_of, columns_of, judge, micros_of
from intentrec.events.merging import (
    Count,
    balance,
    count_rows,
    events_of,
    quarantine_of,
    read_rejected,
    refuse_too_many,
    with_verdict,
)
from intentrec.events.reasons import REASONS
from intentrec.events.volume import refuse_odd_volume

__all__ = [
    "REASONS",
    "REBUILDING",
    "Book",
    "Bounds",
    "Count",
    "Plan",
    "Rejected",
    "balance",
    "bounds_of",
    "columns_of",
    "columns_of_snapshot",
    "compare_layout",
    "count_rows",
    "events_of",
    "generation_of",
    "items_from_catalogue",
    "items_from_events",
    "judge",
    "judge_items",
    "judge_users",
    "layout_of",
    "micros_of",
    "plan_reading",
    "quarantine_of",
    "read_books",
    "read_rejected",
    "refuse_bad_snapshot",
    "refuse_lost_items",
    "refuse_odd_volume",
    "refuse_too_many",
    "users_from_snapshot",
    "watermark_of",
    "with_verdict",
]
