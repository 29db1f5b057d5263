from datetime import date

import pytest

from intentrec.config import AdaptiveGapConfig, BotsConfig, Config, SessionsConfig
from intentrec.errors import ConfigError
from intentrec.sessions import REBUILDING, AdaptiveGap, BotRules, Built, Limits, compare_layout, settings_of

CONFIG = Config.model_validate(
    {
        "warehouse": "w",
        "input": {
            "events": {"path": "x", "format": "json", "columns": {"user_id": "u", "item_id": "i", "occurred_at": "t"}}
        },
    }
)


def test_limits_are_integers_of_microseconds():
    limits = Limits.of(SessionsConfig(gap_minutes=30, max_hours=24, max_events=1000))
    bots = BotRules.of(BotsConfig())
    assert limits == Limits(30 * 60 * 1_000_000, 24 * 3600 * 1_000_000, 1000, (), None, bots)
    config = SessionsConfig(
        gap_minutes=30,
        cut_after=("rent", "buy", "rent"),
        adaptive_gap=AdaptiveGapConfig(factor=4, min_minutes=2),
        flag_clock_back=True,
    )
    assert Limits.of(config).cut_after == ("buy", "rent")
    assert Limits.of(config).clock_back
    assert Limits.of(config).adaptive == AdaptiveGap(4.0, 2 * 60 * 1_000_000)


def test_what_is_remembered_is_read_back():
    built = Built(settings_of(CONFIG) | {"sessions.cut_after": "d'or, \\ or \""}, date(2024, 5, 1), 7, 2)
    assert Built.from_text(built.text()) == built


@pytest.mark.parametrize("text", [None, REBUILDING])
def test_a_table_that_was_never_finished_has_nothing_to_build_on(text):
    assert Built.from_text(text) is None


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("sessions.gap_minutes", 20, "sessions.gap_minutes: is 20, but table sessions was built with 30"),
        ("sessions.max_hours", 12, "sessions.max_hours: is 12, but table sessions was built with 24"),
        ("sessions.max_events", 9, "sessions.max_events: is 9, but table sessions was built with 1000"),
        ("sessions.cut_after", "buy", "sessions.cut_after: is buy, but table sessions was built with ;"),
        ("sessions.adaptive_gap", "x", "sessions.adaptive_gap: is x, but table sessions was built with none"),
        ("sessions.flag_clock_back", True, "flag_clock_back: is True, but table sessions was built with False"),
        (
            "sessions.bots",
            "x",
            "sessions.bots: is x, but table sessions was built with events_per_hour 600, events_per",
        ),
        ("timezone", "Europe/Berlin", "timezone: is Europe/Berlin, but table sessions was built with UTC"),
        ("day_starts_at", "02:36", "day_starts_at: is 02:36, but table sessions was built with 00:00"),
    ],
)
def test_another_limit_on_a_filled_table_names_its_key(key, value, told):
    built = Built(settings_of(CONFIG), date(2024, 5, 1), 7, 2)
    compare_layout(built, settings_of(CONFIG))
    with pytest.raises(ConfigError, match=told):
        compare_layout(built, settings_of(CONFIG) | {key: value})
