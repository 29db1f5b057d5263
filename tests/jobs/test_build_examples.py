import math
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from jobs.build_examples import STAGE
from tests.generated import FIRST_DAY, FIRST_NIGHT, SECOND_NIGHT
from tests.running import Flow
from tests.tables_oracle import rows_of

from intentrec.ledger import run_job
from intentrec.tables import EVENTS, EXAMPLES, FEATURE_VOCABULARY, HISTORIES, VOCABULARY


def targets(flow: Flow, night: date) -> list[tuple[str, float]]:
    """List the split and weight of every target; what a row begins with has nothing before it to be told from."""
    return [
        (row["split"], weight)
        for row in rows_of(flow.warehouse, EXAMPLES, run_date=night)
        for weight in row["weights"][row["length_bucket"] - row["length"] + 1 :]
        if weight > 0
    ]


def test_every_event_but_a_users_first_is_a_target_once_in_the_split_of_its_day(flow: Flow) -> None:
    # 37 people: 8 events on the first day, 5 on each later one; 3 people come on the third day.
    first = Counter(split for split, _ in targets(flow, FIRST_NIGHT))
    assert first == {"train": 37 * 7, "validation": 37 * 5, "holdout": 37 * 5 + 3 * 4}
    second = Counter(split for split, _ in targets(flow, SECOND_NIGHT))
    assert second == {"train": 37 * 12, "validation": 37 * 5 + 3 * 4, "holdout": 40 * 5}


def test_a_target_counts_what_its_action_counts(flow: Flow) -> None:
    weights = Counter(weight for _, weight in targets(flow, SECOND_NIGHT))
    after_first = defaultdict(list)
    for row in rows_of(flow.warehouse, EVENTS):
        after_first[row["user_id"]].append((row["occurred_at"], row["action"]))
    actions = Counter(action for events in after_first.values() for _, action in sorted(events)[1:])
    assert weights == {1.0: actions["view"], 2.0: actions["buy"]}


def test_arrays_are_padded_on_the_left_to_their_bucket_and_hold_the_users_events_in_order(flow: Flow) -> None:
    for row in rows_of(flow.warehouse, EXAMPLES, run_date=SECOND_NIGHT):
        bucket, padding = row["length_bucket"], row["length_bucket"] - row["length"]
        assert [len(row[name]) for name in ("items", "times", "weights")] == [bucket] * 3
        assert len(row["features"]) % bucket == 0
        assert set(row["items"][:padding]) | set(row["times"][:padding]) | set(row["weights"][:padding]) <= {0}
        assert all(row["items"][padding:])
        assert row["times"][padding:] == sorted(row["times"][padding:])
    numbers = {row["item_id"]: row["item_index"] for row in rows_of(flow.warehouse, VOCABULARY, run_date=SECOND_NIGHT)}
    events = sorted(
        (row["occurred_at"], numbers[row["item_id"]])
        for row in rows_of(flow.warehouse, EVENTS, user_id="u05")
        if row["occurred_at"].astimezone(UTC)
        < datetime.combine(SECOND_NIGHT + timedelta(days=1), datetime.min.time(), UTC)
    )
    (history,) = rows_of(flow.warehouse, HISTORIES, run_date=SECOND_NIGHT, user_id="u05")
    assert history["items"] == [item for _, item in events][-16:]  # examples.history_length
    assert history["seen"] == sorted({item for _, item in events})
    assert history["num_events"] == 8 + 5 + 5 + 5


def test_the_values_of_every_feature_are_numbered(flow: Flow) -> None:
    rows = rows_of(flow.warehouse, FEATURE_VOCABULARY, run_date=FIRST_NIGHT)
    values = {(row["field"], row["value"]): row["value_index"] for row in rows if row["field"] != "number(price)"}
    assert values == {
        ("action", "buy"): 1, ("action", "view"): 2, ("categories", "cake"): 1, ("categories", "fruit"): 2,
        ("categories", "gift"): 3, ("categories", "tea"): 4, ("device", "desk"): 1, ("device", "phone"): 2,
    }  # fmt: skip


def test_numbers_get_bins_that_stay_with_the_model_that_learnt_them(flow: Flow) -> None:
    end = datetime.combine(FIRST_DAY + timedelta(days=1), datetime.min.time(), UTC)
    learnt = [row for row in rows_of(flow.warehouse, EVENTS) if row["occurred_at"].astimezone(UTC) < end]
    prices = [float(pair["value"]) for row in learnt for pair in row["context"] if pair["key"] == "price"]
    begins = [-math.inf, *np.unique(np.quantile(prices, np.arange(1, 16) / 16)).tolist()]
    for night in (FIRST_NIGHT, SECOND_NIGHT):
        rows = rows_of(flow.warehouse, FEATURE_VOCABULARY, run_date=night)
        found = {row["value_index"]: row["value"] for row in rows if row["field"] == "number(price)"}
        assert [float(found[number + 1].removeprefix(">= ")) for number in range(len(found))] == begins
    examples = rows_of(flow.warehouse, EXAMPLES, run_date=SECOND_NIGHT)
    seen = {number for row in examples for number in row["features"][-row["length"] :]}
    assert seen == set(range(1, len(begins) + 1))  # the last column of features is the number; all of them occur


def test_how_many_events_the_weights_leave_in_effect_is_told_or_warned_of(
    flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, rare = flow.copied_to(tmp_path / "copy"), ["--set", "examples.rarity_floor=0.5"]
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, *rare)) == 0
    assert "INFO" in (told := _line(capsys, "weights leave 88% of 444 training events in effect"))
    assert told.endswith("in effect")
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, *rare, "--set", "examples.half_life_days=0.02")) == 0
    told = _line(capsys, "of 444 training events in effect")
    assert "WARNING" in told
    assert told.endswith("; raise examples.rarity_floor, or lengthen examples.half_life_days")


def _line(capsys: pytest.CaptureFixture[str], said: str) -> str:
    (found,) = (line for line in "".join(capsys.readouterr()).splitlines() if said in line and "build_examples" in line)
    return found
