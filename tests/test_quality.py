"""quality.py, each protocol from a generated folder to its report: what is read, what is kept out, and going on."""

import gzip
import json
import logging

import numpy as np
import pytest
import torch
from tests.running import benchmark

from intentrec.model import training

NUM_ITEMS = 12
SMALL = (
    "model.width=8", "model.layers=1", "model.attention_heads=1", "training.epochs=1", "training.events_per_batch=2048",
    "protocol.neighbours=false", "protocol.factors=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def quality():
    with benchmark("quality") as found:
        yield found


@pytest.fixture(autouse=True)
def as_it_was():
    threads, handlers, level = torch.get_num_threads(), logging.root.handlers[:], logging.root.level
    yield
    torch.set_num_threads(threads)
    logging.root.handlers[:], logging.root.level = handlers, level


def walk(random, length):
    """Return items of which each is followed by the next number."""
    return (int(random.integers(NUM_ITEMS)) + np.arange(length)) % NUM_ITEMS + 1


def write(path, text, packed):
    if packed:
        path = path.with_name(path.name + ".gz")
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)


def sequences(folder, packed=True):
    random = np.random.default_rng(1)
    lines = [f"{user} {item}" for user in range(1, 41) for item in walk(random, int(random.integers(3, 11)))]
    write(folder / "ml.txt", "\n".join(lines) + "\n", packed)
    return folder


def genres(folder):
    """Item n, movie 100 + n, has the genre of n mod 3 first, and all of them the same second one."""
    items = [
        int(line.split()[1]) for line in gzip.decompress((folder / "ml.txt.gz").read_bytes()).decode().splitlines()
    ]
    rows = [f"1,{100 + item},5,{place}" for place, item in enumerate(items)]
    (folder / "ratings_ordered.csv").write_text("user_id,movie_id,rating,seq\n" + "\n".join(rows) + "\n")
    movies = [f"{100 + item}\tFilm (1999)\t{'abc'[item % 3]}|z" for item in range(1, NUM_ITEMS + 1)]
    (folder / "movies.tsv").write_text("\n".join(movies) + "\n")
    return folder


def sessions(folder, packed=True):
    random = np.random.default_rng(2)
    rows = [walk(random, int(random.integers(2, 7))) for _ in range(80)]
    write(folder / "train_sessions.txt", "".join(" ".join(map(str, row)) + "\n" for row in rows), packed)
    tests = [f"{a} {a % NUM_ITEMS + 1}\t{(a + 1) % NUM_ITEMS + 1}" for a in range(1, NUM_ITEMS + 1)]
    write(folder / "test_examples.tsv", "\n".join([*tests, "1 999\t2", "3\t999"]) + "\n", packed)
    return folder


def weeks(folder, packed=True):
    random = np.random.default_rng(3)
    for period in range(3):
        clicks = [(s, item) for s in range(30) for item in walk(random, 3)]
        clicks += [(99, 100 + period), (99, 1)]  # an item that no earlier period has, and a session of one without it
        write(folder / f"period_{period:02d}.txt", "".join(f"{s} {item}\n" for s, item in clicks), packed)
    return folder


def days(folder, num_days=6, packed=True):
    random = np.random.default_rng(4)
    head = (
        "user_id,session_id,session_start,session_size,click_article_id,click_timestamp,click_environment,"
        "click_deviceGroup,click_os,click_country,click_region,click_referrer_type"
    )
    begin_ms = 1_506_825_360_000
    for day in range(num_days):
        lines = [head]
        for number in range(60):
            start = begin_ms + day * 86_400_000 + 21_000 + number * 1_430_000
            for place, item in enumerate(walk(random, int(random.integers(2, 5)))):
                newest = (day, number) == (num_days - 1, 5) and place < 2
                item = 900 if newest else item  # there on the last day alone
                item = 901 if (day, number, place) == (num_days - 4, 3, 0) else item  # in window 1 for the first time
                late = (
                    30 * 86_400_000 * (number == 7 and place == 1)
                )  # some clicks come weeks after their session began
                item = 902 if late and day == 0 else item  # never opened but so late
                time = start + 1000 * place + late
                row = (number % 20, day * 1000 + number, start, 0, 500 + item, time, 4, 1, 17, 1, 21, 2)
                lines.append(",".join(map(str, row)))
        write(folder / f"clicks_day_{day:02d}.csv", "\n".join(lines) + "\n", packed)
    return folder


def run(quality, protocol, folder, out, *sets, preset="sasrec"):
    flags = ["--protocol", protocol, "--data", str(folder), "--model", preset, "--seed", "1", "--out", str(out)]
    overrides = [part for text in (*SMALL, *sets) for part in ("--set", text)]
    assert quality.main([*flags, *overrides]) == 0
    result = json.loads(out.read_text())
    assert set(result) == {"benchmark", "config", "environment", "figures"}
    assert all(isinstance(figure, int | float) for figure in result["figures"].values())
    return result["figures"]


