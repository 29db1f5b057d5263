"""Folders as they come: late clicks, empty lines, ids of any kind, missing and doubled files, hours without lists."""

import csv
from functools import partial

import numpy as np
import pytest
from tests.running import benchmark
from tests.test_quality import as_it_was, run, sequences, sessions, weeks  # noqa: F401 the fixture is used by its name
from tests.test_quality_rounds import parts, rounds_of

HEAD = (
    "user_id", "session_id", "session_start", "session_size", "click_article_id", "click_timestamp",
    "click_environment", "click_deviceGroup", "click_os", "click_country", "click_region", "click_referrer_type",
)  # fmt: skip
BEGIN_S, HOUR_S = 1_506_825_360, 3600
LITTLE = ("protocol.popularity_hours=[1]", "protocol.k=[2]", "protocol.learn_days=1", "protocol.replay_hours=1")


@pytest.fixture(scope="module")
def quality():
    with benchmark("quality") as found:
        yield found


@pytest.fixture(scope="module")
def rounds(quality):
    return partial(rounds_of, quality)


def clicks(folder, *visits, num_days=2, quiet=()):
    """Write visits (user, hour of its start, articles, hour of the last click if not at once).

    Every hour that is not quiet has another visit, of the user "p", to the articles "a" and "b".
    """
    visits = [*visits, *(("p", hour + 0.1, "ab", None) for hour in range(24 * num_days) if hour not in quiet)]
    visits = sorted([("p", 0, "ab", None), *visits], key=lambda visit: visit[1])
    for day in range(num_days):
        with (folder / f"clicks_day_{day:02d}.csv").open("w", encoding="utf-8", newline="") as lines:
            rows = csv.writer(lines)
            rows.writerow(HEAD)
            for number, (user, hour, articles, last) in enumerate(visits):
                start = int(BEGIN_S + hour * HOUR_S)
                clicked = [start + place for place in range(len(articles))]
                clicked[-1] = clicked[-1] if last is None else int(BEGIN_S + last * HOUR_S)
                for article, second in zip(articles, clicked, strict=True):
                    if int(hour) // 24 == day:
                        rows.writerow((user, number, 1000 * start, 0, article, 1000 * second, 4, 1, 17, 1, 21, 2))
    return folder


def known(one, day):
    """Return the names of all items that any evidence of a day speaks of."""
    items = [np.arange(1, len(day.allowed))]
    return {
        one.numbers.vocabulary.items[item - 1] for own in day.sources.values() for item in own.evidence_of(items)[1]
    }


def test_a_click_after_the_moment_is_no_evidence_and_no_label_though_its_visit_began_before(rounds, tmp_path):
    # at 24.9 "u" opens c, at 25.2 z; the window from 25 on knows of c alone, the one from 26 on of both
    folder = clicks(tmp_path, ("u", 24.9, "acz", 25.2))
    _, one, two = rounds("hourly", folder, *LITTLE, "protocol.rounds=[0, 1, 2]")
    assert known(one, one.judged[0]) == set("abc")
    assert one.numbers.vocabulary.items == tuple("abc")
    assert one.judged[0].counts[1].tolist() == [0, 2, 1, 1]  # of a, b and c in the hour before
    answers = [one.numbers.vocabulary.items[item - 1] for item in one.trying[0].users.relevant.items]
    assert sorted(answers) == ["b", "c"]  # what "u" had opened last by then
    assert known(two, two.judged[0]) == set("abcz")


def test_a_night_knows_and_is_fitted_on_what_was_opened_before_it(rounds, tmp_path):
    folder = clicks(tmp_path, ("u", 1, "ab", None), ("u", 46.5, "cz", 49), ("u", 60, "z", None), num_days=3)
    one, two = rounds("nightly", folder, *LITTLE)
    assert one.numbers.vocabulary.items == tuple("ab")
    assert two.numbers.vocabulary.items == tuple("abc")
    assert known(two, two.judged[0]) <= set("abc")
    answers = [two.numbers.vocabulary.items[item - 1] for item in two.trying[0].users.relevant.items]
    assert answers == ["c"]
    assert two.judged[0].users.relevant.items.tolist() == [4]  # z, which is new to the night


def test_a_history_holds_nothing_later_than_what_is_asked(rounds, tmp_path):
    # the visit at 20 is gone on with at 40: at 25.5 nobody knows
    folder = clicks(tmp_path, ("u", 20, "az", 40), ("u", 25.5, "bc", None))
    (one,) = rounds("hourly", folder, *LITTLE, "protocol.rounds=[1]")
    own = [past.tolist() for past in one.judged[0].users.histories.items if len(past) == 2]
    assert [[one.numbers.vocabulary.items[item - 1] for item in past] for past in own] == [["a", "b"]]


