from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.cluster.worlds import (
    FIELDS,
    ONE_USER,
    artifact_of,
    histories_of,
    ids,
    lists_of,
    plan_of,
    reranking_for,
    scores_BV,
)

from intentrec.baselines import LastItems, TransitionTable
from intentrec.cluster.priors import Prior
from intentrec.cluster.scoring.cold import ColdStart
from intentrec.cluster.scoring.columns import FALLBACK, MODEL, Lists
from intentrec.cluster.scoring.lists import ListMaker
from intentrec.model.inference import Histories
from intentrec.model.shape import Field

pytestmark = pytest.mark.usefixtures("spark")  # types become Arrow's only where a session is active


def test_a_short_list_is_filled_with_what_is_popular_and_scores_go_on_falling(tmp_path):
    artifact = artifact_of(8)  # tonight has 12 items; 9 to 12 are new to the model
    filler = np.array([9, 4, 11, 1, 10])
    plan = plan_of(
        12, 5, artifact, tmp_path / "m", allowed=np.isin(np.arange(13), filler), filler=filler,
        filler_scores=np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32),
    )  # fmt: skip
    wanted = scores_BV(artifact, ONE_USER, plan)[0]
    (row,) = lists_of(plan, ONE_USER, [[4, 11]])
    ours, *filled = row["items"]
    assert (ours["item_id"], ours["source"]) == ("i01", "model")
    assert ours["score"] == pytest.approx(wanted[1], abs=1e-6)
    assert [(item["item_id"], item["source"], item["intent"], item["because_item_id"]) for item in filled] == [
        ("i09", "fallback", None, None), ("i10", "fallback", None, None),
    ]  # fmt: skip
    drop = min(0.0, ours["score"] - np.float32(0.9))
    assert [item["score"] for item in filled] == pytest.approx([0.9 + drop, 0.5 + drop], abs=1e-6)


@pytest.mark.parametrize("last", [-1e-10, -20.0, 0.3, 5.0])
def test_no_filled_row_stands_above_the_models_last(last):
    plan = plan_of(3, 3, filler_scores=np.array([0.9, 0.9, 0.1], np.float32))
    lists = Lists.empty(1, 3)
    lists.items_BK[0, 0], lists.scores_BK[0, 0] = 4, last
    filled = ListMaker(plan, None)._filled(lists, [np.zeros(0, np.int64)])
    assert (np.diff(filled.scores_BK[0]) <= 0).all()
    assert filled.items_BK.tolist() == [[4, 1, 2]]
    assert filled.sources_BK.tolist() == [[MODEL, FALLBACK, FALLBACK]]


def test_without_a_model_lists_are_popularity_and_no_intent_is_named():
    (row,) = lists_of(plan_of(6, 3), ONE_USER, [[1, 3]])
    names = [(item["item_id"], item["source"], item["intent"], item["because_item_id"]) for item in row["items"]]
    assert names == [(name, "fallback", None, None) for name in ("i02", "i04", "i05")]
    assert [item["score"] for item in row["items"]] == pytest.approx([0.74, 0.42, 0.26])  # 0.9 falling by 0.16
    assert (row["heads"], row["head_weights"], row["embedding"]) == ([], [], [])


def test_a_list_stays_short_where_nothing_is_left():
    (row,) = lists_of(plan_of(4, 3), ONE_USER, [[1, 3]])
    assert [item["item_id"] for item in row["items"]] == ["i02", "i04"]


def test_an_item_that_the_network_alone_would_not_have_listed_is_the_priors(tmp_path):
    artifact = artifact_of(8)
    alone = np.argsort(-scores_BV(artifact, ONE_USER, plan_of(8, 3))[0], kind="stable")[:8]
    bias_V = np.zeros(9, np.float32)
    bias_V[alone[5]] = 50.0  # far down without the prior
    bias_V[alone[1]] = 40.0  # listed without it too
    (row,) = lists_of(plan_of(8, 3, artifact, tmp_path / "m", bias_V=bias_V), ONE_USER, [[]])
    listed = [(item["item_id"], item["source"]) for item in row["items"]]
    names = ("", *ids(8))
    assert listed == [(names[alone[5]], "prior"), (names[alone[1]], "model"), (names[alone[0]], "model")]
    (row,) = lists_of(plan_of(8, 3, artifact, tmp_path / "m"), ONE_USER, [[]])
    assert [item["source"] for item in row["items"]] == ["model"] * 3


