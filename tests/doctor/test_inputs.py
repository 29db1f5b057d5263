"""The faults of inputs are planted in tests/jobs/test_doctor.py; here is what is no fault."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from intentrec.config import load_config
from intentrec.doctor import inputs
from intentrec.doctor.inputs import check_inputs
from intentrec.tables import RULE_KINDS

DAY = date(2024, 5, 1)
CONFIG = """\
warehouse: w
input:
  events:
    path: logs/*.json
    format: json
    columns: {user_id: who, item_id: what, occurred_at: at, action: did}
    time_unit: s
  actions: {view: 1.0, search: {weight: 0, has_item: false}}
"""


def checked(tmp_path, rows, *changes):
    (tmp_path / "logs").mkdir(exist_ok=True)
    (tmp_path / "logs" / "a.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "c.yaml").write_text(CONFIG)
    found = check_inputs(load_config(tmp_path / "c.yaml", changes), DAY)
    return [(finding.level, finding.check) for finding in found.findings], found


def row(at=1_714_521_600, did="view", what="i"):
    return {"who": "u", "what": what, "at": at, "did": did}


def test_a_search_without_an_item_is_no_fault_and_a_view_without_one_is(tmp_path):
    rows = [row(), row(did="search", what=None)]
    assert checked(tmp_path, rows)[0] == [("PASS", "input")]
    assert checked(tmp_path, [row(what=None), row(did="search")])[0] == [("FAIL", "columns")]


def test_events_far_ahead_and_actions_that_are_not_seen_are_warnings(tmp_path):
    day = 86_400
    assert checked(tmp_path, [row(), row(did="search", at=1_714_521_600 + 3 * day)])[0] == [("WARN", "times")]
    assert checked(tmp_path, [row()])[0] == [("WARN", "actions")]


def test_what_spark_alone_can_read_is_told(tmp_path):
    changed = ("input.events={path: s3://b/a, format: json, columns: {user_id: who, occurred_at: at}}",)
    levels, found = checked(tmp_path, [row()], *changed)
    assert levels == [("WARN", "input")]
    assert found.files == ()


def test_a_catalogue_is_opened_too_and_a_missing_column_named(tmp_path):
    (tmp_path / "items.csv").write_text("id,name\ni,Tea\n")
    rows = [row(), row(did="search")]
    good = "input.items={path: items.csv, format: csv, columns: {item_id: id, title: name}}"
    assert checked(tmp_path, rows, good)[0] == [("PASS", "input"), ("PASS", "input")]
    assert checked(tmp_path, rows, good.replace("title: name", "title: label"))[0][1] == ("FAIL", "columns")
    assert checked(tmp_path, rows, good.replace("items.csv", "none.csv"))[0][1] == ("FAIL", "input")
    assert checked(tmp_path, rows, good.replace("items.csv", "s3://b/items.csv"))[0][1] == ("WARN", "input")


def test_what_may_not_be_read_fails_and_is_named(tmp_path, monkeypatch):
    def forbidden(*_):
        raise PermissionError(13, "Permission denied", "/logs/private")

    for name in ("find_local_files", "read_head"):
        with monkeypatch.context() as patch:
            patch.setattr(inputs, name, forbidden)
            _, found = checked(tmp_path, [row()], "input.items={path: c.yaml, format: csv, columns: {item_id: id}}")
        assert [(finding.level, finding.check) for finding in found.findings] == [("FAIL", "input")] * 2
        assert found.findings[0].found == "input.events.0.path: /logs/private cannot be read: Permission denied"


@contextmanager
def somebody_else() -> Iterator[None]:
    """Become nobody for a moment: root may read any file."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(own)


def test_a_file_that_this_user_may_not_read_is_a_fault_of_the_surroundings_and_not_delivered_again():
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        assert checked(place, [row(), row(did="search")])[0] == [("PASS", "input")]
        config, log = load_config(place / "c.yaml"), place / "logs" / "a.json"
        log.chmod(0o000)
        with somebody_else():
            if not os.path.exists(log):  # noqa: PTH110 Path.exists raises
                pytest.skip("nobody may enter the folder of temporary files")
            (found,) = check_inputs(config, DAY).findings
            uid = os.geteuid()
    assert found.found == f"input.events.0.path: {log} cannot be read: Permission denied"
    assert (found.level, found.remedy, found.exit_code) == ("FAIL", f"let user {uid} read it (chown, chmod)", 7)
    assert uid != 0


def test_a_file_without_rows_is_a_warning(tmp_path):
    assert checked(tmp_path, [])[0] == [("WARN", "input")]


def test_rows_that_are_none_of_their_format_fail(tmp_path):
    checked(tmp_path, [row()])
    (tmp_path / "logs" / "a.json").write_text("{broken\n" * 5)
    found = check_inputs(load_config(tmp_path / "c.yaml"), DAY).findings
    assert [(finding.level, "malformed_row" in finding.found) for finding in found] == [("FAIL", True)]


def test_a_column_without_any_time_is_told_to_be_mapped_elsewhere(tmp_path):
    found = checked(tmp_path, [row(at="noon"), row(at="noon", did="search")])[1].findings
    assert found[0].remedy == "map another column to input.events.0.columns.occurred_at"


def test_rules_are_opened_too_and_a_kind_that_there_is_not_is_named(tmp_path):
    rows = [row(), row(did="search")]
    good = "input.rules={path: rules.csv, format: csv, columns: {rule: name, kind: kind}}"
    (tmp_path / "rules.csv").write_text(f"name,kind\na,{min(RULE_KINDS)}\n")
    assert checked(tmp_path, rows, good)[0] == [("PASS", "input"), ("PASS", "input")]
    assert checked(tmp_path, rows, good.replace("rules.csv", "none.csv"))[0][1] == ("FAIL", "input")
    assert checked(tmp_path, rows, good.replace("rule: name", "rule: label"))[0][1] == ("FAIL", "columns")
    (tmp_path / "rules.csv").write_text("name,kind\na,elligible\n")
    levels, found = checked(tmp_path, rows, good)
    assert levels[1] == ("FAIL", "rules")
    assert "input.rules.0: kind elligible" in str(found.findings[1])
