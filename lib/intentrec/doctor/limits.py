"""Limits of the config that exclude each other: each is sound alone, and one of them can never be reached."""

from collections.abc import Iterator

from intentrec.config import SessionsConfig
from intentrec.doctor.findings import Finding, passed, warned


def check_limits(sessions: SessionsConfig) -> Iterator[Finding]:
    """Warn of rules for bots that no session can break: they are judged when long sessions have been cut."""
    bots = sessions.bots
    counts = {
        "events_per_hour": bots.events_per_hour,
        "events_per_session": bots.events_per_session,
        "distinct_items": bots.distinct_items,
        "min_events": bots.min_events if bots.equal_pauses is not None or bots.one_item is not None else None,
    }
    idle = [f"{name} {count}" for name, count in counts.items() if count is not None and count > sessions.max_events]
    if idle:
        cut = f"sessions are cut at sessions.max_events {sessions.max_events}"
        yield warned(
            "limits",
            f"sessions.bots: {', '.join(idle)} flags nothing: {cut}",
            f"set it to {sessions.max_events} or less, or to null, or raise sessions.max_events",
        )
    else:
        yield passed("limits", f"every rule of sessions.bots can flag sessions of {sessions.max_events} events")
