from dataclasses import replace

import pytest

from intentrec.report import Coverage, SampleUser
from intentrec.report.sections import heading, printable, sections


def found(night):
    return {section.key: section for section in sections(night)}


def test_sections_come_in_the_order_of_the_flow(full_night):
    assert list(found(full_night)) == [
        "stages", "rejected", "days", "session_lengths", "epochs", "scores_10", "scores_20", "intents", "coverage",
        "policies", "figures", "sample_ann",
    ]  # fmt: skip


def test_a_night_of_nothing_says_that_no_row_was_rejected_and_no_more(empty_night):
    assert [(section.key, section.note) for section in sections(empty_night)] == [("rejected", "no row was rejected")]


@pytest.mark.parametrize(
    ("key", "columns", "rows"),
    [
        (
            "stages",
            ("stage", "status", "seconds", "counted"),
            [("ingest_events", "finished", "12.3", "rows_read 1,234, rows_accepted 1,233")],
        ),
        ("rejected", ("reason", "rows", "example"), [("wrong_type", "1", "a.json.gz:7")]),
        ("days", ("day", "events", "sessions"), [("2024-05-01", "1,000", "90"), ("2024-05-02", "1,500", "120")]),
        ("session_lengths", ("events", "sessions"), [("1", "50"), ("2 to 3", "40")]),
        ("epochs", ("epoch", "training loss", "validation loss"), [("1", "5.5000", "5.4000"), ("2", "5.1000", "")]),
        (
            "scores_10",
            ("recommender", "role", "ndcg", "coverage"),
            [
                ("m1", "challenger", "0.1234 (0.1200 to 0.1300)", "0.5000"),
                ("popularity_1h", "baseline", "0.1198 (0.1100 to 0.1250)", ""),
            ],
        ),
        ("scores_20", ("recommender", "role", "ndcg"), [("m1", "challenger", "0.2000 (0.1900 to 0.2100)")]),
        (
            "intents",
            ("head", "most likely label", "users"),
            [("category", "Tea & $cups_$", "75.0%"), ("action", "buy", "50.0%")],
        ),
        ("coverage", ("k", "items shown", "eligible items", "share"), [("10", "30", "120", "25.0%")]),
        (
            "policies",
            ("figure", "without", "with", "change"),
            [("ndcg at 10", "0.2000", "0.1900", "-5.0%"), ("coverage at 10", "0.0000", "0.5000", "")],
        ),
        (
            "figures",
            ("figure", "of", "value"),
            [("intent_shift", 'category" odd', "0.2500"), ("list_churn", "all", "0.5000")],
        ),
        (
            "sample_ann",
            ("rank", "recommended", "source", "why"),
            [
                ("1", "<script>alert(1)</script>", "model", "like [red]Tea[/red]"),
                ("2", "Pot", "prior", "popular now or often next; for category: Tea"),
                ("3", "Jug", "explore", "drawn at random, chance 12.5%; like Pot"),
                ("4", "Cup", "fallback", "popular; fills a short list"),
                ("5", "Mug", "pinned", "pinned by a rule"),
            ],
        ),
    ],
)
def test_each_section_shows_its_part_as_text(full_night, key, columns, rows):
    section = found(full_night)[key]
    assert (section.columns, list(section.rows)) == (columns, rows)


def test_the_history_of_a_sample_stands_above_its_list(full_night):
    assert found(full_night)["sample_ann"].note == "history: <b>Tea</b> · Kanne 茶  [31m"


def test_a_sample_without_history_says_so(empty_night):
    night = replace(empty_night, samples=(SampleUser("bob", (), ()),))
    assert found(night)["sample_bob"].note == "history: none"


def test_only_the_first_k_and_no_curves_are_in_the_brief_form(full_night):
    brief = [section.key for section in sections(full_night) if section.brief]
    assert brief == ["stages", "rejected", "scores_10", "coverage", "policies", "sample_ann"]


def test_coverage_of_an_empty_catalogue_is_zero(empty_night):
    assert found(replace(empty_night, coverage=(Coverage(10, 0, 0),)))["coverage"].rows == (("10", "0", "0", "0.0%"),)


def test_the_heading_leaves_out_what_is_unknown(empty_night, full_night):
    assert [label for label, _ in heading(empty_night)] == ["run date", "run", "warehouse"]
    assert heading(full_night) == (
        ("run date", "2024-05-02"),
        ("run", "r1"),
        ("warehouse", "/w"),
        ("lists made by", "m1"),
        ("gate", "promoted"),
        ("because", "promoted: +3.00% to the best baseline popularity_1h (wanted at least 0)"),
        ("warning", "1 user is short of items"),
    )


@pytest.mark.parametrize("letter", ["\n", "\x1b", "\x00", "\u202e", "\u2028", "\ud800"])
def test_what_a_terminal_or_a_page_would_obey_becomes_a_space(letter):
    assert printable(f"a{letter}b") == "a b"


def test_letters_of_any_script_stay():
    assert printable("Kanne 茶 é 🍵") == "Kanne 茶 é 🍵"