def test_the_reason_is_the_nearest_item_of_the_users_own_history(tmp_path):
    artifact = artifact_of(4)
    artifact.weights["categories.weight"] = artifact.weights.pop("items.categories.weight") * 0
    artifact.weights["items.categories.weight"] = artifact.weights.pop("categories.weight")
    vectors = torch.zeros(5, 8)
    vectors[1, 0] = vectors[2, 1] = 1.0
    vectors[3, :2] = torch.tensor([0.9, 0.1])  # beside 1
    vectors[4, :2] = torch.tensor([0.1, 0.9])  # beside 2
    artifact.weights["items.ids.weight"] = vectors
    past = [np.array([2, 1]), np.array([2]), np.array([0])]
    histories = Histories(
        past, [1_700_100_000 + np.arange(len(own)) for own in past], [np.ones(3 * len(own), int) for own in past]
    )
    rows = lists_of(plan_of(4, 2, artifact, tmp_path / "m"), histories, [[1, 2], [1, 2], [1, 2]])
    because = [{item["item_id"]: item["because_item_id"] for item in row["items"]} for row in rows]
    assert because == [{"i03": "i01", "i04": "i02"}, {"i03": "i02", "i04": "i02"}, {"i03": None, "i04": None}]


def test_a_model_of_other_event_features_reads_those_that_it_knows(tmp_path):
    artifact = artifact_of(8, fields=(Field("device", 2), Field("action", 2)))
    tonight = plan_of(8, 3, artifact, tmp_path / "m", fields=FIELDS)
    own = Histories(ONE_USER.items, ONE_USER.times, [np.array([0, 0, 1, 1])])  # no device, the action
    wanted = np.argsort(-scores_BV(artifact, own, tonight)[0], kind="stable")[:3]
    (row,) = lists_of(tonight, ONE_USER, [[]])
    assert [item["item_id"] for item in row["items"]] == [tonight.items[index] for index in wanted]


def policies_of(plan, **policies):
    return replace(plan, reranking=reranking_for(len(plan.items) - 1, **policies))


def listed(row, *fields):
    return [tuple(item[field] for field in fields) for item in row["items"]]


def test_policies_at_zero_change_no_row_at_all(tmp_path):
    plan = plan_of(12, 4, artifact_of(12), tmp_path / "m", bias_V=np.linspace(0, 1, 13, dtype=np.float32))
    histories, seen = histories_of([1, 5, 9], 12), [[1, 2], [], [3]]
    assert lists_of(policies_of(plan), histories, seen) == lists_of(plan, histories, seen)


def test_drawn_rows_tell_their_chance_and_a_repeated_night_draws_the_same(tmp_path):
    plan = plan_of(12, 4, artifact_of(12), tmp_path / "m")
    (raw,) = lists_of(plan, ONE_USER, [[]])
    drawing = policies_of(plan, explore_places=2)
    (row,) = lists_of(drawing, ONE_USER, [[]])
    assert listed(row, "item_id", "score")[:2] == listed(raw, "item_id", "score")[:2]
    assert [source for (source,) in listed(row, "source")] == ["model", "model", "explore", "explore"]
    chances = [chance for (chance,) in listed(row, "propensity")]
    assert chances[:2] == [None, None]
    assert all(0 < chance <= 1 for chance in chances[2:])
    assert len(set(listed(row, "item_id"))) == 4
    assert lists_of(drawing, ONE_USER, [[]]) == [row]


def test_a_popular_item_falls_by_its_offset_before_the_best_are_chosen(tmp_path):
    artifact = artifact_of(12)
    plan = plan_of(12, 3, artifact, tmp_path / "m")
    best = np.argsort(-scores_BV(artifact, ONE_USER, plan)[0], kind="stable")[:4]
    offset_V = np.zeros(13, np.float32)
    offset_V[best[0]] = -100.0
    lowered = replace(plan, reranking=replace(reranking_for(12), offset_V=offset_V))
    (row,) = lists_of(lowered, ONE_USER, [[]])
    assert listed(row, "item_id") == [(plan.items[item],) for item in best[1:]]


def test_an_item_that_no_event_ever_had_is_listed_by_the_quota(tmp_path):
    artifact = artifact_of(8)  # 9 and 10 came after its vocabulary
    plan = plan_of(10, 3, artifact, tmp_path / "m")
    (row,) = lists_of(policies_of(plan, new_item_share=1 / 3), ONE_USER, [[9]])
    names = listed(row, "item_id", "source", "intent", "because_item_id")
    assert names[2] == ("i10", "model", "category: green", None)  # the only new one that is not seen; 1 + 10 mod 3
    assert names[:2] == listed(lists_of(plan, ONE_USER, [[9]])[0], "item_id", "source", "intent", "because_item_id")[:2]