def test_hours_without_visits_are_passed_over_and_the_next_learns_what_came_since(rounds, tmp_path):
    found = rounds("hourly", clicks(tmp_path, quiet=(26, 27)), *LITTLE, "protocol.rounds=[0, 1, 2, 3, 4]")
    assert [one.name for one in found] == ["window_000", "window_001", "window_004"]
    assert not len(found[2].trying[0].users)
    targets = found[2].more.times_N[found[2].more.weights_N > 0]
    assert targets.min() == BEGIN_S + int(25.1 * HOUR_S)


@pytest.mark.parametrize(("protocol", "num_days", "tested"), [("hourly", 2, 24), ("nightly", 2, 1), ("nightly", 3, 2)])
def test_short_logs_are_judged_as_far_as_they_can_be_learnt_from(quality, tmp_path, protocol, num_days, tested):
    visits = [("u", 3 + 10 * place, "cdefgh"[place], None) for place in range(2 * num_days)]
    folder = clicks(tmp_path, *visits, num_days=num_days, quiet=(25,))
    sets = () if protocol == "nightly" else ("protocol.rounds=[0, 1, 2]",)
    figures = run(quality, protocol, folder, tmp_path / "out.json", *LITTLE, "protocol.mix=[markov]", *sets)
    assert figures["rounds"] == (tested if protocol == "nightly" else 2)


def test_ids_may_look_like_anything(rounds, tmp_path):
    lines = [f"{2**63 + user} {item}" for user in range(5) for item in ("01", "1", "NA", f"{2**63}")]
    (tmp_path / "ml.txt").write_text("\n\n".join(lines) + "\n")
    (one,) = rounds("leave_one_out", tmp_path)
    assert one.numbers.vocabulary.items == ("01", "1", "NA", f"{2**63}")
    assert parts(one.learn) == [[1, 2]] * 5


def test_periods_take_names_and_empty_lines(rounds, tmp_path):
    for period in range(2):
        (tmp_path / f"period_{period:02d}.txt").write_text("\n".join(f"s{n % 3} NA{n}" for n in range(9)) + "\n\n")
    (one,) = rounds("periods", tmp_path)
    assert parts(one.more) == [[1, 4, 7], [2, 5, 8], [3, 6, 9]]


def test_empty_lines_between_sessions_and_tests_change_nothing(rounds, tmp_path):
    folder = sessions(tmp_path, packed=False)
    (plain,) = rounds("session_prefixes", folder)
    for name in ("train_sessions.txt", "test_examples.tsv"):
        (folder / name).write_text("\n" + (folder / name).read_text().replace("\n", "\n\n"))
    (spaced,) = rounds("session_prefixes", folder)
    assert parts(spaced.learn) == parts(plain.learn)
    assert len(spaced.judged[0].users) == len(plain.judged[0].users)
    past, other = (one.trying[0].sources["markov"].evidence_of([np.arange(1, 13)]) for one in (plain, spaced))
    assert all(np.array_equal(*columns) for columns in zip(past, other, strict=True))


def test_one_session_at_least_is_kept_to_choose_by(rounds, tmp_path):
    (tmp_path / "train_sessions.txt").write_text("1 2\n2 3\n3 1\n")
    (tmp_path / "test_examples.tsv").write_text("1\t2\n")
    (one,) = rounds("session_prefixes", tmp_path)
    assert (len(parts(one.learn)), len(parts(one.check))) == (2, 1)


@pytest.mark.parametrize(("name", "told"), [("period_01.txt.gz", "is followed by period_01"), ("period_04.txt", "_04")])
def test_files_that_are_missing_or_there_twice_are_told(quality, tmp_path, name, told):
    weeks(tmp_path, packed=False)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(SystemExit, match=told):
        run(quality, "periods", tmp_path, tmp_path / "out.json")


def test_a_period_without_anything_that_can_be_judged_is_passed_over(quality, tmp_path):
    weeks(tmp_path, packed=False)
    (tmp_path / "period_03.txt").write_text("1 new\n1 newer\n")
    figures = run(quality, "periods", tmp_path, tmp_path / "out.json", "protocol.mix=[]")
    assert figures["rounds"] == 2


def test_a_mix_of_what_is_not_there_is_told_before_anything_is_trained(quality, tmp_path):
    with pytest.raises(SystemExit, match=r"protocol\.mix: wanted names of .*'markov'.*, is vsknn"):
        run(quality, "leave_one_out", sequences(tmp_path), tmp_path / "out.json", "protocol.mix=[vsknn]")
    assert not (tmp_path / "out.work" / "rows").exists()


