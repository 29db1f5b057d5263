import json
import os
from datetime import UTC, date, datetime

import pytest
from jobs.ingest_events import STAGE

from intentrec.config import load_config
from intentrec.errors import ConfigError, GateError, InputError
from intentrec.ledger import Command, open_run
from intentrec.tables import EVENTS, EVENTS_QUARANTINE, INGESTED_FILES, ITEMS, RULES, RUNS, USERS

CONFIG = """
warehouse: warehouse
input:
  events:
    - path: "logs/*.json"
      format: json
      columns: {user_id: user, item_id: item, occurred_at: at, action: did, event_id: id}
      context: [device]
  actions: {view: 1, search: {weight: 0, has_item: false}}
  late_days: 1
  future_days: 1
  max_rejected_share: 0.5
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "nightly.yaml").write_text(CONFIG)
    return tmp_path


def deliver(place, name, *rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (place / "logs" / name).write_text("".join(f"{line}\n" for line in lines))


def event(id_, at, item="tea", **more):
    return {"id": id_, "user": "ann", "item": item, "at": f"{at}Z", "did": "view", **more}


def ingest(spark, place, day, *overrides, **flags):
    config = load_config(place / "nightly.yaml", overrides)
    with open_run(Command(config=config, run_date=date.fromisoformat(day), **flags)) as run:
        run.warehouse.create((*STAGE.writes, RUNS))
        return STAGE.body(run), run.warehouse


def books(warehouse):
    rows = warehouse.read(INGESTED_FILES).collect()
    return {
        row.path.rsplit("/", 1)[1]: (row.rows_read, row.rows_accepted, row.rows_duplicate, row.rows_quarantined)
        for row in rows
    }


def events(warehouse):
    return {row.event_id: row.source_file.rsplit("/", 1)[1] for row in warehouse.read(EVENTS).collect()}


def quarantine(warehouse):
    rows = warehouse.read(EVENTS_QUARANTINE).collect()
    return {(row.source_file.rsplit("/", 1)[1], row.line, row.reason) for row in rows}


def test_every_row_is_accepted_a_duplicate_or_quarantined_and_a_second_run_changes_nothing(spark, place):
    deliver(
        place, "a.json",
        event("e1", "2024-05-01T09:00:00", device="phone"),
        event("e2", "2024-05-01T09:05:00", item=None, did="search"),
        event("e1", "2024-05-01T09:00:00"),
        "{broken",
        event("e3", "2024-05-01T09:10:00", did="steal"),
    )  # fmt: skip
    deliver(place, "b.json", event("e2", "2024-05-01T09:05:00"), event("e4", "2024-05-02T23:59:59.999999", item="cup"))
    deliver(place, "empty.json")
    counters, warehouse = ingest(spark, place, "2024-05-01")
    assert counters == {
        "files_read": 3, "rows_read": 7, "rows_accepted": 3, "rows_duplicate": 2, "rows_quarantined": 2, "rows_new": 7,
        "quarantined_malformed_row": 1, "quarantined_unknown_action": 1,
    }  # fmt: skip
    assert books(warehouse) == {"a.json": (5, 2, 1, 2), "b.json": (2, 1, 1, 0), "empty.json": (0, 0, 0, 0)}
    assert events(warehouse) == {"e1": "a.json", "e2": "a.json", "e4": "b.json"}
    assert quarantine(warehouse) == {("a.json", 4, "malformed_row"), ("a.json", 5, "unknown_action")}
    first = warehouse.read(EVENTS).where("event_id = 'e1'").collect()[0]
    assert (first.user_id, first.item_id, first.action, first.event_date) == ("ann", "tea", "view", date(2024, 5, 1))
    assert first.occurred_at.replace(tzinfo=UTC) == datetime(2024, 5, 1, 9, 0, tzinfo=UTC)
    assert [tuple(pair) for pair in first.context] == [("device", "phone")]
    items = warehouse.read(ITEMS).collect()
    assert [(row.run_date, row.item_id, row.available) for row in items] == [(date(2024, 5, 1), "tea", True)]
    assert warehouse.read(USERS).count() == 0

    versions = [warehouse.version(table) for table in (EVENTS, EVENTS_QUARANTINE, INGESTED_FILES)]
    os.utime(place / "logs" / "a.json", (1, 1))  # the same content, touched: known by its hash
    counters, warehouse = ingest(spark, place, "2024-05-01")
    assert counters["files_read"] == 0
    assert [warehouse.version(table) for table in (EVENTS, EVENTS_QUARANTINE, INGESTED_FILES)][1:] == versions[1:]
    assert len(events(warehouse)) == 3


def test_a_future_row_is_taken_back_by_the_first_night_that_accepts_it(spark, place, caplog):
    deliver(place, "a.json", event("e1", "2024-05-01T09:00:00"), event("e2", "2024-05-03T00:00:00"))
    _, warehouse = ingest(spark, place, "2024-05-01")
    assert quarantine(warehouse) == {("a.json", 2, "future")}
    counters, warehouse = ingest(spark, place, "2024-05-02")
    assert counters["files_read"] == 1
    assert books(warehouse) == {"a.json": (2, 2, 0, 0)}
    assert events(warehouse) == {"e1": "a.json", "e2": "a.json"}
    assert quarantine(warehouse) == set()
    counters, _ = ingest(spark, place, "2024-05-02")  # a day without a file
    assert counters["files_read"] == 0
    assert caplog.messages[-1].endswith("no new file among 1 that match input.events")


def test_of_a_file_with_future_rows_only_those_are_read_again_that_are_due(spark, place, monkeypatch):
    later = [event("e2", "2024-05-03T00:00:00"), event("e3", "2024-05-09T00:00:00"), event("e3", "2024-05-09T00:00:00")]
    deliver(place, "a.json", event("e1", "2024-05-01T09:00:00"), *later, "{broken")
    ingest(spark, place, "2024-05-01", "input.max_rejected_share=1")
    with monkeypatch.context() as patch:  # dies after the events are there
        patch.setattr("jobs.ingest_events._refused", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ingest(spark, place, "2024-05-02")
    counters, warehouse = ingest(spark, place, "2024-05-02")
    assert (counters["rows_read"], counters["rows_new"], counters["rows_accepted"]) == (1, 0, 1)
    assert books(warehouse) == {"a.json": (5, 2, 1, 2)}
    assert events(warehouse) == {"e1": "a.json", "e2": "a.json"}
    assert quarantine(warehouse) == {("a.json", 3, "future"), ("a.json", 5, "malformed_row")}
    counters, warehouse = ingest(spark, place, "2024-05-08")
    assert counters["rows_read"] == 1
    assert books(warehouse) == {"a.json": (5, 3, 1, 1)}
    assert quarantine(warehouse) == {("a.json", 5, "malformed_row")}
    counters, _ = ingest(spark, place, "2024-05-09")
    assert counters["files_read"] == 0


def test_a_replay_keeps_what_is_too_late_by_now_and_takes_back_what_passes(spark, place):
    deliver(place, "a.json", event("e1", "2024-04-01T09:00:00"), event("e2", "2024-05-01T09:00:00", did="buy"))
    ingest(spark, place, "2024-05-01")
    deliver(place, "b.json", event("e3", "2024-04-29T23:59:59"), event("e4", "2024-04-30T00:00:00"))
    counters, warehouse = ingest(spark, place, "2024-05-03")
    assert counters["quarantined_too_late"] == 1  # the watermark is 05-01, one day late begins with 04-30
    counters, warehouse = ingest(
        spark, place, "2024-05-04", "input.actions={view: 1, buy: 2}", "input.late_days=3", replay_quarantine=True
    )
    assert counters["rows_accepted"] == 3  # e1, e2 of a.json; e4 of b.json; e3 is later than three days before 05-03
    assert books(warehouse) == {"a.json": (2, 2, 0, 0), "b.json": (2, 1, 0, 1)}
    assert set(events(warehouse)) == {"e1", "e2", "e4"}
    assert quarantine(warehouse) == {("b.json", 1, "too_late")}


def test_a_run_that_died_before_its_books_is_repeated_to_the_same_books(spark, place, monkeypatch):
    deliver(place, "a.json", event("e1", "2024-05-01T09:00:00"), "{broken", event("e2", "2024-05-01T10:00:00"))

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jobs.ingest_events._write_books", die)
        with pytest.raises(KeyboardInterrupt):
            ingest(spark, place, "2024-05-01")
    _, warehouse = ingest(spark, place, "2024-05-01")
    assert books(warehouse) == {"a.json": (3, 2, 0, 1)}
    assert warehouse.read(EVENTS).count() == 2
    assert warehouse.read(EVENTS_QUARANTINE).count() == 1


def test_what_is_refused_changes_no_table(spark, place):
    deliver(place, "a.json", event("e1", "2024-05-01T09:00:00"), "{broken", "{broken")
    with pytest.raises(
        InputError, match=r"input.events: 2 of 3 rows refused \(66.67%\).*malformed_row 2 \(/.*a.json:2: "
    ):
        ingest(spark, place, "2024-05-01")
    (place / "logs" / "a.json").unlink()
    with pytest.raises(InputError, match=r"logs/\*.json: no file matches"):
        ingest(spark, place, "2024-05-01")
    deliver(place, "a.json", event("e1", "2024-05-01T09:00:00"))
    _, warehouse = ingest(spark, place, "2024-05-01")
    assert warehouse.read(EVENTS_QUARANTINE).count() == 0

    other = "input.events.0.time_unit=ms"
    with pytest.raises(ConfigError, match=r'input.events.0.time_unit: is "ms", but table events was filled with "iso"'):
        ingest(spark, place, "2024-05-02", other)
    deliver(place, "a.json", event("e1", "2024-05-01T09:00:00") | {"at": 1714554000000})
    ingest(spark, place, "2024-05-01", other, rebuild=True)
    assert books(warehouse) == {"a.json": (1, 1, 0, 0)}
    assert events(warehouse) == {"e1": "a.json"}
    counters, _ = ingest(spark, place, "2024-05-01", other, rebuild=True)
    assert (counters["rows_read"], counters["rows_new"]) == (1, 0)  # what was read before is no volume of this night
    (place / "logs" / "a.json").rename(place / "logs" / "b.json")
    with pytest.raises(InputError, match=r"of 1 files that table events was filled with 1 are not found, /.*a.json"):
        ingest(spark, place, "2024-05-01", other, rebuild=True)
    assert events(warehouse) == {"e1": "a.json"}


def test_a_night_of_ten_times_the_usual_rows_is_refused_until_it_is_accepted(spark, place):
    def execute(day, *overrides):
        config = load_config(place / "nightly.yaml", ["input.volume.min_nights=1", *overrides])
        with open_run(Command(config=config, run_date=date.fromisoformat(day))) as run:
            run.execute(STAGE)
            return run.warehouse

    deliver(place, "history.json", *(event(f"h{hour}", f"2024-05-01T{hour:02}:00:00") for hour in range(24)))
    execute("2024-05-01")
    deliver(place, "usual.json", event("u1", "2024-05-02T09:00:00"), event("u2", "2024-05-02T10:00:00"))
    warehouse = execute("2024-05-02")
    deliver(place, "much.json", *(event(f"m{hour}", f"2024-05-03T{hour:02}:00:00") for hour in range(20)))
    with pytest.raises(GateError, match=r"20 rows a day since 2024-05-02, usual are 2 \(1 nights; \+5.8 deviations"):
        execute("2024-05-03")
    assert len(events(warehouse)) == 26
    assert len(events(execute("2024-05-03", "input.volume.max_z=null"))) == 46


def test_a_catalogue_and_users_come_from_their_files(spark, place):
    deliver(place, "a.json", event("e1", "2024-05-01T09:00:00", item="tea"))
    (place / "items.csv").write_text("id,name,kinds,live,brand\ntea,Tea,hot|green|hot,yes,leaf\ncup,Cup,,no,\n")
    (place / "users.csv").write_text("id,group,city\nann,new,Rome\n")
    item_columns = "{item_id: id, title: name, categories: kinds, available: live, brand: brand}"
    user_columns = "{user_id: id, segment: group, city: city}"
    snapshots = (
        f'input.items={{path: {place}/items.csv, format: csv, category_separator: "|", columns: {item_columns}}}',
        f"input.users={{path: {place}/users.csv, format: csv, columns: {user_columns}}}",
    )
    counters, warehouse = ingest(spark, place, "2024-05-01", *snapshots)
    assert (counters["items_rows"], counters["users_rows"]) == (2, 1)
    items = {row.item_id: row for row in warehouse.read(ITEMS).collect()}
    assert (items["tea"].title, items["tea"].categories, items["tea"].available) == ("Tea", ["hot", "green"], True)
    assert items["tea"].published_at.replace(tzinfo=UTC) == datetime(2024, 5, 1, 9, 0, tzinfo=UTC)
    assert [tuple(pair) for pair in items["tea"].attributes] == [("brand", "leaf")]
    assert (items["cup"].categories, items["cup"].available, items["cup"].published_at) == ([], False, None)
    user = warehouse.read(USERS).collect()[0]
    assert (user.user_id, user.segment, [tuple(pair) for pair in user.attributes]) == ("ann", "new", [("city", "Rome")])

    (place / "items.csv").write_text("id,name,kinds,live,brand\ntea,Tea,,yes,\ntea,Tea,,yes,\n")
    with pytest.raises(InputError, match=r"item_id 'tea' stands 2 times \(.*items.csv:2, .*items.csv:3\), wanted once"):
        ingest(spark, place, "2024-05-01", *snapshots)
    (place / "items.csv").write_text("id,name,kinds,live,brand\n")
    with pytest.raises(InputError, match=r"items.csv: holds no row"):
        ingest(spark, place, "2024-05-01", *snapshots)


def test_rules_come_from_several_sources_and_go_with_them(spark, place):
    deliver(place, "a.json", event("e1", "2024-05-01T09:00:00", item="tea"))
    (place / "rules.json").write_text(
        '{"rule": "later", "kind": "available", "item_field": "item_id", "item_value": "tea", "starts_at": "2024-06"}\n'
        '{"rule": "complaint", "kind": "exclude", "item_field": "item_id", "item_value": "cup", '
        '"user_field": "user_id", "user_value": "ann"}\n'
    )
    (place / "stock.csv").write_text("sku,left\ntea,4\n")
    same = "rule: {constant: stock}, kind: {constant: stock}, item_field: {constant: item_id}"
    csv = f"{{path: {place}/stock.csv, format: csv, columns: {{{same}, item_value: sku, amount: left}}}}"
    sources = f"[{{path: {place}/rules.json, format: json}}, {csv}]"
    counters, warehouse = ingest(spark, place, "2024-05-01", f"input.rules={sources}")
    assert {name: rows for name, rows in counters.items() if name.startswith("rules")} == {
        "rules_rows": 3, "rules_unknown_items": 1, "rules_unknown_users": 0, "rules_unknown_segments": 0,
    }  # fmt: skip
    columns = ("rule", "kind", "item_value", "user_value", "amount", "starts_at")
    found = warehouse.read(RULES).orderBy("rule").select(*columns)
    june = datetime(2024, 6, 1)  # noqa: DTZ001 as Spark gives it: UTC, naive
    assert [tuple(row) for row in found.collect()] == [
        ("complaint", "exclude", "cup", "ann", None, None),
        ("later", "available", "tea", None, None, june),
        ("stock", "stock", "tea", None, 4.0, None),
    ]
    version = warehouse.version(RULES)
    (place / "stock.csv").write_text("sku,left\ntea,many\n")
    with pytest.raises(
        InputError, match=r"input.rules: .*stock.csv:2: amount: 'many', wanted a number from -1e\+12 to 1e\+12;"
    ):
        ingest(spark, place, "2024-05-01", f"input.rules={sources}")
    assert warehouse.version(RULES) == version
    _, warehouse = ingest(spark, place, "2024-05-01")
    assert warehouse.read(RULES).isEmpty()
