import os

import pytest

from intentrec.doctor import java
from intentrec.doctor.java import check_jars, check_java


def fake(folder, says, status=0):
    binary = folder / "bin" / "java"
    binary.parent.mkdir()
    binary.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {status}\n")
    binary.chmod(0o755)
    return {"JAVA_HOME": str(folder)}


def test_the_java_of_this_machine_passes():
    assert check_java(os.environ).level == "PASS"


@pytest.mark.parametrize(
    ("says", "level", "found"),
    [
        ('openjdk version "21.0.2"', "WARN", "is Java 21, nights were run with 17"),
        ('openjdk version "11.0.2"', "FAIL", "is Java 11"),
        ("bad CPU", "FAIL", "does not tell its version"),
    ],
)
def test_another_java_is_told(tmp_path, says, level, found):
    finding = check_java(fake(tmp_path, says))
    assert (finding.level, found in finding.found) == (level, True)


def test_a_java_home_without_java_cannot_be_run(tmp_path):
    assert "cannot be run" in check_java({"JAVA_HOME": str(tmp_path)}).found


def test_jars_of_a_folder_of_ivy_or_of_a_session(tmp_path, monkeypatch):
    assert check_jars(None, {"PYSPARK_GATEWAY_PORT": "1"}).found == "those of the session that runs already"
    for name in ("io.delta_delta-spark_2.13-4.0.1.jar", "delta-storage-4.0.1.jar"):
        (tmp_path / name).touch()
    assert check_jars(str(tmp_path), {}).level == "PASS"
    monkeypatch.setattr(java, "fetched_jars", list)
    assert check_jars(None, {}).level == "WARN"
    monkeypatch.setattr(java, "fetched_jars", lambda: ["a"])
    assert check_jars(None, {}).level == "PASS"