def test_another_folder_of_the_same_name_is_not_gone_on_with_and_a_wrong_one_claims_nothing(quality, tmp_path):
    one, other, out = tmp_path / "one" / "log", tmp_path / "other" / "log", tmp_path / "out.json"
    one.mkdir(parents=True)
    other.mkdir(parents=True)
    with pytest.raises(SystemExit, match="wanted a folder"):
        run(quality, "leave_one_out", tmp_path / "none", out, "protocol.mix=[]")
    with pytest.raises(SystemExit, match="wanted one file"):
        run(quality, "leave_one_out", other, out, "protocol.mix=[]")
    run(quality, "leave_one_out", sequences(one), out, "protocol.mix=[]")
    (other / "ml.txt").write_text("1 1\n1 2\n1 3\n")
    with pytest.raises(SystemExit, match="other flags or data"):
        run(quality, "leave_one_out", other, out, "protocol.mix=[]")


def test_a_log_that_nothing_can_be_learnt_from_is_told_in_a_line(quality, tmp_path):
    (tmp_path / "ml.txt").write_text("".join(f"{user} {item}\n" for user in (1, 2) for item in (1, 2, 3)))
    with pytest.raises(SystemExit, match="examples: no rows to train on"):
        run(quality, "leave_one_out", tmp_path, tmp_path / "out.json", "protocol.mix=[]")


@pytest.mark.parametrize(
    ("protocol", "make", "sets"),
    [
        ("hourly", lambda folder: clicks(folder, num_days=1), ("protocol.popularity_hours=[1]",)),
        ("nightly", lambda folder: clicks(folder, num_days=1), ("protocol.popularity_hours=[1]",)),
        ("periods", lambda folder: weeks(folder, packed=False), ("protocol.rounds=[100]",)),
        ("hourly", clicks, ("protocol.popularity_hours=[1]", "protocol.rounds=[100]")),
    ],
)
def test_a_folder_without_any_round_is_told_in_a_line(quality, tmp_path, protocol, make, sets):
    make(tmp_path)
    with pytest.raises(SystemExit, match="there is no round that has a list to judge"):
        run(quality, protocol, tmp_path, tmp_path / "out.json", "protocol.mix=[]", *sets)


def test_the_first_day_and_the_first_hours_may_be_without_lists(rounds, tmp_path):
    hours = rounds("hourly", clicks(tmp_path, quiet=(24, 25)), *LITTLE, "protocol.rounds=[0, 1, 2, 3, 4]")
    assert [(one.name[-1], one.fits, one.learn is None) for one in hours] == [
        ("2", True, False), ("3", True, True), ("4", False, True),
    ]  # fmt: skip
    nights = tmp_path / "nights"
    nights.mkdir()
    days = rounds("nightly", clicks(nights, ("p", 49, "cd", None), num_days=3, quiet=range(24, 48)), *LITTLE)
    assert [(one.name, one.learn is None) for one in days] == [("day_02", False)]


def test_lines_are_read_as_they_are(quality, tmp_path):
    (tmp_path / "ml.txt").write_text('1 "a extra\n1 b\n\n1 "a\n')
    log = quality.leave_one_out.rated_items(tmp_path, 1)
    assert (log.items, log.item_N.tolist()) == (('"a', "b"), [1, 2, 1])
    (tmp_path / "ml.txt").write_text("1 a\n1\n")
    with pytest.raises(SystemExit, match=r"ml\.txt: line 2: wanted two names, user and item, is '1'"):
        quality.leave_one_out.rated_items(tmp_path, 1)


def test_interactions_follow_each_other_by_parts_of_a_second(quality, tmp_path):
    rows = ("user_id:token\titem_id:token\trating:float\ttimestamp:float", "1\tb\t5\t10.9", "1\ta\t5\t10.1")
    (tmp_path / "ml.inter").write_text("\n".join(rows) + "\n")
    log = quality.leave_one_out.rated_items(tmp_path, 1)
    assert (log.items, log.time_N.tolist()) == (("a", "b"), [10, 10])


def test_ratings_with_colons_have_times_and_genres(quality, tmp_path):
    (tmp_path / "ratings.dat").write_text("u::b::5::20\nu::a::5::10\nv::b::7::30\n")
    (tmp_path / "movies.dat").write_text("a::A: the film (1999)::Drama|Comedy\nb::B (2000)::\n")
    log = quality.leave_one_out.rated_items(tmp_path, 2)
    assert (log.items, log.item_N.tolist(), log.time_N.tolist()) == (("a", "b"), [1, 2, 2], [10, 20, 30])
    assert log.timed
    assert log.values == {"categories": ("Comedy", "Drama")}
    assert log.categories_VK.tolist() == [[0, 0], [2, 1], [0, 0]]
    (tmp_path / "ratings.dat").write_text("u::b::5\n")
    with pytest.raises(SystemExit, match=r"ratings\.dat: line 1: wanted 4 fields with :: between them, has 3"):
        quality.leave_one_out.rated_items(tmp_path, 2)
