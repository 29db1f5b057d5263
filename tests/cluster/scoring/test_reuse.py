from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from tests.cluster.worlds import DAY, artifact_of, plan_of, reranking_for
from tests.frames import assert_frames_equal

from intentrec.baselines import LastItems, TransitionTable
from intentrec.cluster.priors import Prior
from intentrec.cluster.scoring import ColdStart, plan_digest, unchanged, with_origin
from intentrec.model.shape import Field
from intentrec.rules import RuleRow, Rules
from intentrec.tables import CANDIDATES, HISTORIES, RECOMMENDATIONS, USER_INTENTS

NOON = datetime(2024, 5, 2, 12, tzinfo=UTC)
COLD = ColdStart(events=2, shrink_events=1.0, segments={"kids": 1}, popularity_SV=np.zeros((2, 9), np.float32))


def rules_of_all_sorts():
    """No rule in force, one, and the same with another of each thing that it says."""
    one = RuleRow(rule="a", kind="cap", items_N=np.array([1, 2]), amount=1.0, values_N=np.array([0, 1]))
    eligible_V, audiences = np.arange(9) > 0, (("segment", "kids"),)
    rows = (
        (), (one,), (one, one), (replace(one, rule="b"),), (replace(one, kind="boost"),),
        (replace(one, items_N=np.array([1, 3])),), (replace(one, audience=0),), (replace(one, amount=2.0),),
        (replace(one, open=True),), (replace(one, values_N=np.array([0, 0])),), (replace(one, values_N=None),),
    )  # fmt: skip
    made = [Rules(own, eligible_V, 3, audiences) for own in rows]
    return [
        *made, replace(made[1], eligible_V=np.arange(9) > 1), replace(made[1], k=4),
        replace(made[1], audiences=(("segment", "old"),)),
    ]  # fmt: skip


def sources_of_all_sorts():
    """Evidence by one name, and the same with another of each thing that it is."""
    first, then, counts = np.array([1, 3, 3]), np.array([2, 2, 4]), np.array([2, 1, 1])
    one = LastItems(TransitionTable.of(first, then, counts, np.array([2, 2, 2]), 8))
    others = (
        replace(one, num_last=2), replace(one, decay=0.5),
        LastItems(TransitionTable.of(first, then + 1, counts, np.array([2, 2, 2]), 8)),
        LastItems(TransitionTable.of(first, then, counts, np.array([4, 2, 2]), 8)),
        LastItems(TransitionTable.of(first + 1, then, counts, np.array([2, 2, 2]), 8)),
    )  # fmt: skip
    return [{"after": one}, {"before": one}, {"after": one, "before": one}, *({"after": other} for other in others)]


def test_the_digest_knows_everything_a_list_is_made_of(tmp_path):
    plan = plan_of(8, 3, artifact_of(8), tmp_path / "m", reranking=reranking_for(8, diversity=1.0), cold=COLD)
    bias_V = np.arange(9, dtype=np.float32)
    changes = (
        {"files": (("a", "b", 1),)},
        {"fields": (Field("action", 3),)},
        {"items": plan.items[::-1]},
        {"prior": Prior(12.0, 1.0, 2.0)},
        {"prior": None},
        {"bias_V": bias_V},
        {"allowed": np.arange(9) > 1},
        {"k": 4},
        {"reranking": None},
        {"reranking": replace(plan.reranking, offset_V=bias_V)},
        {"reranking": reranking_for(8, diversity=2.0)},
        {"cold": replace(COLD, segments={"kids": 0})},
        *({"rules": own} for own in rules_of_all_sorts()),
        *({"sources": own} for own in sources_of_all_sorts()),
    )
    digests = {plan_digest(plan), *(plan_digest(replace(plan, **change)) for change in changes)}
    assert len(digests) == 1 + len(changes)


