import pytest

from intentrec.starter.profiles import any_micros, micros, profile

MAY = 1_714_521_600  # 2024-05-01


@pytest.mark.parametrize(
    ("texts", "unit"),
    [
        ([str(MAY), str(MAY + 1)], "s"),
        ([f"{MAY}.5", str(MAY)], "s"),
        ([f"{MAY}000", f"{MAY}001"], "ms"),
        ([f"{MAY}000000"], "us"),
        ([f"{MAY}000000000"], "ns"),
        (["2024-05-01T10:00:00Z"], "iso"),
        (["2024-05-01 10:00:00 UTC"], "iso"),
        (["17", "18"], None),
        (["tea"], None),
    ],
)
def test_the_unit_of_times_is_told_by_their_range(texts, unit):
    assert profile("t", 0, texts).time_unit == unit


def test_figures_of_a_column():
    found = profile("a", 3, ["1", "1", "2.5", None, "tea"])
    assert (found.position, found.num_rows, found.filled, found.num_distinct) == (3, 5, 0.8, 3)
    assert (found.numeric, found.whole, found.mean_length) == (0.75, 0.5, 2.0)  # 1 + 1 + 3 + 3 characters
    assert not found.has_offset
    assert profile("a", 0, ["2024-05-01T10:00:00+02:00"]).has_offset
    assert profile("a", 0, ["2024-05-01 10:00:00 UTC"]).named_utc


@pytest.mark.parametrize(
    ("texts", "midnights", "clock"),
    [
        (["2024-05-01", "2024-05-02"], True, False),
        (["2024-05-01T00:00:00Z", "2024-05-02 00:00", "2024-05-03 00:00:00.000 UTC"], True, False),
        (["2024-05-01", "2024-05-02 09:30:00"], False, False),
        (["09:30", "23:59:59", "7:05:00.25"], False, True),
        (["24:00", "9:60"], False, False),
        ([], False, False),
    ],
)
def test_days_alone_and_times_of_day_are_told_from_whole_times(texts, midnights, clock):
    found = profile("t", 0, texts)
    assert (found.midnights, found.clock) == (midnights, clock)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("visitorId", {"visitor", "id"}),
        ("visitorid", {"visitor", "id"}),
        ("click_article_id", {"click", "article", "id"}),
        ("user.ID", {"user", "id"}),
        ("paid", {"paid"}),
    ],
)
def test_a_name_is_split_into_words(name, words):
    assert profile(name, 0, []).tokens == words


@pytest.mark.parametrize(
    ("text", "unit", "zone", "wanted"),
    [
        (str(MAY), "s", None, MAY * 1e6),
        (f"{MAY}000", "ms", None, MAY * 1e6),
        (str(MAY), "ms", None, None),
        ("2024-05-01T00:00:00Z", "iso", None, MAY * 1e6),
        ("2024-05-01T00:00:00", "iso", None, None),
        ("2024-05-01T00:00:00", "iso", "UTC", MAY * 1e6),
        ("2024-05-01T02:00:00", "iso", "Europe/Berlin", MAY * 1e6),
        ("noon", "iso", "UTC", None),
        ("inf", "s", None, None),
        (None, "s", None, None),
        ("2024-W18-3", "iso", "UTC", None),
        ("20240501", "iso", "UTC", None),
        ("1_714_521_600", "s", None, None),
        ("1950-01-01", "iso", "UTC", None),
    ],
)
def test_a_text_becomes_an_instant_or_nothing(text, unit, zone, wanted):
    assert micros(text, unit, zone) == wanted


def test_an_instant_of_any_year_can_be_asked_for():
    assert any_micros("1970-01-02", "iso", "UTC") == 86_400e6
    assert any_micros("12", "ms", None) == 12_000
