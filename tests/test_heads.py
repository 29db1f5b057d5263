"""heads.py from a generated folder to its report: which events are judged, what floors are worth, going on."""

import csv
import gzip
import json
import sys
from pathlib import Path

import pytest
from tests.running import benchmark
from tests.test_quality import as_it_was  # noqa: F401 the fixture is used by its name

SMALL = (
    "model.width=8", "model.layers=1", "model.attention_heads=1", "training.epochs=1", "training.events_per_batch=2048",
    "training.rate_falls=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def heads():
    with benchmark("heads") as found:
        yield found


def searches(folder: Path, silent: range = range(0)) -> Path:
    """Write 50 sessions of look, look, sort, look, book on hotels 1 to 5; the last ten end with one look more.

    Of the sessions ``silent`` no action is known.
    """
    columns = ("user_id", "session_id", "timestamp", "step", "action_type", "reference", "platform", "device")
    with gzip.open(folder / "events.csv.gz", "wt", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(columns)
        for number in reversed(range(50)):  # the file's order is not the order of time
            acts = ["look", "look", "sort", "look", "book"] + ["look"] * (number >= 40)
            for step, act in enumerate(acts, 1):
                reference = "price only" if act == "sort" else str(1 + (number + step) % 5)
                second = 1_541_548_800 + 60 * number + step // 2  # two events of a second: the step orders them
                known = "" if number in silent else act
                rows.writerow(("u", f"s{number}", second, step, known, reference, "FR", "mobile"))
    return folder


def run(heads, folder: Path, out: Path, *sets: str) -> dict[str, float]:
    flags = ["--data", str(folder), "--seed", "1", "--out", str(out)]
    assert heads.main(flags + [word for each in (*SMALL, *sets) for word in ("--set", each)]) == 0
    return json.loads(out.read_text())["figures"]


def test_the_last_fifth_of_the_sessions_is_judged_beside_its_floors(heads, tmp_path):
    figures = run(heads, searches(tmp_path), tmp_path / "out.json")
    # ten sessions of six events, each but the first: look, sort, look, book, look
    assert figures["head:action:events"] == 50
    assert figures["head:action:majority"] == pytest.approx(3 / 5)
    assert figures["floor:action:last"] == pytest.approx(1 / 5)  # of them look follows look alone
    assert figures["floor:action:mode_5"] == pytest.approx(3 / 5)  # always look
    # learnt: after look each of the three equally often, the first counts: book; after sort look; after book nothing
    assert figures["floor:action:markov"] == pytest.approx(2 / 5)
    assert 0 <= figures["head:action:ece_calibrated"] <= 1
    again = run(heads, tmp_path, tmp_path / "out.json")
    assert {**again, "wall_s": 0} == {**figures, "wall_s": 0}


def test_a_head_without_labels_to_calibrate_on_is_passed_over(heads, tmp_path):
    figures = run(heads, searches(tmp_path, silent=range(36, 40)), tmp_path / "out.json")  # those to validate on
    assert not [key for key in figures if key.startswith("head:action:")]
    assert figures["floor:action:last"] == pytest.approx(1 / 5)


def test_events_without_a_hotel_have_no_item(heads, tmp_path):
    log = sys.modules["protocols.visits"].action_sessions(searches(tmp_path))
    first = log.sequence_N == 0
    assert log.item_N[first].tolist() == [1, 2, 0, 3, 4]  # hotels 2, 3, none, 5, 1
    assert log.items == ("2", "3", "5", "1", "4")
    assert log.values["action"] == ("book", "look", "sort")
    assert log.feature_CN[0][first].tolist() == [2, 2, 3, 2, 1]


def test_a_hotel_of_too_few_sessions_is_unknown(heads, tmp_path):
    log = sys.modules["protocols.visits"].action_sessions(searches(tmp_path))
    config = heads.config_of("session_prefixes", "intent", 1, ["protocol.least_sessions=29"])
    one = heads.cut(log, config)
    # of the 36 sessions to learn from 8 lack hotel 4 (their third event would be on it), 7 each of the others
    assert one.numbers.vocabulary.items == ("2", "3", "5", "1")
    assert one.learn.items_N[:5].tolist() == [1, 2, 0, 3, 4]  # hotels 2, 3, none, 5, 1
    assert one.learn.items_N[5:10].tolist() == [2, 0, 0, 4, 1]  # hotels 3, 4, none, 1, 2


def test_other_flags_do_not_go_on_with_the_work(heads, tmp_path):
    run(heads, searches(tmp_path), tmp_path / "out.json")
    with pytest.raises(SystemExit, match="holds the work of other flags"):
        run(heads, tmp_path, tmp_path / "out.json", "model.width=4")
    with pytest.raises(SystemExit, match="--set: "):
        run(heads, tmp_path, tmp_path / "out.json", "model.nothing=4")


@pytest.mark.parametrize(
    ("sessions", "told"),
    [
        (0, r"events\.csv\.gz: holds no event"),
        (6, "no item stands in 5 sessions to learn from"),
        (1, "no item stands in 5 sessions to learn from"),
    ],
)
def test_a_log_that_nothing_can_be_learnt_from_is_told_in_a_line(heads, tmp_path, sessions, told):
    folder = searches(tmp_path)
    lines = gzip.decompress((folder / "events.csv.gz").read_bytes()).decode().splitlines()
    few = [line for line in lines if not line.startswith("u,") or int(line.split(",")[1][1:]) < sessions]
    (folder / "events.csv.gz").write_bytes(gzip.compress("\n".join(few).encode()))
    with pytest.raises(SystemExit, match=told):
        run(heads, folder, tmp_path / "out.json")
