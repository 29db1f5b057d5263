"""A hundred rows and the usual limit: one refused row is borne, two are not."""

import json
from datetime import date

import pytest

from intentrec.config import load_config
from intentrec.doctor.inputs import check_inputs

DAY = date(2024, 5, 1)
CONFIG = """\
warehouse: w
input:
  events:
    - path: logs/*.json
      format: json
      columns: {user_id: who, item_id: what, occurred_at: at, action: did, event_id: id, value: paid, sequence: step}
      time_unit: s
"""
ITEMS = "input.items={path: items.json, format: json, columns: {item_id: id, published_at: since, available: live}}"
USERS = "input.users={path: users.csv, format: csv, columns: {user_id: id, segment: kind}}"


def write(file, rows):
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def log(tmp_path, *changes):
    """Write a hundred events, the first of them changed."""
    good = {"who": "u", "what": "i", "at": 1_714_521_600, "did": "view", "paid": 2.5, "step": 3}
    rows = [{**good, "id": f"e{number}"} for number in range(100)]
    rows[: len(changes)] = [{**row, **change} for row, change in zip(rows, changes, strict=False)]
    write(tmp_path / "logs" / "a.json", rows)


def found(tmp_path, *changes):
    (tmp_path / "c.yaml").write_text(CONFIG)
    return check_inputs(load_config(tmp_path / "c.yaml", changes), DAY).findings


def faults(tmp_path, *changes):
    return [f"{each.found} -> {each.remedy}" for each in found(tmp_path, *changes) if each.level == "FAIL"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"who": None}, "user_id is empty in 2 of 100 rows -> correct input.events.0.columns.user_id"),
        ({"what": " "}, "item_id is blank, longer than 512 bytes or holds NUL in 2 of 100 rows -> correct"),
        ({"did": None}, "action is empty in 2 of 100 rows -> correct input.events.0.columns.action"),
        ({"id": None}, "event_id is empty in 2 of 100 rows -> correct input.events.0.columns.event_id"),
        ({"paid": "a lot"}, "value cannot be read in 2 of 100 rows -> correct input.events.0.columns.value, wanted"),
        ({"step": 1.5}, "sequence cannot be read in 2 of 100 rows -> correct input.events.0.columns.sequence, wanted"),
        ({"at": None}, "occurred_at is empty in 2 of 100 rows and no time in 0 -> correct the files or"),
        ({"at": "soon"}, "occurred_at is empty in 0 of 100 rows and no time in 2, 'soon' for one -> correct"),
    ],
)
def test_more_refused_rows_than_a_night_allows_fail(tmp_path, change, said):
    log(tmp_path, change, change)
    (fault,) = faults(tmp_path)
    assert fault.startswith(f"input.events.0: {said}")
    log(tmp_path, change)
    assert faults(tmp_path) == []


def test_rows_refused_for_several_reasons_are_added_up(tmp_path):
    log(tmp_path, {"who": None}, {"paid": "a lot"})
    (fault,) = faults(tmp_path)
    assert "2 of 100 rows would be refused: user_id missing_field 1, value wrong_type 1 -> correct" in fault
    assert "or raise input.max_rejected_share" in fault
    assert faults(tmp_path, "input.max_rejected_share=0.02") == []
    log(tmp_path, {"who": None, "paid": "a lot"})  # one row is one row
    assert faults(tmp_path) == []


def test_a_log_without_a_time_anywhere_is_told_to_be_mapped_elsewhere(tmp_path):
    log(tmp_path, *[{"at": None}] * 100)
    (fault,) = faults(tmp_path)
    assert "occurred_at 'nothing' is no time" in fault
    assert "map another column to input.events.0.columns.occurred_at" in fault


def test_without_a_column_every_action_is_event_and_must_be_listed(tmp_path):
    log(tmp_path)
    columns = "input.events.0.columns={user_id: who, item_id: what, occurred_at: at}"
    assert faults(tmp_path, columns) == []
    (fault,) = faults(tmp_path, columns, "input.actions={view: 1}")
    assert "input.actions lacks 'event' 100.0% of the rows" in fault


def items(*changes, rows=100):
    good = [{"id": f"i{number}", "since": "2020", "live": True} for number in range(rows)]
    good[: len(changes)] = [{**row, **change} for row, change in zip(good, changes, strict=False)]
    return good


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (items({"id": None}, {"id": None}), "item_id is empty in 2 of 100 rows -> correct input.items.columns.item_id"),
        (items({"since": "soon"}, {"since": "soon"}), "published_at cannot be read in 2 of 100 rows -> correct"),
        (items({"live": "perhaps"}, {"live": "perhaps"}), "available cannot be read in 2 of 100 rows -> correct"),
        (items({"id": " "}, {"live": "perhaps"}), "2 of 100 rows would be refused: item_id bad_id 1, available wrong"),
        (items({"id": "i7"}), "item_id 'i7' stands 2 times, wanted once -> correct the file"),
        ([], "holds no row, wanted all items -> deliver it, or leave the key out"),
    ],
)
def test_a_catalogue_that_ingest_refuses_fails(tmp_path, rows, said):
    log(tmp_path)
    write(tmp_path / "items.json", rows)
    (fault,) = faults(tmp_path, ITEMS)
    assert fault.startswith(f"input.items: {said}")


def test_a_catalogue_with_few_bad_rows_passes_and_one_of_another_format_fails(tmp_path):
    log(tmp_path)
    write(tmp_path / "items.json", items({"id": None}))
    assert [each.level for each in found(tmp_path, ITEMS)] == ["PASS", "PASS"]
    (tmp_path / "items.json").write_text("id,since,live\n" + "i,2020,true\n" * 5)
    (fault,) = faults(tmp_path, ITEMS)
    assert "input.items: 6 of 6 rows are refused: malformed_row -> is input.items.format json right" in fault


def test_users_without_an_id_and_files_without_users_fail(tmp_path):
    log(tmp_path)
    (tmp_path / "users.csv").write_text("id,kind\n,new\n,new\nann,new\n")
    (fault,) = faults(tmp_path, USERS)
    assert "input.users: user_id is empty in 2 of 3 rows -> correct input.users.columns.user_id" in fault
    (tmp_path / "users.csv").write_text("id,kind\n")
    assert faults(tmp_path, USERS) == [
        "input.users: holds no row, wanted all users -> deliver it, or leave the key out"
    ]


def test_rows_in_a_file_between_empty_ones_are_found(tmp_path):
    log(tmp_path)
    for name, content in (("a", "id,kind\n"), ("b", "id,kind\nann,new\n"), ("c", "id,kind\n")):
        (tmp_path / f"{name}.csv").write_text(content)
    assert faults(tmp_path, USERS.replace("users.csv", "'?.csv'")) == []


def test_a_rule_that_is_no_row_fails_and_a_file_without_rules_is_a_warning(tmp_path):
    log(tmp_path)
    rules = "input.rules={path: rules.csv, format: csv, columns: {rule: name, kind: kind}}"
    (tmp_path / "rules.csv").write_text("name,kind\na,seen\nb\n")
    (fault,) = faults(tmp_path, rules)
    assert "input.rules.0: 1 of 2 rows are refused: malformed_row" in fault
    (tmp_path / "rules.csv").write_text("name,kind\n")
    assert [(each.level, each.found) for each in found(tmp_path, rules)][1] == ("WARN", "input.rules.0: holds no row")
