"""Faults planted one by one into the surroundings and the config of a sound night: each is found, with its remedy."""

import json
import socket
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.running import ROOT, Flow

from intentrec.config import Config, load_config
from intentrec.doctor import Finding, inputs, java, machine, packages, places, ranks
from intentrec.doctor.examination import before_spark
from intentrec.doctor.findings import exit_code_of

DAY = date(2024, 5, 1)
ROWS = [
    {
        "who": f"u{n % 7}",
        "what": f"i{n % 5}",
        "at": f"2024-05-01T{n % 24:02d}:00:00Z",
        "did": "buy" if n % 4 else "view",
    }
    for n in range(60)
]
SOUND: dict[str, Any] = {
    "warehouse": "warehouse",
    "input": {
        "events": [
            {
                "path": "logs/*.json",
                "format": "json",
                "columns": {"user_id": "who", "item_id": "what", "occurred_at": "at", "action": "did"},
            }
        ],
        "actions": {"view": 1.0, "buy": 5.0},
    },
    "training": {"workers": 1, "launcher": "single"},
    "spark": {"master": "local[2]", "conf": {"spark.driver.memory": "256m"}},
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.json").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def config_at(place: Path, *changes: str) -> Config:
    file = place / "night.yaml"
    file.write_text(yaml.safe_dump(SOUND))
    return load_config(file, changes)


def faults(findings: Any) -> list[Finding]:
    return [finding for finding in findings if finding.level == "FAIL"]


def test_a_sound_place_has_no_fault(place: Path) -> None:
    assert faults(before_spark(config_at(place), place / "night.yaml", DAY)) == []


def _unlisted(place: Path) -> Any:
    return inputs.check_inputs(config_at(place, "input.actions={view: 1}"), DAY).findings


def _no_column(place: Path) -> Any:
    return inputs.check_inputs(config_at(place, "input.events.0.columns.item_id=article"), DAY).findings


def _wrong_unit(place: Path) -> Any:
    text = "".join(json.dumps({**row, "at": 1_714_521_600_000 + n}) + "\n" for n, row in enumerate(ROWS))
    (place / "logs" / "a.json").write_text(text)
    return inputs.check_inputs(config_at(place, "input.events.0.time_unit=s"), DAY).findings


def _no_offset(place: Path) -> Any:
    text = "".join(json.dumps({**row, "at": str(row["at"])[:-1]}) + "\n" for row in ROWS)
    (place / "logs" / "a.json").write_text(text)
    return inputs.check_inputs(config_at(place), DAY).findings


def _wrong_separator(place: Path) -> Any:
    (place / "logs" / "a.csv").write_text("who;what;at;did\n" + "u;i;2024-05-01T00:00:00Z;buy\n" * 20)
    changed = ("input.events.0.format=csv", f"input.events.0.path={place}/logs/*.csv")
    return inputs.check_inputs(config_at(place, *changed), DAY).findings


def _no_file(place: Path) -> Any:
    return inputs.check_inputs(config_at(place, "input.events.0.path=elsewhere/*.json"), DAY).findings


def _feature(place: Path) -> Any:
    return inputs.check_inputs(config_at(place, "examples.event_features=[colour]"), DAY).findings


def _no_value(place: Path) -> Any:
    return inputs.check_inputs(config_at(place, "examples.weigh_by_value=true"), DAY).findings


def _value_as_a_number(place: Path) -> Any:
    return inputs.check_inputs(config_at(place, "examples.numeric_features=[value]"), DAY).findings


def _no_number(place: Path) -> Any:
    return inputs.check_inputs(config_at(place, "examples.numeric_features=[price]"), DAY).findings


def _damaged(place: Path) -> Any:
    (place / "logs" / "a.json").rename(place / "logs" / "a.json.gz")
    return inputs.check_inputs(config_at(place, f"input.events.0.path={place}/logs/*.gz"), DAY).findings


def _no_folder(place: Path) -> Any:
    (place / "warehouse").write_text("a file")
    return places.check_places({"warehouse": Path(config_at(place).warehouse)})


def _slots(place: Path) -> Any:
    return ranks.check_slots(config_at(place, "training={workers: 4}"), {})


def _heap(place: Path) -> Any:
    return machine.check_memory(config_at(place, "spark.conf={spark.driver.memory: 900g}"))


def _no_size(place: Path) -> Any:
    return machine.check_memory(config_at(place, "spark.conf={spark.driver.memory: plenty}"))


def _disk(place: Path) -> Any:
    return machine.check_disk({"warehouse": place / "warehouse"}, 10**9, lambda _: 10**9)


def _jars(place: Path) -> Any:
    return [java.check_jars(str(place), {})]


def _no_java(place: Path) -> Any:
    return [java.check_java({"PATH": str(place)})]


def _old_java(place: Path) -> Any:
    binary = place / "bin" / "java"
    binary.parent.mkdir()
    binary.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    binary.chmod(0o755)
    return [java.check_java({"JAVA_HOME": str(place)})]


def _pyarrow(place: Path) -> Any:
    return packages.check_packages({**packages.installed(), "pyarrow": "15.0.2"}, 1)


def _numpy(place: Path) -> Any:
    return packages.check_packages({**packages.installed(), "numpy": "2.1.0"}, 1)


def _no_horovod(place: Path) -> Any:
    return packages.check_packages({**packages.installed(), "horovod": None}, 2)


def _horovod_of_another_torch(place: Path) -> Any:
    return [ranks.check_horovod(2, lambda: (1, "ImportError: undefined symbol: _ZN3c105ErrorC2E\n"))]


def _python(place: Path) -> Any:
    return [packages.check_python((3, 13, 1))]


def _clock(place: Path) -> Any:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return [machine.check_clock(config_at(place), DAY, now + timedelta(days=2), now)]


def _port(place: Path) -> Any:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        return list(machine.check_ports({"spark.driver.port": taken.getsockname()[1]}))


@pytest.mark.parametrize(
    ("plant", "found", "remedy", "code"),
    [
        (_unlisted, "input.actions lacks 'buy' 75.0% of the rows", "list them", 2),
        (_no_column, "item_id is empty in 60 of 60 rows", "correct input.events.0.columns.item_id", 2),
        (_wrong_unit, "'1714521600000' is no time in time_unit s", "set input.events.0.time_unit to ms", 2),
        (_no_offset, "it carries no offset", "set input.events.0.timezone", 2),
        (_wrong_separator, "is not in the columns who;what;at;did", "options (sep, header)", 2),
        (_no_file, "no file matches", "correct the path", 2),
        (_feature, "colour is no context column", "add it to input.events context", 2),
        (_no_value, "no input.events has a column for value", "add value to input.events columns", 2),
        (_value_as_a_number, "so no event has that number", "add value to input.events columns", 2),
        (_no_number, "examples.numeric_features: price is no context column", "or take one of", 2),
        (_damaged, "the name says packed", "deliver it again", 2),
        (_no_folder, "is no folder", "name a folder with the key warehouse", 7),
        (_slots, "training.workers 4, but local[2] has 2 slots", "set training.workers to 2", 2),
        (_heap, "a heap of 900g is more than", "set spark.conf spark.driver.memory to", 7),
        (_no_size, "'plenty' is no size", "write it as 4g", 2),
        (_disk, "0.9 GiB free, 14.9 GiB wanted for 954 MiB of logs", "free space there", 7),
        (_jars, "lacks delta-spark_2.13-4.0.1.jar and delta-storage-4.0.1.jar", "can be fetched", 7),
        (_no_java, "no java on PATH", "install a Java 17", 7),
        (_old_java, "is Java 8, Spark 4.0 wants 17 or 21", "set JAVA_HOME", 7),
        (_pyarrow, "pyarrow 15.0.2 breaks petastorm", "install pyarrow==14.0.2", 7),
        (_numpy, "numpy 2.1.0 breaks pyarrow 14", "install numpy==1.26.4", 7),
        (_no_horovod, "horovod is not installed", "make install", 7),
        (_horovod_of_another_torch, "horovod.torch cannot be imported: ImportError", "build it against the torch", 7),
        (_python, "is 3.13.1, wanted 3.11", "make PYTHON=python3.11", 7),
        (_clock, "a file was changed at 2026-01-03", "set the clock", 7),
        (_port, "spark.driver.port: port", "end what listens there", 7),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_a_planted_fault_is_found_and_its_remedy_named(
    place: Path, plant: Callable[[Path], Any], found: str, remedy: str, code: int
) -> None:
    (fault,) = faults(plant(place))
    assert found in fault.found
    assert remedy in fault.remedy
    assert exit_code_of([fault]) == code


def test_the_job_ends_with_2_and_one_line_a_check_where_the_config_has_an_unknown_key(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from intentrec.doctor import run_doctor

    config_at(place)
    flags = ["--config", str(place / "night.yaml"), "--run-date", "2024-05-01", "--set", "sessions.gap_minute=30"]
    assert run_doctor(flags) == 2
    out = capfd.readouterr().out
    assert "FAIL config: " in out
    assert "sessions.gap_minute: unknown key, the nearest is sessions.gap_minutes. What to do: correct the key" in out
    assert out.strip().splitlines()[-1].endswith(" 1 FAIL")


def test_after_two_nights_the_doctor_finds_nothing_to_mend(flow: Flow, capfd: pytest.CaptureFixture[str]) -> None:
    done = flow.process(date(2024, 5, 4), job="doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 FAIL" in done.stdout
    assert "PASS row groups: " in done.stdout
    assert "PASS tables: were filled with the gap, time zone and mapping of this config" in done.stdout
    assert (ROOT / "jobs" / "doctor.py").read_text().count("\n") < 15
