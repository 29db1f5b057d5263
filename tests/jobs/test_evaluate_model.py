from dataclasses import asdict, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from jobs import evaluate_model
from tests.cluster.worlds import FIELDS, artifact_of, histories_of
from tests.generated import FIRST_NIGHT, SECOND_NIGHT, K
from tests.running import Flow
from tests.tables_oracle import contents, rows_of

from intentrec.cluster.catalogue import Numbers
from intentrec.cluster.judging import JudgedDay, JudgedUsers
from intentrec.cluster.priors import Prior
from intentrec.config import Config
from intentrec.metrics import Relevant
from intentrec.tables import GATE_DECISIONS, METRICS, MODELS, RECOMMENDATIONS

# Weights that never move from where they began, in a shape that cannot begin with the champion's.
UNTRAINED = ("model.width=4", "training.learning_rate=1.0e-12", "evaluation.gate.mode=enforce")


def test_every_metric_of_every_recommender_is_measured_at_every_k(flow: Flow) -> None:
    rows = rows_of(flow.warehouse, METRICS, run_date=SECOND_NIGHT, stage="evaluate_model", segment="all")
    found: dict[str, set[tuple[str, int]]] = {}
    for row in rows:
        found.setdefault(row["model_id"], set()).add((row["metric"], row["k"]))
    wanted = {(metric, k) for metric in ("recall", "hit_rate", "ndcg", "mrr", "coverage") for k in (5, 10)}
    assert all(wanted <= measured for measured in found.values())
    assert len(found) == 2 + 3 + 1 + 1  # challenger and champion, three windows of popularity, faded, transitions


def test_every_head_is_measured_beside_its_majority_class(flow: Flow) -> None:
    (decision,) = rows_of(flow.warehouse, GATE_DECISIONS, run_date=FIRST_NIGHT)
    rows = rows_of(flow.warehouse, METRICS, run_date=FIRST_NIGHT, stage="evaluate_model", model_id=decision["model_id"])
    shares = {(row["segment"], row["metric"]): row["value"] for row in rows if row["metric"] != "ndcg"}
    shares = {key: value for key, value in shares.items() if key[0] != "all"}
    assert {head for head, _ in shares} >= {"action", "category", "novelty", "item_age"}
    for head in {head for head, _ in shares}:
        assert 0 <= shares[head, "accuracy"] <= 1
        assert 0 <= shares[head, "majority_share"] <= 1
    # People keep to their category for nine steps of ten; the majority class is one of four.
    assert shares["category", "accuracy"] > shares["category", "majority_share"]


def test_every_recommender_is_measured_in_every_segment_of_users(flow: Flow) -> None:
    rows = rows_of(flow.warehouse, METRICS, run_date=SECOND_NIGHT, stage="evaluate_model", metric="ndcg", k=5)
    users = {(row["model_id"], row["segment"]): row["num_users"] for row in rows}
    assert len(users) == 7 * len({segment for _, segment in users})
    for name in {name for name, _ in users}:
        own = {segment: num for (model, segment), num in users.items() if model == name}
        assert own["segment: new"] + own["segment: old"] == own["all"]
        assert sum(num for segment, num in own.items() if segment.startswith(("cold", "history: "))) == own["all"]
        assert own["segment: new"] <= 10  # every fourth of 40


def test_a_decision_says_what_was_compared(flow: Flow) -> None:
    (first,) = rows_of(flow.warehouse, GATE_DECISIONS, run_date=FIRST_NIGHT)
    (second,) = rows_of(flow.warehouse, GATE_DECISIONS, run_date=SECOND_NIGHT)
    assert {"challenger", "best_baseline", "num_users"} <= {pair["key"] for pair in first["figures"]}
    assert {"champion", "margin"} <= {pair["key"] for pair in second["figures"]}


@pytest.fixture(scope="module")
def refused(flow: Flow, tmp_path_factory: pytest.TempPathFactory) -> tuple[Flow, tuple[str, ...]]:
    """The second night once more with a challenger that has learnt nothing; and the command's flags."""
    copy = flow.copied_to(tmp_path_factory.mktemp("refused") / "copy")
    flags = ("--from", "train_model", "--strict", *(text for value in UNTRAINED for text in ("--set", value)))
    assert copy.night(SECOND_NIGHT, *flags) == 5
    return copy, flags


def decisions(flow: Flow) -> list[dict[str, Any]]:
    return sorted(rows_of(flow.warehouse, GATE_DECISIONS, run_date=SECOND_NIGHT), key=lambda row: row["decided_at"])


