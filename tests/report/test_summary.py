import io

from rich.console import Console

from intentrec.report import print_summary


def printed(night, terminal, width=100):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system="truecolor")
    print_summary(night, console)
    return console.file.getvalue()


def test_piped_every_row_is_one_plain_line(full_night):
    assert printed(full_night, terminal=False).splitlines() == [
        "run date: 2024-05-02",
        "run: r1",
        "warehouse: /w",
        "lists made by: m1",
        "gate: promoted",
        "because: promoted: +3.00% to the best baseline popularity_1h (wanted at least 0)",
        "warning: 1 user is short of items",
        (
            "Rows per stage: stage ingest_events, status finished, seconds 12.3, "
            "counted rows_read 1,234, rows_accepted 1,233"
        ),
        "Quarantine: reason wrong_type, rows 1, example a.json.gz:7",
        "Metrics at 10: recommender m1, role challenger, ndcg 0.1234 (0.1200 to 0.1300), coverage 0.5000",
        "Metrics at 10: recommender popularity_1h, role baseline, ndcg 0.1198 (0.1100 to 0.1250)",
        "Catalogue coverage: k 10, items shown 30, eligible items 120, share 25.0%",
        "What recommendations.policies cost and buy: figure ndcg at 10, without 0.2000, with 0.1900, change -5.0%",
        "What recommendations.policies cost and buy: figure coverage at 10, without 0.0000, with 0.5000",
        "User ann: history: <b>Tea</b> · Kanne 茶  [31m",
        "User ann: rank 1, recommended <script>alert(1)</script>, source model, why like [red]Tea[/red]",
        "User ann: rank 2, recommended Pot, source prior, why popular now or often next; for category: Tea",
        "User ann: rank 3, recommended Jug, source explore, why drawn at random, chance 12.5%; like Pot",
        "User ann: rank 4, recommended Cup, source fallback, why popular; fills a short list",
        "User ann: rank 5, recommended Mug, source pinned, why pinned by a rule",
    ]


def test_piped_there_is_no_colour_no_box_and_no_wrapping(full_night):
    text = printed(full_night, terminal=False, width=20)
    assert text == printed(full_night, terminal=False, width=200)
    assert not set(text) & set("\x1b│┃━─")


def test_on_a_terminal_there_are_tables_and_colours(full_night):
    text = printed(full_night, terminal=True)
    assert "Rows per stage" in text
    assert "┃" in text
    assert "\x1b[32mpromoted" in text


def test_a_title_is_neither_markup_nor_a_command_to_the_terminal(full_night):
    text = printed(full_night, terminal=True)
    assert "[red]Tea[/red]" in text
    assert "\x1b[31m" not in text


def test_on_a_terminal_an_empty_quarantine_is_a_sentence(empty_night):
    assert "Quarantine: no row was rejected" in printed(empty_night, terminal=True)
