import numpy as np
import pytest

from intentrec.config import GateConfig
from intentrec.gate import Judged, decide
from intentrec.gate.segments import compare_segments, falls

# 8 users whose champion has 0.5 each; the challenger is as good for the first four, and loses a quarter with the
# others.
CHAMPION = np.full(8, 0.5)
CHALLENGER = np.array([0.5] * 4 + [0.375] * 4)
FIRST, LAST = np.arange(8) < 4, np.arange(8) >= 4
SEGMENTS = {"cold": FIRST, "segment: gold": LAST}


def told(challenger=CHALLENGER, segments=SEGMENTS, **limits):
    settings = GateConfig(**{"min_segment_users": 4, "segment_margin": 0.2, **limits})
    return falls(compare_segments(challenger, CHAMPION, segments, settings, seed=1), settings)


def test_a_fall_beyond_the_margin_is_told_with_segment_and_amount():
    assert told() == ("-25.00% to the champion for the 4 users of 'segment: gold' (wanted at least -20.00%)",)


def test_a_fall_of_exactly_the_margin_passes():
    assert told(segment_margin=0.25) == ()


def test_a_segment_of_too_few_users_is_not_compared():
    assert told(min_segment_users=5) == ()


def test_without_a_margin_no_segment_is_compared():
    assert compare_segments(CHALLENGER, CHAMPION, SEGMENTS, GateConfig(segment_margin=None), seed=1) == ()


def test_a_fall_that_may_be_an_accident_does_not_count():
    # mean 0.25 against 0.5, but one user alone brings it there: some resamples are above the champion
    lucky = np.array([0.5] * 4 + [0.75, 0.75, 0.5, 0.0])
    worse = np.array([0.5] * 4 + [0.75, 0.75, 0.0, 0.0])
    assert told(lucky, segment_margin=0.0) == ()
    assert told(worse, segment_margin=0.2) == ()
    assert compare_segments(worse, CHAMPION, SEGMENTS, GateConfig(min_segment_users=4), 1)[1].difference.value == -0.25


def judged(name, values):
    return Judged(name, np.asarray(values))


GOOD, BAD = np.full(400, 0.6), np.full(400, 0.3)
EVERYBODY = {"cold": np.arange(800) < 400, "history: 3-9": np.arange(800) >= 400}


@pytest.mark.parametrize(("mode", "verdict", "passed"), [("enforce", "refused", False), ("dry_run", "promoted", False)])
def test_a_challenger_better_for_all_but_worse_for_a_segment_is_refused(mode, verdict, passed):
    # 0.6 * 400 + 0.3 * 400 = 360 of 0.4 * 800 = 320: +12.5 % in all, -25 % for the second half
    challenger, champion = judged("m2", [*GOOD, *BAD]), judged("m1", np.full(800, 0.4))
    settings = GateConfig(mode=mode)
    decision = decide(challenger, champion, [judged("p", np.zeros(800))], settings, 1, EVERYBODY)
    assert (decision.verdict, decision.passed) == (verdict, passed)
    assert "-25.00% to the champion for the 400 users of 'history: 3-9' (wanted at least -10.00%); " in decision.reason
    figures = dict(decision.figures)
    assert figures["to_champion[cold]"] == pytest.approx(0.5)
    assert figures["to_champion[history: 3-9]"] == pytest.approx(-0.25)
    assert list(figures) == sorted(figures)


def test_a_disabled_gate_and_a_first_night_look_at_no_segment():
    challenger, baseline = judged("m2", [*GOOD, *BAD]), judged("p", np.zeros(800))
    champion = judged("m1", np.full(800, 0.4))
    assert decide(challenger, champion, [baseline], GateConfig(mode="disabled"), 1, EVERYBODY).verdict == "promoted"
    first = decide(challenger, None, [baseline], GateConfig(), 1, EVERYBODY)
    assert first.verdict == "promoted"
    assert "users of" not in first.reason