def same(figures):
    """Return the figures that do not depend on the clock."""
    return {key: value for key, value in figures.items() if not key.endswith(("_s", "cost_ratio"))}


def test_leave_one_out_judges_every_user_on_his_last_item(quality, tmp_path):
    figures = run(quality, "leave_one_out", sequences(tmp_path), tmp_path / "out.json", "protocol.mix=[counts_5]")
    assert figures["lists"] == 40
    assert figures["baseline:markov:hr@10"] == 1.0  # item n is always followed by n + 1, and never had before
    assert figures["baseline:markov:ndcg@10"] == 1.0
    assert figures["hr@10"] == 1.0  # the prior has found the evidence
    assert figures["all:coverage@10"] == 1.0
    assert figures["all:debiased_recall@10"] == 1.0
    assert figures["segment:events_3_9:lists"] + figures["segment:events_1_2:lists"] == 40
    assert figures["novelty@10"] > 0
    assert figures["ndcg@10:low"] <= figures["ndcg@10"] <= figures["ndcg@10:high"]
    assert 0 <= figures["network:hr@10"] <= 1
    assert np.isfinite(figures["all:curve_001_validation_loss"])


def test_factors_are_a_baseline_and_their_confidence_is_tuned(quality, tmp_path):
    sets = ("protocol.mix=[als]", "protocol.factors=true")
    figures = run(quality, "leave_one_out", sequences(tmp_path), tmp_path / "out.json", *sets)
    assert 0 < figures["baseline:als_tuned:hr@10"] <= 1


def test_heads_are_judged_beside_what_labels_are_guessed_by_without_a_model(quality, tmp_path):
    sets = ("protocol.mix=[]", "examples.max_categories=1")
    folder = genres(sequences(tmp_path))
    figures = run(quality, "leave_one_out", folder, tmp_path / "out.json", *sets, preset="intent")
    assert figures["all:floor:category:last"] == 0.0  # the next item's genre is always the next one
    assert figures["all:floor:category:markov"] == 1.0
    assert figures["all:head:category:events"] == 40
    of_head = {"accuracy", "majority", "temperature", "ece", "ece_calibrated", "nll", "brier"}
    assert {f"all:head:category:{name}" for name in of_head} <= set(figures)
    assert figures["diversity@10"] > 0  # twelve items of three genres
    several = run(quality, "leave_one_out", folder, tmp_path / "all.json", "protocol.mix=[]", preset="intent")
    assert "all:head:category:accuracy" in several
    assert "all:floor:category:last" not in several  # several true labels are another task


def test_plain_files_give_the_figures_of_packed_ones(quality, tmp_path):
    (tmp_path / "packed").mkdir()
    (tmp_path / "plain").mkdir()
    sets = ("protocol.mix=[markov]", "protocol.refit=false")
    kept = [
        run(quality, "session_prefixes", sessions(tmp_path / name, packed), tmp_path / f"{name}.json", *sets)
        for name, packed in (("packed", True), ("plain", False))
    ]
    assert same(kept[0]) == same(kept[1])


def test_session_prefixes_judges_every_test_and_an_unknown_label_is_a_miss(quality, tmp_path):
    figures = run(quality, "session_prefixes", sessions(tmp_path), tmp_path / "out.json", "protocol.mix=[markov]")
    assert figures["lists"] == 14
    # twelve walks and "1, unknown -> 2" are found by what follows the last known item; 999 is in no list
    assert figures["baseline:markov:hr@20"] == pytest.approx(13 / 14, abs=1e-6)
    assert figures["baseline:markov:mrr@20"] == pytest.approx(13 / 14, abs=1e-6)
    assert "all:refit_train_s" in figures


def test_neighbours_are_a_baseline_and_their_rules_are_tuned(quality, tmp_path):
    sets = ("protocol.mix=[vsknn]", "protocol.neighbours=true")
    figures = run(quality, "session_prefixes", sessions(tmp_path), tmp_path / "out.json", *sets)
    assert {"baseline:vsknn:hr@20", "baseline:vsknn_tuned:hr@20", "vs_vsknn:ndcg@20"} <= set(figures)


def test_periods_start_from_the_model_before_and_one_from_nothing_stands_aside(quality, tmp_path):
    sets = ("protocol.mix=[markov]", "protocol.full_at=[2]", "protocol.popularity_hours=[24, 1000000]")
    figures = run(quality, "periods", weeks(tmp_path), tmp_path / "out.json", *sets)
    assert figures["rounds"] == 2
    assert figures["period_01:lists"] == figures["period_02:lists"] == 60  # 100 + n is unknown, and 1 alone no test
    assert figures["recall@20"] == pytest.approx(
        (figures["period_01:recall@20"] + figures["period_02:recall@20"]) / 2, abs=1e-6
    )
    assert figures["period_02:cost_ratio"] > 0
    assert "period_02_full:recall@20" in figures