def test_the_digest_is_the_same_on_another_night_and_in_another_place_unless_rows_are_drawn(tmp_path):
    plan = plan_of(8, 3, artifact_of(8), tmp_path / "m", reranking=reranking_for(8, diversity=1.0))
    later = replace(plan.reranking, night="2024-05-04")
    other = replace(plan, folder="elsewhere", filler=plan.filler[::-1], filler_scores=plan.filler_scores * 2)
    assert plan_digest(replace(other, reranking=later)) == plan_digest(plan)
    drawing = reranking_for(8, explore_places=1)
    assert plan_digest(replace(plan, reranking=drawing)) != plan_digest(
        replace(plan, reranking=replace(drawing, night="2024-05-04"))
    )


def test_what_has_no_digest_is_an_error(tmp_path):
    with pytest.raises(TypeError, match="plan: a set has no digest yet"):
        plan_digest(plan_of(8, 3, items={"i01"}))


def test_arrays_that_only_end_elsewhere_have_another_origin(spark):
    parts = [
        ([1, 2], [5], [0], [3], [4]), ([1], [2, 5], [0], [3], [4]), ([1, 2], [5, 0], [], [3], [4]),
        ([1, 2], [5], [0], [3, 4], []), ([1, 2], [5], [0], [], [3, 4]), ([1, 2], [5], [], [0, 3], [4]),
    ]  # fmt: skip
    columns = "items ARRAY<INT>, times ARRAY<INT>, features ARRAY<INT>, seen ARRAY<INT>, audiences ARRAY<INT>"
    made = with_origin(spark.createDataFrame(parts, columns), "plan").collect()
    assert len({row["made_from"] for row in made}) == len(parts)


def test_a_list_is_kept_where_history_plan_and_intents_are_the_same_and_no_row_is_a_fallback(spark):
    def row(user, items=(1, 2)):
        return (DAY, user, list(items), [5, 6], [0, 0], [1, 2], 2, NOON)

    users = ["kept", "clicked", "seen", "short", "filled", "unsaid", "new"]
    before = spark.createDataFrame([row(user) for user in users], HISTORIES.schema)
    made = {entry["user_id"]: entry["made_from"] for entry in with_origin(before, "plan").collect()}
    assert len(set(made.values())) == 1  # who it is makes no difference to a list
    (of_all,) = set(made.values())
    changed = [row("kept"), row("clicked", (1, 3)), row("short"), row("filled"), row("unsaid"), row("new")]
    changed.append((DAY, "seen", [1, 2], [5, 6], [0, 0], [2], 2, NOON))
    tonight = with_origin(spark.createDataFrame(changed, HISTORIES.schema), "plan")

    def listed(user, *sources):
        items = [(at, f"i{at}", 1.0 / at, source, None, "i9", None) for at, source in enumerate(sources, 1)]
        return (date(2024, 5, 1), user, items, "m", "r", of_all)

    lists = [listed(user, "model", "prior") for user in ("kept", "clicked", "seen", "unsaid")]
    lists += [listed("short", "model"), listed("filled", "model", "fallback")]
    lists = spark.createDataFrame(lists, RECOMMENDATIONS.schema)
    heads, weights = [("category", [("tea", 1.0)])], [("category", 1.0)]
    said = [
        (date(2024, 5, 1), user, heads, weights, "category", [0.5], "m", "r", 7 if user == "unsaid" else of_all)
        for user in users
    ]
    intents = spark.createDataFrame(said, USER_INTENTS.schema)
    items = [("i1", 1.0, "model", None, "i9", None), ("i2", 0.5, "prior", None, "i9", None)]
    expected = spark.createDataFrame([("kept", items, heads, weights, [0.5], of_all, [])], CANDIDATES.schema)
    assert_frames_equal(unchanged(tonight, lists, intents, 2, has_heads=True), expected)
    without = [(user, items, [], [], [], of_all, []) for user in ("kept", "unsaid")]
    expected = spark.createDataFrame(without, CANDIDATES.schema)
    assert_frames_equal(unchanged(tonight, lists, intents, 2, has_heads=False), expected)
    another = with_origin(spark.createDataFrame(changed, HISTORIES.schema), "another plan")
    assert unchanged(another, lists, intents, 2, has_heads=True).count() == 0
