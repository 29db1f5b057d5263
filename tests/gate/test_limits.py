from dataclasses import replace

import pytest

from intentrec.config import ChecksConfig
from intentrec.errors import GateError
from intentrec.gate.figures import ListFigures
from intentrec.gate.limits import broken_limits, refuse_broken_limits

FIGURES = ListFigures(
    num_lists=100, users_kept=0.5, coverage=0.5, gini=0.5, top_share=0.5, fallback_share=0.5, overlap=0.5
)
NOTHING = ListFigures(
    num_lists=100, users_kept=None, coverage=None, gini=None, top_share=None, fallback_share=None, overlap=None
)
OFF = {"min_users_kept": None, "max_fallback_share": None}
LEAST = ("min_users_kept", "min_coverage", "min_overlap")
MOST = ("max_gini", "max_top_share", "max_fallback_share", "max_overlap")


def limits(**given):
    return ChecksConfig(**{**OFF, **given})


@pytest.mark.parametrize("name", [*LEAST, *MOST])
def test_every_limit_bites_beyond_it_passes_at_it_and_can_be_off(name):
    bound, beyond = ("least", 0.75) if name in LEAST else ("most", 0.25)
    assert broken_limits(FIGURES, limits(**{name: beyond}), by_model=True) == (
        f"check {name}: 0.5000, wanted at {bound} {beyond:g} (0.2500 beyond)",
    )
    assert broken_limits(FIGURES, limits(**{name: 0.5}), by_model=True) == ()
    assert broken_limits(FIGURES, limits(), by_model=True) == ()
    assert broken_limits(NOTHING, limits(**{name: beyond}), by_model=True) == ()


def test_lists_of_popularity_are_all_fallback_and_may_be():
    all_fallback = replace(FIGURES, fallback_share=1.0)
    assert broken_limits(all_fallback, limits(max_fallback_share=0.5), by_model=False) == ()
    assert len(broken_limits(all_fallback, limits(max_fallback_share=0.5), by_model=True)) == 1


def test_by_default_lost_users_and_a_model_that_fills_with_popularity_are_refused():
    bad = replace(FIGURES, users_kept=0.49, fallback_share=0.51)
    assert [line.split(":")[0] for line in broken_limits(bad, ChecksConfig(), by_model=True)] == [
        "check min_users_kept",
        "check max_fallback_share",
    ]


def test_the_refusal_names_every_limit_and_what_to_do():
    with pytest.raises(GateError) as refused:
        refuse_broken_limits(("check a: 1", "check b: 2"), ChecksConfig())
    assert str(refused.value) == (
        "table recommendations_staged: check a: 1; check b: 2; the old lists stay. Look at the lists there; if they "
        "are right, set the limit in recommendations.checks and run again"
    )


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (
            "dry_run",
            "table recommendations_staged: check a: 1; published all the same: recommendations.checks.mode is dry_run",
        ),
        ("disabled", None),
    ],
)
def test_a_dry_run_warns_and_a_disabled_check_says_nothing(mode, told):
    assert refuse_broken_limits(("check a: 1",), ChecksConfig(mode=mode)) == told


def test_lists_within_their_limits_are_not_spoken_of():
    assert refuse_broken_limits((), ChecksConfig()) is None
