import pytest

from intentrec.baselines import (
    TRANSITIONS,
    decayed_name,
    is_baseline,
    popularity_name,
    reach_of,
    transitions_name,
    window_of,
)


def test_names_say_what_was_counted():
    assert popularity_name(1_000_000) == "popularity_1000000h"
    assert decayed_name(0.5) == "decayed_popularity_0.5h"
    assert decayed_name(36.0) == "decayed_popularity_36h"


def test_a_window_is_read_from_its_name():
    assert window_of(popularity_name(72)) == 72


def test_a_reach_is_read_from_its_name():
    assert (transitions_name(5), TRANSITIONS) == ("transitions_5", "transitions_1")
    assert reach_of("transitions_5") == 5


@pytest.mark.parametrize("name", [popularity_name(6), decayed_name(3.0), TRANSITIONS])
def test_a_baseline_is_known_by_its_name(name):
    assert is_baseline(name)


@pytest.mark.parametrize("name", ["106a2ab7c964caf1", "0000000000000000", "transitions_2"])
def test_a_model_is_no_baseline(name):
    assert not is_baseline(name)