def test_a_refused_challenger_is_recorded_and_the_champion_makes_the_lists(
    flow: Flow, refused: tuple[Flow, tuple[str, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    copy, flags = refused
    *_, decision = decisions(copy)
    assert decision["verdict"] == "refused"
    assert decision["serving_model_id"] is None
    (champion,) = rows_of(flow.warehouse, GATE_DECISIONS, run_date=FIRST_NIGHT)
    assert decision["against"] == champion["model_id"]
    (challenger,) = rows_of(copy.warehouse, MODELS, model_id=decision["model_id"])
    assert challenger["warm_started_from"] is None  # another shape
    lists = rows_of(copy.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)
    assert {row["model_id"] for row in lists} == {champion["serving_model_id"]}
    assert {len(row["items"]) for row in lists} == {K}
    assert len(lists) == 40
    assert contents(copy.warehouse, run_date=FIRST_NIGHT) == contents(flow.warehouse, run_date=FIRST_NIGHT)
    # The same command again skips every stage, and the gate's word still stands.
    capfd.readouterr()
    assert copy.night(SECOND_NIGHT, *flags) == 5
    assert capfd.readouterr().err.strip() == f"gate: challenger {decision['model_id']} {decision['reason']}"


def test_a_night_that_comes_back_to_an_earlier_config_comes_back_to_its_model_and_tables(
    flow: Flow, refused: tuple[Flow, tuple[str, ...]]
) -> None:
    copy, _ = refused
    assert copy.night(SECOND_NIGHT, "--from", "train_model") == 0
    first, other, again = (row["model_id"] for row in decisions(copy))
    assert first == again != other
    found, before = contents(copy.warehouse), contents(flow.warehouse)
    assert {name for name in found if found[name] != before[name]} == {MODELS.name, GATE_DECISIONS.name}


def test_what_a_night_promoted_serves_no_more_where_a_later_run_of_it_has_no_challenger(
    flow: Flow, refused: tuple[Flow, tuple[str, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    copy, _ = refused
    promoted = decisions(copy)[-1]
    assert promoted["verdict"] == "promoted"
    assert copy.night(SECOND_NIGHT, "--set", "examples.window_days=1") == 0  # the held-out day alone
    told = "there is no challenger tonight: the history is too short to train on"
    assert told in capfd.readouterr().out
    *_, last = decisions(copy)
    assert (last["verdict"], last["model_id"], last["reason"]) == ("refused", promoted["model_id"], told)
    (champion,) = rows_of(flow.warehouse, GATE_DECISIONS, run_date=FIRST_NIGHT)
    lists = rows_of(copy.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)
    assert {row["model_id"] for row in lists} == {champion["serving_model_id"]}


@pytest.mark.parametrize("policies", [{}, {"diversity": 1.0, "explore_places": 1}])
def test_policies_are_measured_beside_the_same_lists_without_them_and_only_where_one_is_on(
    policies: dict[str, Any],
) -> None:
    artifact = replace(artifact_of(8), facts={"prior": asdict(Prior(6.0, 0.5))})
    histories, seen = histories_of([1 + user % 4 for user in range(30)], 8), [np.zeros(0, np.int64)] * 30
    users = JudgedUsers(np.arange(30), histories, seen, Relevant.of([[1 + user % 8] for user in range(30)]))
    day = JudgedDay(users, {1: np.arange(9), 24: np.arange(9)}, np.arange(9) > 0)
    numbers = Numbers(artifact.vocabulary, FIELDS, artifact.catalogue, np.arange(9), np.arange(9) > 0)
    night = SimpleNamespace(bounds=lambda before, days: [datetime(2024, 5, 2 + day, tzinfo=UTC) for day in (0, 1)])
    values = {"warehouse": "w", "input": {"events": {"path": "l", "format": "json", "columns": {"user_id": "u"}}}}
    values["input"]["events"]["columns"]["occurred_at"] = "t"
    config = Config.model_validate({**values, "recommendations": {"policies": policies}, "evaluation": {"k": [3]}})
    rows = evaluate_model._traded(SimpleNamespace(config=config), night, numbers, [day], ("m", artifact))
    names = ["ndcg", "intent_coverage", "intra_list_diversity", "coverage"]
    found = [(row.model_id, row.segment, row.metric, row.k, row.num_users) for row in rows]
    segments = ["policies: off", "policies: on"] if policies else []
    assert found == [("m", segment, name, 3, 30) for segment in segments for name in names]
