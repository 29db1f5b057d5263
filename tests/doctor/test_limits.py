import pytest

from intentrec.config import SessionsConfig
from intentrec.doctor.limits import check_limits


@pytest.mark.parametrize(
    ("sessions", "idle"),
    [
        ({}, ""),  # 1,000 events flag a session of 1,000
        ({"max_events": 999}, "events_per_session 1000"),
        ({"max_events": 50}, "events_per_hour 600, events_per_session 1000, distinct_items 500, min_events 100"),
        ({"max_events": 50, "bots": {"events_per_hour": 50, "events_per_session": None, "distinct_items": 20,
                                     "equal_pauses": None, "one_item": None}}, ""),
        ({"max_events": 99, "bots": {"events_per_hour": None, "events_per_session": None, "distinct_items": None,
                                     "equal_pauses": None}}, "min_events 100"),
    ],
)  # fmt: skip
def test_rules_for_bots_that_no_session_can_break_are_named(sessions, idle):
    (found,) = check_limits(SessionsConfig.model_validate(sessions))
    assert (found.level, bool(found.remedy)) == (("WARN", True) if idle else ("PASS", False))
    if idle:
        wanted = (
            f"sessions.bots: {idle} flags nothing: sessions are cut at sessions.max_events {sessions['max_events']}"
        )
        assert found.found == wanted
