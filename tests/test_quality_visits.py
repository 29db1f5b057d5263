"""Logs of clicks as others write them: ids that begin anew, stray sessions, quiet hours, empty values and files."""

import json
import sys
from functools import partial

import pytest
from tests.running import benchmark
from tests.test_quality import as_it_was, run, same, sequences, sessions, weeks  # noqa: F401 one is a fixture
from tests.test_quality_folders import BEGIN_S, LITTLE, clicks
from tests.test_quality_rounds import parts, rounds_of

DAY = "clicks_day_{:02d}.csv"


@pytest.fixture(scope="module")
def quality():
    with benchmark("quality") as found:
        yield found


@pytest.fixture(scope="module")
def rounds(quality):
    return partial(rounds_of, quality)


def rows_of(folder, day):
    return (folder / DAY.format(day)).read_text().splitlines()


def edited(folder, day, rows):
    (folder / DAY.format(day)).write_text("\n".join(rows) + "\n")


def test_a_session_is_told_by_its_user_and_start_too(quality, tmp_path):
    plain = quality.clicks.day_files(clicks(tmp_path, ("u", 30, "abc", None)))[0]
    for day in range(2):
        head, *rows = (row.split(",") for row in rows_of(tmp_path, day))
        edited(tmp_path, day, [",".join(head), *(",".join([row[0], "1", *row[2:]]) for row in rows)])
    log = quality.clicks.day_files(tmp_path)[0]
    assert log.session_N.tolist() == plain.session_N.tolist()
    assert log.session_N[-1] == 49  # 48 hours, the first minute, and that of "u"


def test_a_session_in_the_file_of_another_day_moves_no_day(quality, tmp_path):
    clicks(tmp_path, ("u", 22, "ab", None), ("u", 22.5, "ab", None), num_days=3)
    plain = quality.clicks.day_files(tmp_path)[1]
    assert plain.tolist() == [BEGIN_S + 86_400 * day for day in range(4)]
    first, second = rows_of(tmp_path, 0), rows_of(tmp_path, 1)
    edited(tmp_path, 0, [first[0], *(row for row in first if row.startswith("p,"))])
    edited(tmp_path, 1, [*second, *(row for row in first if row.startswith("u,"))])
    assert quality.clicks.day_files(tmp_path)[1].tolist() == plain.tolist()
    edited(tmp_path, 0, [*first, first[1].replace(str(BEGIN_S), "0")])  # a clock that was never set
    assert quality.clicks.day_files(tmp_path)[1].tolist() == plain.tolist()


def test_an_empty_value_of_the_context_is_none_and_its_day_has_the_values_of_the_others(quality, tmp_path):
    clicks(tmp_path, ("u", 30, "ab", None))
    second = rows_of(tmp_path, 1)
    edited(tmp_path, 1, [row.replace(",4,1,17,", ",,1,17,") if row.startswith("u,") else row for row in second])
    log = quality.clicks.day_files(tmp_path)[0]
    assert log.values["environment"] == ("4",)
    assert log.feature_CN[0].tolist() == [1] * (len(log.item_N) - 2) + [0, 0]  # those of "u" are the last


def test_values_that_are_numbers_are_in_their_order(quality, tmp_path):
    clicks(tmp_path)
    for day, old in enumerate((",17,", ",2,")):
        edited(tmp_path, day, [row.replace(",17,", old) for row in rows_of(tmp_path, day)])
    assert quality.clicks.day_files(tmp_path)[0].values["os"] == ("2", "17")


def test_a_byte_order_mark_belongs_to_no_name(rounds, tmp_path):
    (tmp_path / "ml.txt").write_text("\ufeff1 a\n1 b\n1 c\n1 d\n", encoding="utf-8")
    assert parts(rounds("leave_one_out", tmp_path)[0].learn) == [[1, 2]]


def test_lists_leave_out_what_the_session_opened_until_one_is_known_to_open_it_again(rounds, tmp_path):
    folder = clicks(tmp_path, ("u", 24.5, "aca", None), ("u", 25.5, "bcb", None))
    one, two = rounds("hourly", folder, *LITTLE, "protocol.rounds=[0, 1]")
    users = one.judged[0].users
    assert [own.tolist() for own in users.seen] == [own.tolist() for own in users.current]
    users = two.judged[0].users
    assert [len(own) for own in users.seen] == [0, 0]
    assert sorted(len(own) for own in users.current) == [1, 2]
    assert all(own.max() <= 3 for own in users.current)


