"""Two nights of generated logs through all six jobs, read with a reader that is not Spark."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from tests.generated import FIRST_NIGHT, NEW_ITEM, NUM_ITEMS, NUM_USERS, SECOND_NIGHT, UNAVAILABLE_ITEM, K
from tests.running import Flow
from tests.tables_oracle import rows_of

from intentrec.config import STAGES
from intentrec.tables import (
    EVENTS,
    EVENTS_QUARANTINE,
    EXAMPLES,
    GATE_DECISIONS,
    HISTORIES,
    INGESTED_FILES,
    ITEMS,
    METRICS,
    MODELS,
    RECOMMENDATIONS,
    RECOMMENDATIONS_STAGED,
    RUNS,
    SEGMENT_RECOMMENDATIONS,
    SESSIONS,
    SIMILAR_ITEMS,
    USER_INTENTS,
    VOCABULARY,
)

NIGHTS = (FIRST_NIGHT, SECOND_NIGHT)
NUM_EVENTS = 37 * (8 + 5 + 5 + 5) + 3 * (5 + 5)  # three people come only on the third day


def end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)


def seen_by(flow: Flow, until: date) -> dict[str, set[str]]:
    """Collect what everyone did, from the events themselves."""
    seen = defaultdict(set)
    for row in rows_of(flow.warehouse, EVENTS):
        if row["occurred_at"].astimezone(UTC) < end_of(until):
            seen[row["user_id"]].add(row["item_id"])
    return seen


def test_the_books_of_every_file_balance_and_every_bad_row_keeps_its_place(flow: Flow) -> None:
    books = {Path(row["path"]).name: row for row in rows_of(flow.warehouse, INGESTED_FILES)}
    counts = {
        name: (row["rows_read"], row["rows_accepted"], row["rows_duplicate"], row["rows_quarantined"])
        for name, row in books.items()
    }
    assert counts == {
        "2024-05-01.json": (37 * 8, 37 * 8, 0, 0),
        "2024-05-02.json": (37 * 5 + 3, 37 * 5, 1, 2),
        "2024-05-03.json": (40 * 5, 40 * 5, 0, 0),
        "2024-05-04.json": (40 * 5, 40 * 5, 0, 0),
    }
    events = rows_of(flow.warehouse, EVENTS)
    assert len({row["event_id"] for row in events}) == len(events) == NUM_EVENTS
    bad = {
        (Path(row["source_file"]).name, row["line"], row["reason"])
        for row in rows_of(flow.warehouse, EVENTS_QUARANTINE)
    }
    assert bad == {("2024-05-02.json", 4, "malformed_row"), ("2024-05-02.json", 6, "unknown_action")}


def test_sessions_hold_every_event_once(flow: Flow) -> None:
    sessions = rows_of(flow.warehouse, SESSIONS)
    held = Counter(event["event_id"] for row in sessions for event in row["events"])
    assert set(held.values()) == {1}
    assert len(held) == NUM_EVENTS
    assert len(sessions) == 2 * (37 * 4 + 3 * 2)  # two sittings a day, three hours apart


@pytest.mark.parametrize("night", NIGHTS)
def test_every_active_user_gets_exactly_k_items_that_may_be_shown_best_first(flow: Flow, night: date) -> None:
    lists = rows_of(flow.warehouse, RECOMMENDATIONS, run_date=night)
    seen = seen_by(flow, night)
    items = {row["item_id"]: row["available"] for row in rows_of(flow.warehouse, ITEMS, run_date=night)}
    assert len(items) == NUM_ITEMS
    assert sorted(row["user_id"] for row in lists) == sorted(seen)
    assert len(seen) == NUM_USERS
    for row in lists:
        shown = [entry["item_id"] for entry in row["items"]]
        scores = [entry["score"] for entry in row["items"]]
        assert [entry["rank"] for entry in row["items"]] == list(range(1, K + 1))
        assert scores == sorted(scores, reverse=True)
        assert len(set(shown)) == K
        assert not set(shown) & seen[row["user_id"]]
        assert all(items[item] for item in shown)
        assert {entry["because_item_id"] for entry in row["items"] if entry["source"] != "fallback"} <= seen[
            row["user_id"]
        ]
    assert UNAVAILABLE_ITEM in set().union(*seen.values())  # it would have been there to be recommended
    staged = rows_of(flow.warehouse, RECOMMENDATIONS_STAGED, run_date=night)
    assert sorted(map(str, staged)) == sorted(map(str, lists))


@pytest.mark.parametrize("night", NIGHTS)
def test_lists_are_made_by_the_model_with_popularity_in_it(flow: Flow, night: date) -> None:
    rows = rows_of(flow.warehouse, RECOMMENDATIONS, run_date=night)
    sources = Counter(entry["source"] for row in rows for entry in row["items"])
    assert sources["model"] > 0
    assert (sources["model"] + sources["prior"]) / (K * NUM_USERS) >= 0.9
    refits = rows_of(flow.warehouse, MODELS, run_date=night, kind="refit")
    assert {row["model_id"] for row in rows} == {model["model_id"] for model in refits}


@pytest.mark.parametrize("night", NIGHTS)
def test_users_with_different_histories_get_different_intents(flow: Flow, night: date) -> None:
    intents = {row["user_id"]: row for row in rows_of(flow.warehouse, USER_INTENTS, run_date=night)}
    assert len(intents) == NUM_USERS
    for row in intents.values():
        assert [head["head"] for head in row["heads"]] == [weight["head"] for weight in row["head_weights"]]
        assert sum(weight["weight"] for weight in row["head_weights"]) == pytest.approx(1, abs=1e-5)
        assert row["primary_head"] == max(row["head_weights"], key=lambda weight: weight["weight"])["head"]
        for head in row["heads"]:
            chances = [label["probability"] for label in head["labels"]]
            assert chances == sorted(chances, reverse=True)
            assert sum(chances) <= 1 + 1e-5
    assert {head["head"] for head in intents["u01"]["heads"]} >= {"action", "category", "novelty", "item_age"}
    assert len({tuple(row["embedding"]) for row in intents.values()}) > NUM_USERS / 2
    assert len({str(row["heads"]) for row in intents.values()}) > NUM_USERS / 2


def test_segments_and_items_have_lists_too(flow: Flow) -> None:
    segments = {
        row["segment"]: row["items"] for row in rows_of(flow.warehouse, SEGMENT_RECOMMENDATIONS, run_date=SECOND_NIGHT)
    }
    assert set(segments) == {"all", "new", "old"}
    for entries in segments.values():
        assert [entry["rank"] for entry in entries] == list(range(1, K + 1))
        assert UNAVAILABLE_ITEM not in {entry["item_id"] for entry in entries}
    for row in rows_of(flow.warehouse, SIMILAR_ITEMS, run_date=SECOND_NIGHT):
        assert [entry["rank"] for entry in row["items"]] == [1, 2, 3]
        assert row["item_id"] not in {entry["item_id"] for entry in row["items"]}


def test_a_night_sees_nothing_that_happened_after_it(flow: Flow) -> None:
    first = {row["item_id"]: row["item_index"] for row in rows_of(flow.warehouse, VOCABULARY, run_date=FIRST_NIGHT)}
    second = {row["item_id"]: row["item_index"] for row in rows_of(flow.warehouse, VOCABULARY, run_date=SECOND_NIGHT)}
    assert NEW_ITEM in {row["item_id"] for row in rows_of(flow.warehouse, EVENTS)}  # delivered before the first night
    assert NEW_ITEM not in first
    assert second == {**first, NEW_ITEM: len(first) + 1}  # old indices keep their place
    for night in NIGHTS:
        end = end_of(night).timestamp()
        histories = rows_of(flow.warehouse, HISTORIES, run_date=night)
        assert all(max(row["times"]) < end for row in histories)
        assert all(max(row["times"]) < end for row in rows_of(flow.warehouse, EXAMPLES, run_date=night))
        shown = {
            entry["item_id"]
            for row in rows_of(flow.warehouse, RECOMMENDATIONS, run_date=night)
            for entry in row["items"]
        }
        assert (NEW_ITEM in shown) <= (night == SECOND_NIGHT)
        num_events = sum(row["num_events"] for row in histories)
        assert num_events == NUM_EVENTS - 40 * 5 * (SECOND_NIGHT - night).days


def test_the_second_night_starts_from_the_first_ones_champion(flow: Flow) -> None:
    by_kind = {(row["run_date"], row["kind"]): row for row in rows_of(flow.warehouse, MODELS)}
    assert len(by_kind) == 4
    first, second = by_kind[FIRST_NIGHT, "challenger"], by_kind[SECOND_NIGHT, "challenger"]
    assert first["warm_started_from"] is None
    assert second["warm_started_from"] == first["model_id"]
    decisions = {row["run_date"]: row for row in rows_of(flow.warehouse, GATE_DECISIONS)}
    assert set(decisions) == set(NIGHTS)
    for night, decision in decisions.items():
        assert decision["verdict"] == "promoted"
        assert decision["model_id"] == by_kind[night, "challenger"]["model_id"]
        assert decision["serving_model_id"] == by_kind[night, "refit"]["model_id"]
        assert decision["reason"]
        assert by_kind[night, "refit"]["challenger_id"] == decision["model_id"]
        assert by_kind[night, "refit"]["trained_until"].astimezone(UTC) == end_of(night)
        before_held_out = end_of(night) - timedelta(days=1)
        assert by_kind[night, "challenger"]["trained_until"].astimezone(UTC) == before_held_out
    assert decisions[SECOND_NIGHT]["against"] == first["model_id"]


def test_everyone_is_judged_on_the_same_users_beside_the_baselines(flow: Flow) -> None:
    figures = rows_of(
        flow.warehouse, METRICS, run_date=SECOND_NIGHT, stage="evaluate_model", segment="all", metric="ndcg", k=5
    )
    models = {row["model_id"] for row in rows_of(flow.warehouse, MODELS, kind="challenger")}
    windows = {"popularity_6h", "popularity_24h", "popularity_72h"}
    (faded,) = {row["model_id"] for row in figures if row["model_id"].startswith("decayed_")}
    assert faded in {"decayed_popularity_3h", "decayed_popularity_12h", "decayed_popularity_36h"}
    assert {row["model_id"] for row in figures} == models | windows | {faded, "transitions_1"}
    assert len({row["num_users"] for row in figures}) == 1
    assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 1 for row in figures)


def test_every_stage_of_both_nights_is_in_the_ledger(flow: Flow) -> None:
    runs = rows_of(flow.warehouse, RUNS)
    assert len({row["run_id"] for row in runs}) == 2
    for night in NIGHTS:
        mine = sorted((row for row in runs if row["run_date"] == night), key=lambda row: row["finished_at"])
        assert [(row["stage"], row["status"]) for row in mine] == [(stage, "finished") for stage in STAGES]
        counters = {pair["key"]: pair["value"] for pair in mine[-1]["counters"]}
        assert counters == {"users": NUM_USERS, "lists": NUM_USERS, "short": 0, "reused": 0, "published": NUM_USERS}