def test_hours_of_the_last_four_days_are_judged_and_each_is_learnt_after_it(quality, tmp_path):
    sets = (
        "protocol.mix=[markov]", "protocol.rounds=[0, 1, 5]", "protocol.popularity_hours=[1, 24]", "protocol.k=[3]",
        "protocol.test_lists=null",
    )  # fmt: skip
    figures = run(quality, "hourly", days(tmp_path), tmp_path / "out.json", *sets)
    assert figures["rounds"] == 3
    # Of the three lists of window 1 one is asked by the new item alone, of which nothing is known.
    assert figures["baseline:markov:hr@3"] == pytest.approx((1 + 2 / 3 + 1) / 3, abs=1e-6)
    assert {"baseline:popularity_1h:hr@3", "baseline:popularity_tuned:hr@3", "vs_vsknn:ndcg@3"} <= set(figures)
    models = tmp_path / "out.work" / "models"
    assert [path.name for path in models.iterdir() if path.is_dir()] == ["window_005-refit"]  # the others are gone


def test_hours_that_are_done_are_passed_over_and_the_next_goes_on_from_the_last(quality, tmp_path, monkeypatch):
    folder, sets = days(tmp_path), ("protocol.mix=[]", "protocol.popularity_hours=[1, 24]", "protocol.k=[3]")
    sets += ("protocol.rounds=[0, 1, 6]",)
    whole = run(quality, "hourly", folder, tmp_path / "whole.json", *sets)
    real = quality.judged

    def cut(asked, judged_days, *rest):
        if "window_006" in [path.stem for path in (tmp_path / "cut.work" / "priors").glob("*.json")]:
            raise KeyboardInterrupt
        return real(asked, judged_days, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(quality, "judged", cut)
        with pytest.raises(KeyboardInterrupt):
            run(quality, "hourly", folder, tmp_path / "cut.json", *sets)
    assert json.loads((tmp_path / "cut.json").read_text())["figures"]["rounds"] == 2  # written as they came
    assert same(run(quality, "hourly", folder, tmp_path / "cut.json", *sets)) == same(whole)


def test_nightly_judges_the_last_two_days_with_the_flagship(quality, tmp_path):
    sets = ("protocol.mix=[markov]", "protocol.popularity_hours=[24, 72]", "protocol.k=[3]")
    figures = run(quality, "nightly", days(tmp_path, packed=False), tmp_path / "out.json", *sets, preset="intent")
    assert figures["rounds"] == 2
    assert {"day_04:hr@3", "day_05:hr@3", "day_05:baseline:popularity_24h:hr@3"} <= set(figures)
    assert figures["day_04:head:cluster:events"] > 0  # items without categories have clusters


def test_a_run_that_was_cut_goes_on_after_its_last_epoch(quality, tmp_path, monkeypatch):
    folder, sets = sequences(tmp_path), ("protocol.mix=[]", "training.epochs=3", "training.patience=9")
    whole = run(quality, "leave_one_out", folder, tmp_path / "whole.json", *sets)
    real, calls = training.epoch_batches, []

    def cut(*args):
        calls.append(args)
        if len(calls) == 5:  # learning and judging twice, then the third epoch
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(training, "epoch_batches", cut)
        with pytest.raises(KeyboardInterrupt):
            run(quality, "leave_one_out", folder, tmp_path / "cut.json", *sets)
    del calls[:]
    monkeypatch.setattr(training, "epoch_batches", lambda *args: calls.append(args) or real(*args))
    resumed = run(quality, "leave_one_out", folder, tmp_path / "cut.json", *sets)
    assert len(calls) == 2  # the third epoch alone
    assert same(whole) == same(resumed)
    again = run(quality, "leave_one_out", folder, tmp_path / "cut.json", *sets)
    assert len(calls) == 2  # all is done
    assert again == resumed


def test_the_work_of_other_flags_is_not_taken_up(quality, tmp_path):
    run(quality, "leave_one_out", sequences(tmp_path), tmp_path / "out.json", "protocol.mix=[]")
    with pytest.raises(SystemExit, match="holds the work of other flags"):
        run(quality, "leave_one_out", tmp_path, tmp_path / "out.json", "protocol.mix=[]", "model.dropout=0.5")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("width=8", "--set must be a.b=c, is 'width=8'"),
        ("model.width", "--set must be a.b=c, is 'model.width'"),
        ("model.widht=8", "model.widht"),
        ("protocol.k=[]", "protocol.k"),
    ],
)
def test_an_override_that_is_refused_is_named(quality, tmp_path, override, told):
    with pytest.raises(SystemExit, match=told.replace(".", r"\.")):
        run(quality, "leave_one_out", tmp_path, tmp_path / "out.json", override)


@pytest.mark.parametrize(
    ("protocol", "told"),
    [("leave_one_out", "wanted one file named"), ("periods", "holds no file named period_<number>.txt")],
)
def test_a_folder_of_another_form_is_refused(quality, tmp_path, protocol, told):
    with pytest.raises(SystemExit, match=told):
        run(quality, protocol, tmp_path, tmp_path / "out.json")
