from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from intentrec.config import load_config
from intentrec.doctor import examination
from intentrec.doctor.examination import examine
from intentrec.doctor.findings import failed
from intentrec.errors import SetupError


def test_spark_is_not_started_where_something_failed(tmp_path: Path, monkeypatch):
    (tmp_path / "c.yaml").write_text(
        "warehouse: w\ninput: {events: {path: none/*.csv, format: csv, columns: {user_id: u, occurred_at: t}}}\n"
        "training: {workers: 1, launcher: single}\n"
    )
    monkeypatch.setattr(examination, "start_spark", lambda *_: pytest_fail())
    found = examine(tmp_path / "c.yaml", (), date(2024, 5, 1))
    assert [f.check for f in found if f.level == "FAIL"] == ["input"]
    assert found[-1].found == "not looked at: Spark is started when nothing above fails"


def pytest_fail():
    raise AssertionError


def test_spark_that_does_not_start_is_a_fault(tmp_path: Path, monkeypatch):
    (tmp_path / "c.yaml").write_text(
        "warehouse: w\ninput: {events: {path: '*.csv', format: csv, columns: {user_id: u, occurred_at: t}}}\n"
    )

    def refuse(*_):
        raise SetupError("Spark did not start")

    monkeypatch.setattr(examination, "start_spark", refuse)
    monkeypatch.setattr(examination, "before_spark", lambda *_: iter(()))
    found = examine(tmp_path / "c.yaml", (), date(2024, 5, 1))
    wanted = failed("spark", "Spark did not start", "see what it says; the checks of java and jars above")
    assert found[-1] == wanted


@pytest.mark.parametrize(
    ("training", "num_slots", "refused"),
    [
        ("{workers: 2}", 2, False),
        ("{workers: 3}", 2, True),
        ("{workers: 2}", 1, True),
        ("{workers: 2}", 0, True),
        ("{workers: 1}", 0, False),
        ("{workers: 3, launcher: local}", 1, False),
    ],
)
def test_fewer_slots_than_ranks_are_told_as_train_model_would_refuse_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training: str, num_slots: int, refused: bool
) -> None:
    (tmp_path / "c.yaml").write_text(
        "warehouse: w\ninput: {events: {path: '*.csv', format: csv, columns: {user_id: u, occurred_at: t}}}\n"
        f"training: {training}\n"
    )
    session = SimpleNamespace(version="4.0.5", sparkContext=SimpleNamespace(master="yarn"))
    monkeypatch.setattr(examination, "start_spark", lambda *_: (session, False))
    monkeypatch.setattr(examination, "slots", lambda *_: num_slots)
    monkeypatch.setattr(examination, "Warehouse", lambda *_, **__: None)
    monkeypatch.setattr(examination, "check_tables", lambda *_: iter(()))
    findings = examination._with_spark(load_config(tmp_path / "c.yaml"))
    found = [finding for finding in findings if finding.level == "FAIL"]
    assert [finding.check for finding in found] == (["slots"] if refused else [])
    assert all(f"set training.workers to {max(1, num_slots)}" in finding.remedy for finding in found)
