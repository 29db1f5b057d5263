import pytest

from intentrec.gate.figures import Drift, ListFigures, drift_figures, gather, list_figures

# Two lists of three: item a stands in both, b to e in one each; 10 items may be listed.
LISTS = [
    ("lists", "", "", 2),
    ("source", "", "model", 4),
    ("source", "", "fallback", 2),
    ("listed", "", "2", 1),
    ("listed", "", "1", 4),
    ("yesterday_lists", "", "", 4),
    ("yesterday_users", "", "", 1),
    ("yesterday_places", "", "", 3),
    ("yesterday_kept", "", "", 2),
]


def test_the_figures_of_lists():
    # ascending 0 * 5, 1 * 4, 2: (2 * (6 + 7 + 8 + 9 + 2 * 10) - 11 * 6) / (10 * 6)
    assert list_figures(gather(LISTS), num_eligible=10) == ListFigures(
        num_lists=2,
        users_kept=1 / 4,
        coverage=5 / 10,
        gini=(2 * 50 - 66) / 60,
        top_share=2 / 6,
        fallback_share=2 / 6,
        overlap=2 / 3,
    )


def test_without_lists_and_without_a_night_before_there_is_nothing_to_compare():
    assert list_figures({}, num_eligible=0) == ListFigures(
        num_lists=0, users_kept=None, coverage=None, gini=None, top_share=None, fallback_share=None, overlap=None
    )


def test_pinned_items_that_nobody_may_be_recommended_count_among_the_items():
    assert list_figures(gather(LISTS), num_eligible=2).coverage == 1


def test_what_has_drifted_since_the_champions_night():
    rows = [
        ("champion_lists", "", "", 9),
        ("champion_places", "", "", 4),
        ("champion_kept", "", "", 1),
        ("items_now", "", "", 5),
        ("items_then", "", "", 4),
        ("items_both", "", "", 3),  # 2 came, 1 went, of 6
        ("item_events", "", "", 8),
        ("unknown_events", "", "", 2),
        ("intents_now", "category", "tea", 3),
        ("intents_then", "category", "cup", 5),
        ("intents_now", "action", "buy", 1),
        ("intents_then", "action", "buy", 7),
        ("intents_now", "novelty", "new", 1),  # a head that the champion's night did not have
        ("events", "", "", 10),
        ("feature_events", "device", "", 5),
    ]
    assert drift_figures(gather(rows)) == (
        Drift("list_churn", "all", pytest.approx(3 / 4)),
        Drift("catalogue_turnover", "all", pytest.approx(3 / 6)),
        Drift("unknown_item_share", "all", 2 / 8),
        Drift("intent_shift", "action", 0.0),
        Drift("intent_shift", "category", pytest.approx(1.0)),
        Drift("feature_coverage", "device", 5 / 10),
    )


def test_a_catalogue_that_is_past_keeping_is_no_turnover():
    assert drift_figures(gather([("items_now", "", "", 5), ("items_then", "", "", 0)])) == ()


def test_a_first_night_has_nothing_to_drift_from():
    assert drift_figures(gather([("events", "", "", 0), ("intents_now", "action", "buy", 1)])) == ()
