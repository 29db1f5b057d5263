"""Logs of several shapes: each suggestion loads as a config and reads every row of its log."""

import csv
import gzip
import json
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intentrec.config import Config, load_config
from intentrec.doctor.inputs import check_inputs
from intentrec.errors import InputError
from intentrec.starter import Suggestion, config_page, ends, suggest, suggesting
from intentrec.starter.sampling import read_sample

START = datetime(2024, 5, 1, tzinfo=UTC)
Event = tuple[str, str, datetime, str]


def events(num_users: int = 60, seed: int = 3) -> list[Event]:
    """Return five days of people who come once a day for some clicks a minute apart."""
    rng = random.Random(seed)
    found = []
    for user in range(num_users):
        for day in range(5):
            at = START + timedelta(days=day, hours=8 + 12 * rng.random())
            for _ in range(rng.randrange(2, 8)):
                at += timedelta(seconds=20 + 100 * rng.random())
                kind = rng.choices(["view", "cart", "purchase"], [80, 15, 5])[0]
                found.append((f"u{user:03d}", f"p{rng.randrange(250)}", at, kind))
    return sorted(found, key=lambda event: event[2])


def clickstream(place: Path) -> None:
    lines = [
        json.dumps({
            "context": {"device": random.Random(user).choice(["phone", "desk"]), "tags": []},
            "visitor": {"id": user}, "product": {"sku": item}, "ts": int(at.timestamp() * 1000), "event": kind,
        })
        for user, item, at, kind in events()
    ]  # fmt: skip
    (place / "log.json.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


def bare_tabs(place: Path) -> None:
    lines = [f"{user[1:]}\t{item[1:]}\t{at.timestamp():.3f}\n" for user, item, at, _ in events()]
    (place / "log.tsv").write_text("".join(lines))


def shop_csv(place: Path) -> None:
    lines = [f"{at:%Y-%m-%d %H:%M:%S} UTC,{kind},{item[1:]},{user[1:]}\n" for user, item, at, kind in events()]
    (place / "log.csv").write_text("event_time,event_type,product_id,user_id\n" + "".join(lines))


def parquet(place: Path) -> None:
    users, items, times, kinds = map(list, zip(*events(), strict=True))
    table = pa.table({"behaviour": kinds, "article_id": items, "customer_id": users, "occurred_at": times})
    pq.write_table(table, place / "log.parquet")


def searches(place: Path) -> None:
    lines = ["who|step|action|reference|at"]
    for number, (user, item, at, kind) in enumerate(events()):
        lines.append(f"{user}|{number}|{kind}|{item}|{at.isoformat()}")
        if number % 5 == 0:
            lines.append(f"{user}|{number}|search|red shoes|{at.isoformat()}")
    (place / "log.psv").write_text("\n".join(lines) + "\n")


def suggested(place: Path, write: Callable[[Path], None]) -> tuple[Suggestion, Config]:
    write(place)
    (log,) = place.iterdir()
    found = suggest(str(log))
    file = place / "suggested.yaml"
    file.write_text(config_page(found), encoding="utf-8")
    return found, load_config(file)


@pytest.mark.parametrize(
    ("write", "columns", "unit"),
    [
        (clickstream, ("visitor.id", "product.sku", "ts", "event"), "ms"),
        (bare_tabs, ("_c0", "_c1", "_c2"), "s"),
        (shop_csv, ("user_id", "product_id", "event_time", "event_type"), "iso"),
        (parquet, ("customer_id", "article_id", "occurred_at", "behaviour"), "iso"),
        (searches, ("who", "reference", "at", "action"), "iso"),
    ],
)
def test_a_log_of_any_shape_gives_a_config_that_reads_it(tmp_path, write, columns, unit):
    found, config = suggested(tmp_path, write)
    fields = ("user_id", "item_id", "occurred_at", "action")
    assert [found.roles.columns[field].name for field in fields[: len(columns)]] == list(columns)
    (source,) = config.input.events
    assert source.time_unit == unit
    assert (found.refused_share, found.sample.num_refused) == (0.0, 0)
    assert found.gap.valley
    assert 10 <= config.sessions.gap_minutes <= 240  # pauses of 20 to 120 s, and of 10 to 30 h
    assert (found.run_date, found.days[0]) == (date(2024, 5, 5), date(2024, 5, 1))
    assert (config.recommendations.k, config.examples.history_length) == (20, 50)
    seen = check_inputs(config, found.run_date)
    assert [finding.level for finding in seen.findings if finding.level != "PASS"] == []


def test_an_action_whose_items_are_words_comes_without_one_and_weights_follow_the_words(tmp_path):
    _, config = suggested(tmp_path, searches)
    actions = config.input.actions
    assert actions is not None
    assert {name: (action.weight, action.has_item) for name, action in actions.items()} == {
        "view": (1.0, True), "search": (0.0, False), "cart": (3.0, True), "purchase": (5.0, True),
    }  # fmt: skip


def test_categories_become_context_and_features(tmp_path):
    found, config = suggested(tmp_path, clickstream)
    assert found.context == ("context.device",)
    assert config.examples.event_features == ("action", "context.device")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"u,i,t\ra,b,2024-05-01\rc,d,2024-05-02\r", "cannot be read as raw logs"),  # ends of lines of old Macs
        (json.dumps([{"u": "a", "i": "b", "t": 1}]).encode() + b"\n", "log"),  # one array, not an object a line
        (b'{"u": ' + b"[" * 100_000 + b"\n", "log"),
        (b"user,item,time\n" + b"a,b,1970-01-02T00:00:00\n" * 9, "no row holds a user, an item and a time in 1990"),
        (b"PAR1 and nothing else", "cannot be read as raw logs"),
    ],
    ids=["bare returns", "array", "deep", "before 1990", "no Parquet"],
)
def test_what_is_no_log_is_refused_in_one_line_that_names_it(tmp_path, content, said):
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(InputError) as refused:
        suggest(str(tmp_path / "log"))
    assert said in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_a_field_may_be_as_long_as_a_line(tmp_path):
    csv.field_size_limit(131_072)
    lines = [f"{user},{item},{at:%Y-%m-%d %H:%M:%S},{'a' * (200_000 if n == 3 else 9)}\n"
             for n, (user, item, at, _) in enumerate(events())]  # fmt: skip
    (tmp_path / "log.csv").write_text("user,item,time,agent\n" + "".join(lines))
    assert suggest(str(tmp_path / "log.csv")).refused_share == 0