COLD = ColdStart(
    events=3,
    shrink_events=2.0,
    segments={"kids": 1},
    popularity_SV=np.array([np.arange(9), 8 - np.arange(9)], np.float32),
)


@pytest.mark.parametrize(("segment", "row"), [("kids", 1), ("unheard of", 0), (None, 0)])
def test_users_with_few_events_get_the_mix_of_model_and_their_segments_popularity(tmp_path, segment, row):
    artifact = artifact_of(8)
    plan = plan_of(8, 3, artifact, tmp_path / "m", bias_V=np.linspace(0, 1, 9, dtype=np.float32), cold=COLD)
    model = scores_BV(artifact, ONE_USER, plan)[0]
    mixed = 0.5 * model + 0.5 * COLD.popularity_SV[row]  # two events, and kappa is 2
    best = [item for item in np.argsort(-mixed, kind="stable") if item not in (0, 2)][:3]
    (found,) = lists_of(plan, ONE_USER, [[2]], [segment])
    assert listed(found, "item_id") == [(plan.items[item],) for item in best]
    assert [score for (score,) in listed(found, "score")] == pytest.approx(mixed[best], abs=1e-5)


def test_users_with_enough_events_are_scored_by_the_model_whatever_their_segment(tmp_path):
    plan = plan_of(8, 3, artifact_of(8), tmp_path / "m")
    histories, seen = histories_of([3, 2], 8), [[], []]
    warm, cold = lists_of(replace(plan, cold=COLD), histories, seen, ["kids", "kids"])
    plain = lists_of(plan, histories, seen)
    assert warm["items"] == plain[0]["items"]  # exactly as many as it takes
    assert cold["items"] != plain[1]["items"]
    nobody = replace(COLD, events=0)
    assert lists_of(replace(plan, cold=nobody), histories, seen, ["kids", "kids"]) == plain


def following(first, second):
    """5 is followed by the first item, 2 three times by the second and once by 5."""
    counts = np.array([2, 2, 5]), np.array([5, second, first]), np.array([1, 3, 1]), np.array([4, 4, 1])
    return LastItems(TransitionTable.of(*counts, 8), num_last=2)


def shares_of(first, second):
    """5 was last, so its follower has 1; of 2 before it one has 0.7 * 3/4 and 5 itself 0.7 / 4: of 1.7 in all."""
    shares_V = np.zeros(9)
    shares_V[[first, second, 5]] = np.array([1, 0.525, 0.175]) / 1.7
    return np.log1p(1000 * shares_V)


def test_evidence_of_the_last_items_joins_the_scores_and_is_the_reason(tmp_path):
    artifact = artifact_of(8)
    alone = scores_BV(artifact, ONE_USER, plan_of(8, 3))[0]
    *_, second, first = [item for item in np.argsort(-alone, kind="stable") if item not in (0, 5)]  # the worst two
    prior = Prior(12.0, 0.0, evidence=(("after", 100.0),))
    plan = plan_of(8, 3, artifact, tmp_path / "m", prior=prior, sources={"after": following(first, second)})
    (row,) = lists_of(plan, ONE_USER, [[5]])
    names = listed(row, "item_id", "source", "because_item_id")
    assert names[:2] == [(f"i{first:02d}", "prior", "i05"), (f"i{second:02d}", "prior", "i02")]
    wanted = alone + 100 * shares_of(first, second)
    assert [score for (score,) in listed(row, "score")][:2] == pytest.approx(wanted[[first, second]], abs=1e-3)
    best = max((item for item in range(1, 9) if item not in (5, first, second)), key=lambda item: alone[item])
    assert names[2][:2] == (f"i{best:02d}", "model")


def test_evidence_of_users_with_few_events_is_trusted_as_the_model_is(tmp_path):
    artifact = artifact_of(8)
    prior = Prior(12.0, 0.0, evidence=(("after", 3.0),))
    plan = plan_of(8, 3, artifact, tmp_path / "m", prior=prior, sources={"after": following(6, 7)}, cold=COLD)
    model = scores_BV(artifact, ONE_USER, plan)[0] + 3 * shares_of(6, 7)
    mixed = 0.5 * model + 0.5 * COLD.popularity_SV[1]
    (row,) = lists_of(plan, ONE_USER, [[]], ["kids"])
    best = np.argsort(-mixed[1:], kind="stable")[:3] + 1
    assert listed(row, "item_id") == [(plan.items[item],) for item in best]
    assert [score for (score,) in listed(row, "score")] == pytest.approx(mixed[best], abs=1e-5)
