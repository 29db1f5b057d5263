from datetime import date
from pathlib import Path

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
