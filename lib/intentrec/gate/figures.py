"""Counts of a night -> how its lists are, and how far it has drifted from the champion's night."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isnan

import numpy as np

from intentrec.metrics import gini, jensen_shannon, top_share

YESTERDAY, CHAMPION = "yesterday", "champion"  # the two nights that lists are compared with
TOP = 0.01  # of the eligible items: those whose share of all places is measured

Counts = Mapping[tuple[str, str], Mapping[str, int]]  # (what, segment) -> label -> num


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFigures:
    """How the lists of a night are; None where there is nothing to compare with.

    Attributes:
        num_lists: of the night.
        users_kept: of the users with a list on the newest night before, the share who have one again.
        coverage: of the eligible items, the share that stands in a list.
        gini: of the number of lists in which each eligible item stands.
        top_share: of all places, the share of the most listed hundredth of the eligible items.
        fallback_share: of all places, the share that popularity filled.
        overlap: of the places of users who had a list on the newest night before, the share of items listed there too.
    """

    num_lists: int
    users_kept: float | None
    coverage: float | None
    gini: float | None
    top_share: float | None
    fallback_share: float | None
    overlap: float | None


@dataclass(frozen=True, slots=True)
class Drift:
    """A figure of METRICS: its name, and the head or event feature it is of, else ``all``."""

    metric: str
    segment: str
    value: float


def gather(rows: Iterable[tuple[str, str, str, int]]) -> Counts:
    """Sort collected rows of ``gate.counts``."""
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for what, segment, label, num in rows:
        found[what, segment][label] = num
    return dict(found)


def list_figures(counts: Counts, num_eligible: int) -> ListFigures:
    """Make figures of ``list_counts``, and of ``overlap_counts`` with YESTERDAY.

    Args:
        counts: gathered.
        num_eligible: items that may be recommended; a list may hold others only where a rule pins them.
    """
    sources = counts.get(("source", ""), {})
    listed = {int(label): num for label, num in counts.get(("listed", ""), {}).items()}
    num_listed = sum(listed.values())
    times = np.repeat(np.array([*listed], np.int64), np.array([*listed.values()], np.int64))
    times_N = np.concatenate([times, np.zeros(max(0, num_eligible - num_listed), np.int64)])
    return ListFigures(
        num_lists=_one(counts, "lists"),
        users_kept=_share(_one(counts, f"{YESTERDAY}_users"), _one(counts, f"{YESTERDAY}_lists")),
        coverage=_share(num_listed, len(times_N)),
        gini=_known(gini(times_N)),
        top_share=_known(top_share(times_N, TOP)),
        fallback_share=_share(sources.get("fallback", 0), sum(sources.values())),
        overlap=_share(_one(counts, f"{YESTERDAY}_kept"), _one(counts, f"{YESTERDAY}_places")),
    )


def drift_figures(counts: Counts) -> tuple[Drift, ...]:
    """Make figures of the other counts; what there is nothing to compare with is left out.

    Everything is compared with the champion's own night, usually that before, and not with the newest one: a night that
    is filled in later must not change what a later one has measured.

    Returns:
        ``list_churn``: share of places with an item that the user's list did not hold then. ``catalogue_turnover``:
        items that came or went, of all of both nights. ``intent_shift`` of each head: ``jensen_shannon`` of the
        users' likeliest labels. ``unknown_item_share``: of the last day's events with an item, those whose item the
        champion does not know. ``feature_coverage`` of each event feature: of the last day's events, those with a
        known value of it.
    """
    shares = [
        ("list_churn", _share(_one(counts, f"{CHAMPION}_kept"), _one(counts, f"{CHAMPION}_places")), True),
        ("catalogue_turnover", _unchanged(counts), True),
        ("unknown_item_share", _unknown(counts), False),
    ]
    found = [Drift(name, "all", 1 - share if rest else share) for name, share, rest in shares if share is not None]
    heads = sorted(segment for what, segment in counts if what == "intents_now")
    for head in heads:
        shift = jensen_shannon(counts["intents_now", head], counts.get(("intents_then", head), {}))
        found += [] if isnan(shift) else [Drift("intent_shift", head, shift)]
    num_events = _one(counts, "events")
    for name in sorted(segment for what, segment in counts if what == "feature_events"):
        share = _share(_one(counts, "feature_events", name), num_events)
        found += [] if share is None else [Drift("feature_coverage", name, share)]
    return tuple(found)


def _unchanged(counts: Counts) -> float | None:
    now, then, both = (_one(counts, f"items_{when}") for when in ("now", "then", "both"))
    return _share(both, now + then - both) if then else None  # the catalogue of that night may be past keeping


def _unknown(counts: Counts) -> float | None:
    return _share(_one(counts, "unknown_events"), _one(counts, "item_events"))


def _one(counts: Counts, what: str, segment: str = "") -> int:
    return counts.get((what, segment), {}).get("", 0)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _known(value: float) -> float | None:
    return None if isnan(value) else value
