import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from intentrec.errors import SetupError
from intentrec.report import render_report, write_report


class Page(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.sources = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_shows_every_part(full_night):
    page = Page(render_report(full_night))
    titles = [text for text in page.texts if text in {
        "Rows per stage", "Quarantine", "Events and sessions per day", "Session length", "Training", "Metrics at 10",
        "Metrics at 20", "Intents of the users", "Catalogue coverage", "User ann",
    }]  # fmt: skip
    assert len(titles) == 10
    assert page.tags.count("img") == 6
    assert {"promoted", "ingest_events", "0.1234 (0.1200 to 0.1300)", "25.0%", "Pot"} <= set(page.texts)


def test_text_from_outside_is_shown_and_never_obeyed(full_night):
    page = Page(render_report(full_night))
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "<script>alert(1)</script>" in page.texts


def test_the_page_needs_nothing_but_itself(full_night):
    page = render_report(full_night)
    assert all(source.startswith("data:") for source in Page(page).sources)
    assert not re.search(r"https?://|@import|url\(", page)
    assert "default-src 'none'; img-src data:" in page


def test_the_verdict_has_its_colour(full_night, empty_night):
    assert '<dd class="promoted">promoted</dd>' in render_report(full_night)
    assert "<dd class=" not in render_report(empty_night)


def test_an_empty_night_is_a_page_too(empty_night):
    page = Page(render_report(empty_night))
    assert "img" not in page.tags
    assert "no row was rejected" in page.texts


def test_long_tables_are_folded(full_night):
    days = tuple(replace(full_night.days[0], day=full_night.days[0].day.replace(day=day)) for day in range(1, 22))
    assert "21 rows" in Page(render_report(replace(full_night, days=days))).texts
    assert "details" not in Page(render_report(full_night)).tags


def test_equal_nights_give_equal_pages(full_night):
    assert render_report(full_night) == render_report(full_night)


def test_the_page_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path, full_night):
    path = tmp_path / "new" / "report.html"
    write_report(full_night, path)
    path.write_text("old")
    write_report(full_night, path)
    assert path.read_text(encoding="utf-8") == render_report(full_night)
    assert list(path.parent.iterdir()) == [path]


def test_a_page_that_cannot_be_written_names_the_file_and_the_way_out(tmp_path, full_night):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "report.html"
    with pytest.raises(SetupError, match=r"file/report.html: the report cannot be written \(.*\). Set artifacts to a"):
        write_report(full_night, path)