@pytest.mark.parametrize(("form", "zone"), [("%Y-%m-%dT%H:%M:%Sz", None), ("%Y-%m-%d %H:%M:%SUTC", "UTC")])
def test_times_are_read_as_the_jobs_read_them_however_utc_is_written(tmp_path, form, zone):
    lines = [f"{user},{item},{at.strftime(form)}\n" for user, item, at, _ in events()]
    (tmp_path / "log.csv").write_text("user,item,time\n" + "".join(lines))
    found = suggest(str(tmp_path / "log.csv"))
    assert (found.refused_share, found.time_unit, found.timezone) == (0, "iso", zone)
    assert found.gap.minutes < 24 * 60  # the clock counts, not the day alone


def test_few_items_give_short_lists(tmp_path):
    lines = [f"u{n % 40},i{n % 30},{1_714_521_600 + 500 * n}" for n in range(400)]
    (tmp_path / "a.csv").write_text("\n".join(["user,item,ts", *lines]) + "\n")
    assert suggest(str(tmp_path / "a.csv")).k == 3


@pytest.mark.parametrize(
    ("users_a_day", "num_days", "held_out"),
    [(600, 30, 1), (100, 60, 5), (100, 40, 4), (20, 60, 6), (20, 9, 1)],  # 500 users, or a tenth of the days
)
def test_as_many_days_are_held_out_as_it_takes_to_judge(tmp_path, users_a_day, num_days, held_out):
    rows = [f"u{n},i{n % 50},{1_714_521_600 + 86_400 * day + n}" for day in range(num_days) for n in range(users_a_day)]
    (tmp_path / "a.csv").write_text("\n".join(["user,item,ts", *rows]) + "\n")
    found = suggest(str(tmp_path / "a.csv"))
    assert found.holdout_days == held_out
    assert f"holdout_days: {held_out}, validation_days: {held_out}" in config_page(found)


def test_of_a_part_of_a_log_one_day_is_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(suggesting, "read_sample", partial(read_sample, most_rows=1000))
    rows = [f"u{n},i{n % 50},{1_714_521_600 + 86_400 * day + n}" for day in range(60) for n in range(20)]
    (tmp_path / "a.csv").write_text("\n".join(["user,item,ts", *rows]) + "\n")
    found = suggest(str(tmp_path / "a.csv"))
    assert (found.sample.whole, found.holdout_days) == (False, 1)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_the_run_date_of_a_part_of_a_log_is_the_last_day_of_all_of_it(tmp_path, monkeypatch, name):
    monkeypatch.setattr(suggesting, "read_sample", partial(read_sample, most_rows=1000))
    monkeypatch.setattr(ends, "_MOST_ROWS", 100)
    rows = [f"u{n},i{n % 50},{1_714_521_600 + 86_400 * day + n}" for day in range(60) for n in range(200)]
    rows.append("u1,i1,1924956061")  # 2030: a clock that runs ahead
    text = "\n".join(["user,item,ts", *rows]) + "\n"
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    found = suggest(str(tmp_path / name))
    assert (found.run_date, found.newest_seen) == (date(2024, 6, 29), True)
    assert found.days == (date(2024, 5, 1), date(2024, 6, 29))
    assert "CHECK: the end" not in config_page(found)


def test_an_end_that_was_not_read_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(suggesting, "read_sample", partial(read_sample, most_rows=100))
    monkeypatch.setattr(ends, "_MOST_PACKED_BYTES", 10)
    text = "".join(f"u{n % 20},i{n % 50},{1_714_521_600 + 3600 * n}\n" for n in range(200))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f"user,item,ts\n{text}".encode()))
    found = suggest(str(tmp_path / "a.csv.gz"))
    assert (found.run_date, found.newest_seen) == (date(2024, 5, 5), False)  # of the hundredth hour
    assert "# CHECK: the end of the last file was too long to unpack" in config_page(found)


def test_another_name_of_the_items_and_what_people_read_are_no_context(tmp_path):
    rows = [f"u{n % 40},i{n % 30},code{n % 30},Title {n % 30},red{n % 3},{1_714_521_600 + 500 * n}" for n in range(400)]
    (tmp_path / "a.csv").write_text("\n".join(["user,item,barcode,item_title,colour,ts", *rows]) + "\n")
    assert suggest(str(tmp_path / "a.csv")).context == ("colour",)
