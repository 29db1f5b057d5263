from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from chispa import assert_df_equality

from intentrec.config import GateConfig
from intentrec.gate import Judged, champion_before, decide
from intentrec.tables import GATE_DECISIONS

ENFORCE = GateConfig()
HALVES = np.tile([0.25, 0.75], 200)  # mean 0.5


def judged(name, values):
    return Judged(name, np.asarray(values))


POPULAR = judged("popularity_24h", 0.8 * HALVES)
RECENT = judged("popularity_1h", 0.9 * HALVES)


def test_on_a_first_night_the_best_baseline_alone_decides():
    decision = decide(judged("m1", HALVES), None, [POPULAR, RECENT], ENFORCE, seed=1)
    assert (decision.verdict, decision.passed, decision.against) == ("promoted", True, "popularity_1h")
    assert decision.reason == "promoted: +11.11% to the best baseline popularity_1h (wanted at least 0)"


def test_as_good_as_the_best_baseline_is_enough():
    assert decide(judged("m1", RECENT.values_U), None, [POPULAR, RECENT], ENFORCE, seed=1).verdict == "promoted"


def test_below_the_best_baseline_is_refused_even_if_better_than_the_champion():
    decision = decide(judged("m2", 0.85 * HALVES), judged("m1", 0.5 * HALVES), [POPULAR, RECENT], ENFORCE, seed=1)
    assert (decision.verdict, decision.passed, decision.against) == ("refused", False, "m1")
    assert decision.reason == (
        "refused: +70.00% to the champion m1, lower 90 % bound +70.00% (wanted above -5.00%); "
        "-5.56% to the best baseline popularity_1h (wanted at least 0)"
    )


@pytest.mark.parametrize(("share", "verdict"), [(0.96, "promoted"), (0.94, "refused")])
def test_a_challenger_may_fall_less_than_the_margin_below_the_champion(share, verdict):
    decision = decide(judged("m2", share * HALVES), judged("m1", HALVES), [POPULAR], ENFORCE, seed=1)
    assert decision.verdict == verdict


def test_a_fall_of_exactly_the_margin_is_refused():
    quarter = GateConfig(margin=0.25)  # exact in binary
    decision = decide(
        judged("m2", np.full(4, 0.375)), judged("m1", np.full(4, 0.5)), [judged("p", [0] * 4)], quarter, 1
    )
    assert decision.verdict == "refused"


def test_the_lower_bound_decides_not_the_point():
    # the mean is equal, but on so few users the difference is anything
    challenger, champion = judged("m2", [1.0, 0.0] * 5), judged("m1", [0.0, 1.0] * 5)
    decision = decide(challenger, champion, [judged("p", [0.0] * 10)], ENFORCE, seed=1)
    figures = dict(decision.figures)
    assert figures["to_champion"] == 0
    assert figures["to_champion_low"] < -0.05
    assert decision.verdict == "refused"


def test_the_figures_say_what_was_compared():
    decision = decide(judged("m2", HALVES), judged("m1", HALVES / 2), [RECENT], ENFORCE, seed=1)
    figures = dict(decision.figures)
    assert list(figures) == sorted(figures)
    assert figures == pytest.approx(
        {
            "best_baseline": 0.45,
            "challenger": 0.5,
            "champion": 0.25,
            "margin": 0.05,
            "num_users": 400,
            "to_baseline": 1 / 9,
            "to_baseline_high": 1 / 9,
            "to_baseline_low": 1 / 9,
            "to_champion": 1.0,
            "to_champion_high": 1.0,
            "to_champion_low": 1.0,
        }
    )


def test_a_dry_run_judges_and_promotes_anyway():
    decision = decide(judged("m1", 0.1 * HALVES), None, [RECENT], GateConfig(mode="dry_run"), seed=1)
    assert (decision.verdict, decision.passed) == ("promoted", False)
    assert decision.reason.startswith("promoted: dry run, would be refused: -88.89% to the best baseline")


def test_a_dry_run_that_passes_says_nothing_of_it():
    assert "dry run" not in decide(judged("m1", HALVES), None, [RECENT], GateConfig(mode="dry_run"), seed=1).reason


def test_a_disabled_gate_promotes_without_judging():
    decision = decide(judged("m1", []), None, [], GateConfig(mode="disabled"), seed=1)
    assert (decision.verdict, decision.against, decision.figures) == ("promoted", None, ())
    assert decision.reason == "promoted without judging: evaluation.gate.mode is disabled"


def test_without_a_user_to_judge_on_the_challenger_is_refused():
    decision = decide(judged("m1", []), judged("m0", []), [judged("p", [])], ENFORCE, seed=1)
    assert (decision.verdict, decision.against, decision.figures) == ("refused", "m0", (("num_users", 0.0),))
    assert decision.reason == "refused: no user has a history before the held-out days and something new in them"


DECIDED = datetime(2024, 6, 1, tzinfo=UTC)


def decision(day, model, verdict, order=0, serving=None):
    decided_at = DECIDED + timedelta(minutes=order)
    return (date(2024, 5, day), model, verdict, None, serving, [], "because", "run", decided_at)


@pytest.mark.parametrize(
    ("decisions", "champion"),
    [
        ([], None),
        ([decision(1, "a", "promoted"), decision(2, "b", "refused")], "a"),
        ([decision(1, "a", "promoted"), decision(2, "b", "promoted", -5)], "b"),  # a night before it, decided later
        ([decision(3, "a", "promoted")], None),  # not before the night
        ([decision(1, "a", "promoted"), decision(1, "b", "promoted", 1)], "b"),  # the night ran again
        ([decision(1, "a", "promoted"), decision(1, "b", "refused", 1)], None),  # and now refuses
        ([decision(1, "a", "pinned"), decision(1, "b", "promoted", 1)], "a"),  # a pin outlives a run of its night
        ([decision(1, "a", "pinned"), decision(2, "b", "promoted")], "b"),  # but not the next promotion
        ([decision(1, "a", "pinned"), decision(1, "b", "pinned", 1)], "b"),
        ([decision(1, "a", "promoted"), decision(2, "b", "promoted"), decision(2, "b", "demoted", 1)], "a"),
        ([decision(1, "a", "promoted"), decision(1, "a", "demoted", 1), decision(1, "a", "promoted", 2)], None),
        ([decision(1, "a", "promoted"), decision(1, "a", "demoted", 1), decision(1, "a", "pinned", 2)], "a"),
        ([decision(1, "a", "pinned"), decision(2, "a", "demoted")], None),
        ([decision(1, "a", "promoted", serving="a2"), decision(1, "a2", "demoted", 1)], None),  # by its serving model
        ([decision(1, "a", "promoted"), decision(3, "a", "demoted")], "a"),  # demoted only later
    ],
)  # fmt: skip
def test_the_champion_is_the_last_promoted_or_pinned_model_before_the_night(spark, decisions, champion):
    rows = spark.createDataFrame(decisions, GATE_DECISIONS.schema)
    expected = spark.createDataFrame(
        [row for row in decisions if row[1] == champion and row[2] in ("promoted", "pinned")][-1:],
        GATE_DECISIONS.schema,
    )
    assert_df_equality(champion_before(rows, date(2024, 5, 3)), expected, ignore_nullable=True, ignore_metadata=True)
