import base64
from dataclasses import replace
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from intentrec.report import IntentShare, Score
from intentrec.report.plots import plots


def texts(uri):
    """Return what is written in an SVG, and so prove that it is one."""
    prefix, data = uri.split(",")
    assert prefix == "data:image/svg+xml;base64"
    root = ET.fromstring(base64.b64decode(data))
    return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(
    ("key", "written"),
    [
        ("days", ["24-05-01", "24-05-02", "events", "sessions"]),
        ("session_lengths", ["1", "2 to 3", "events of a session"]),
        ("epochs", ["epoch", "loss, nats", "training", "validation"]),
        ("scores_10", ["m1", "popularity_1h", "ndcg at 10", "coverage at 10"]),
        ("intents", ["Tea & $cups_$", "buy", "category", "action"]),
        ("coverage", ["first 10", "eligible items", "shown to anybody"]),
    ],
)
def test_each_part_has_its_plot_with_its_names(full_night, key, written):
    assert set(written) <= set(texts(plots(full_night)[key]))


def test_nothing_is_drawn_of_nothing(empty_night):
    assert plots(empty_night) == {}


def test_equal_nights_give_equal_bytes(full_night):
    assert plots(full_night) == plots(full_night)


def test_a_score_moves_its_plot(full_night):
    other = replace(full_night, scores=(replace(full_night.scores[0], value=0.125), *full_night.scores[1:]))
    assert plots(other)["scores_10"] != plots(full_night)["scores_10"]
    assert plots(other)["days"] == plots(full_night)["days"]


def test_figures_without_k_are_drawn_too(empty_night):
    night = replace(empty_night, scores=(Score("m1", "challenger", "accuracy", None, 0.5, None, None),))
    assert "accuracy" in texts(plots(night)["scores_None"])


def test_many_days_name_only_a_few_of_them(full_night):
    first = full_night.days[0]
    days = tuple(replace(first, day=first.day.replace(day=day)) for day in range(1, 31))
    named = [text for text in texts(plots(replace(full_night, days=days))["days"]) if text.startswith("24-05")]
    assert named == 2 * ["24-05-01", "24-05-07", "24-05-13", "24-05-19", "24-05-25"]


def test_labels_in_any_script_and_with_control_letters_are_drawn(empty_night):
    night = replace(empty_night, intents=(IntentShare("category", "茶 \x00\x1b", 1.0),))
    assert "茶" in "".join(texts(plots(night)["intents"]))


def test_the_settings_of_other_plots_stay(full_night):
    before = dict(mpl.rcParams)
    plots(full_night)
    assert dict(mpl.rcParams) == before


def test_a_single_epoch_is_a_whole_number(full_night):
    named = texts(plots(replace(full_night, epochs=full_night.epochs[:1]))["epochs"])
    assert named[: named.index("epoch")] == ["1"]