def test_a_first_hour_without_anything_to_fit_on_leaves_the_mix_to_the_next(quality, tmp_path, monkeypatch):
    sets = (
        *LITTLE[1:],
        "protocol.popularity_hours=[2, 24]",
        "protocol.mix=[markov]",
        "protocol.rounds=[0, 1, 2]",
        "protocol.fit_every=1",
    )
    folder, out = clicks(tmp_path, quiet=(23,)), tmp_path / "out.json"
    whole = run(quality, "hourly", folder, out, *sets)
    kept = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out.work" / "priors").iterdir()}
    assert sorted(kept) == ["window_001", "window_002"]
    assert [[name for name, _ in own["prior"]["evidence"]] for own in kept.values()] == [["markov"], ["markov"]]
    learn = quality.Learner.learn
    monkeypatch.setattr(
        quality.Learner, "learn", lambda self, one: learn(self, one) if one.name == "window_000" else sys.exit("killed")
    )
    with pytest.raises(SystemExit, match="killed"):
        run(quality, "hourly", folder, tmp_path / "again.json", *sets)
    monkeypatch.undo()
    assert same(run(quality, "hourly", folder, tmp_path / "again.json", *sets)) == same(whole)


@pytest.mark.parametrize("empty", [1, 2])
def test_a_day_without_clicks_before_that_of_the_lists_is_not_learnt_from(quality, tmp_path, empty):
    visits = [("u", 3 + 10 * place, "cdefghijk"[place], None) for place in range(9)]
    folder = clicks(tmp_path, *visits, num_days=4)
    edited(folder, empty, rows_of(folder, empty)[:1] if empty == 1 else [])
    figures = run(quality, "nightly", folder, tmp_path / "out.json", *LITTLE, "protocol.mix=[markov]")
    assert figures["rounds"] == 2 - (empty == 2)


@pytest.mark.parametrize("empty", [0, 1])
def test_an_empty_period_is_passed_over(quality, tmp_path, empty):
    weeks(tmp_path, packed=False)
    (tmp_path / f"period_{empty:02d}.txt").write_text("")
    run(quality, "periods", tmp_path, tmp_path / "out.json", "protocol.mix=[]")
    assert sorted(path.stem for path in (tmp_path / "out.work" / "rounds").iterdir()) == ["period_02"]


def test_a_period_that_nothing_can_be_learnt_from_warms_no_model(quality, tmp_path):
    weeks(tmp_path, packed=False)
    (tmp_path / "period_01.txt").write_text("1 1\n2 2\n1 3\n")
    (tmp_path / "period_03.txt").write_text("1 1\n1 2\n")
    (tmp_path / "period_02.txt").write_text("5 1\n6 2\n")
    figures = run(quality, "periods", tmp_path, tmp_path / "out.json", "protocol.mix=[]")
    assert figures["rounds"] == 2


@pytest.mark.parametrize(
    ("protocol", "name", "text", "told"),
    [
        ("leave_one_out", "ml.txt", "\n", r"ml\.txt: holds no line"),
        ("session_prefixes", "train_sessions.txt", "\n", r"train_sessions\.txt: holds no session"),
        ("session_prefixes", "test_examples.tsv", "1\t2\n\t2\n", "line 2: wanted items, a tab and the next item"),
        ("session_prefixes", "test_examples.tsv", "1 2\n", "line 1: wanted items, a tab and the next item, is '1 2'"),
        (
            "hourly",
            "clicks_day_00.csv",
            "user_id,session_id\n1,1\n",
            "clicks_day_00.csv: wanted columns .*lacks click_",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_a_line(quality, tmp_path, protocol, name, text, told):
    make = {"leave_one_out": partial(sequences, packed=False), "session_prefixes": partial(sessions, packed=False)}
    make.get(protocol, clicks)(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit, match=told):
        run(quality, protocol, tmp_path, tmp_path / "out.json", "protocol.mix=[]")


@pytest.mark.parametrize("value", ["", "noon", "inf"])
def test_a_time_that_is_no_number_is_told_with_its_row(quality, tmp_path, value):
    head, one, two, *_ = rows_of(clicks(tmp_path), 0)
    edited(tmp_path, 0, [head, one, two.replace(f"{1000 * (BEGIN_S + 1)}", value)])
    with pytest.raises(SystemExit, match=rf"row 2: wanted a number as click_timestamp, is '{value}'"):
        quality.clicks.day_files(tmp_path)


def test_a_folder_without_a_click_or_a_line_is_told(quality, tmp_path):
    for day in range(2):
        edited(tmp_path, day, [])
        (tmp_path / f"period_{day:02d}.txt").write_text("\n")
    with pytest.raises(SystemExit, match="no file holds a click"):
        quality.clicks.day_files(tmp_path)
    with pytest.raises(SystemExit, match="no file holds a line"):
        run(quality, "periods", tmp_path, tmp_path / "out.json")
