"""A flag of today is none of yesterday's: sessions that go on are judged by what had happened."""

from datetime import UTC, datetime, timedelta

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from intentrec.sessions import BotRules, flagged_as_of
from intentrec.tables import SESSIONS

MIDNIGHT = datetime(2024, 5, 2, tzinfo=UTC)
RULES = BotRules(None, 3, None, None, None, 1)  # three events


def session(user: str, minutes: list[int], flags: list[str]) -> tuple[object, ...]:
    times = [MIDNIGHT + timedelta(minutes=minute) for minute in minutes]
    events = [(at, 0, f"e{at.minute}", None if at.minute % 2 else "tea", "view", None, []) for at in times]
    return (user, user, times[0], times[-1], len(events), events, flags, times[0], times[0].date(), "run")


def test_sessions_that_go_on_have_the_flags_of_their_events_so_far(spark: SparkSession) -> None:
    bot = "bot_events_per_session"
    rows = [
        session("over", [-9, -8, -7], [bot]),
        session("goes on, no bot yet", [-2, -1, 0], ["clock_back", bot]),
        session("goes on, a bot already", [-3, -2, -1, 5], []),
        session("still to come", [0, 1, 2], [bot]),
    ]
    wanted = [[bot], ["clock_back"], [bot], [bot]]
    expected = [(*row[:6], flags, *row[7:]) for row, flags in zip(rows, wanted, strict=True)]
    found = flagged_as_of(spark.createDataFrame(rows, SESSIONS.schema), MIDNIGHT, RULES)
    assert_df_equality(
        found, spark.createDataFrame(expected, SESSIONS.schema), ignore_row_order=True, ignore_nullable=True,
        ignore_metadata=True,
    )  # fmt: skip


def test_items_count_as_they_did_when_the_session_was_built(spark: SparkSession) -> None:
    rows = [session("ann", [-3, -2, -1, 5], [])]  # no item, tea, no item
    rules = BotRules(None, None, None, None, 0.3, 3)
    (found,) = flagged_as_of(spark.createDataFrame(rows, SESSIONS.schema), MIDNIGHT, rules).collect()
    assert found["flags"] == ["bot_one_item"]
    rules = BotRules(None, None, 2, None, 0.4, 3)
    (found,) = flagged_as_of(spark.createDataFrame(rows, SESSIONS.schema), MIDNIGHT, rules).collect()
    assert found["flags"] == []
