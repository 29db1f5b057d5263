"""The figures that two nights have left in ``metrics``, beside what their tables say to a reader who counts by hand."""

import math
from collections import Counter

import pytest
from tests.generated import FIRST_NIGHT, SECOND_NIGHT, UNAVAILABLE_ITEM, K
from tests.running import Flow
from tests.tables_oracle import rows_of

from intentrec.tables import ITEMS, METRICS, RECOMMENDATIONS, USER_INTENTS

LISTS = {"catalogue_coverage", "exposure_gini", "exposure_top_share", "fallback_share"}
SINCE = {"list_churn", "catalogue_turnover", "unknown_item_share", "intent_shift"}


def measured(flow: Flow, night):
    rows = rows_of(flow.warehouse, METRICS, run_date=night, stage="write_recommendations")
    return {(row["metric"], row["segment"]): row["value"] for row in rows}


def lists(flow: Flow, night):
    rows = rows_of(flow.warehouse, RECOMMENDATIONS, run_date=night)
    return {row["user_id"]: [entry["item_id"] for entry in row["items"]] for row in rows}


def test_every_night_is_measured_and_compared_with_the_night_of_its_champion(flow: Flow) -> None:
    first, second = ({name for name, _ in measured(flow, night)} for night in (FIRST_NIGHT, SECOND_NIGHT))
    assert first == LISTS | {"feature_coverage"}
    assert second == first | SINCE
    fields = {segment for name, segment in measured(flow, FIRST_NIGHT) if name == "feature_coverage"}
    assert fields == {"action", "categories", "device", "number(price)"}
    assert {measured(flow, SECOND_NIGHT)["feature_coverage", field] for field in fields} == {1.0}


def test_exposure_and_churn_are_those_of_the_lists(flow: Flow) -> None:
    then, now, found = lists(flow, FIRST_NIGHT), lists(flow, SECOND_NIGHT), measured(flow, SECOND_NIGHT)
    times = Counter(item for items in now.values() for item in items)
    items = rows_of(flow.warehouse, ITEMS, run_date=SECOND_NIGHT)
    eligible = [row["item_id"] for row in items if row["item_id"] != UNAVAILABLE_ITEM]
    assert found["catalogue_coverage", "all"] == pytest.approx(len(times) / len(eligible))
    assert found["exposure_top_share", "all"] == pytest.approx(max(times.values()) / (K * len(now)))  # one of 29
    counts = [times[item] for item in eligible]
    differences = sum(abs(one - other) for one in counts for other in counts)
    assert found["exposure_gini", "all"] == pytest.approx(differences / (2 * len(counts) * sum(counts)))
    kept = sum(len({*now[user]} & {*then[user]}) for user in now)
    assert found["list_churn", "all"] == pytest.approx(1 - kept / (K * len(now)))
    assert found["catalogue_turnover", "all"] == 0  # the same catalogue file
    assert found["unknown_item_share", "all"] > 0  # the item that appears on the last day alone


def test_the_shift_of_intents_is_that_of_the_likeliest_labels(flow: Flow) -> None:
    def shares(night):
        rows = rows_of(flow.warehouse, USER_INTENTS, run_date=night)
        best = Counter(
            head["labels"][0]["label"] for row in rows for head in row["heads"] if head["head"] == "category"
        )
        return {label: num / len(rows) for label, num in best.items()}

    one, other = shares(FIRST_NIGHT), shares(SECOND_NIGHT)
    middle = {label: (one.get(label, 0) + other.get(label, 0)) / 2 for label in {*one, *other}}
    expected = sum(p * math.log2(p / middle[label]) / 2 for side in (one, other) for label, p in side.items())
    assert measured(flow, SECOND_NIGHT)["intent_shift", "category"] == pytest.approx(expected)
