from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from tests.doctor.test_ranks import config

from intentrec.doctor.machine import (
    GIB,
    bytes_of,
    check_clock,
    check_disk,
    check_memory,
    check_open_files,
    check_ports,
    existing,
    memory_limit,
)


@pytest.mark.parametrize(("text", "size"), [("4g", 4 * GIB), ("1500m", 1500 * 2**20), ("12KB", 12288), ("x", None)])
def test_sizes_are_read_as_spark_writes_them(text, size):
    assert bytes_of(text) == size


def test_a_heap_and_two_ranks_want_so_much(monkeypatch):
    # 4 GiB * 1.15 + 2 * 1.2 + 2 * 0.4 = 7.8 GiB
    of = config(workers=2)
    assert [f.level for f in check_memory(of, 8 * GIB)] == ["PASS"]
    assert [f.level for f in check_memory(of, 7 * GIB)] == ["WARN"]
    (found,) = check_memory(of, 4 * GIB)
    assert (found.level, found.remedy.split(",")[0]) == ("FAIL", "set spark.conf spark.driver.memory to 1g")
    assert memory_limit() > GIB / 4


def test_disk_is_compared_with_sixteen_times_the_logs():
    place = {"warehouse": Path("/nowhere/at/all")}
    levels = {free: next(check_disk(place, GIB, lambda _, free=free: free * GIB)).level for free in (3, 5, 16)}
    assert levels == {3: "FAIL", 5: "WARN", 16: "PASS"}
    assert [f.level for f in check_disk({"here": Path.cwd()}, 0)] == ["PASS"]
    assert existing(Path("/nowhere/at/all")) == Path("/")


def test_a_name_without_an_address_is_a_warning(monkeypatch):
    assert [f.level for f in check_ports({"spark.driver.port": "0", "spark.ui.port": "x"})] == ["PASS"]
    monkeypatch.setattr("socket.gethostname", lambda: "no-such-host.invalid")
    assert [f.level for f in check_ports({})] == ["WARN"]


def test_few_open_files_are_a_warning():
    assert [check_open_files(limit).level for limit in (256, 1024, -1)] == ["WARN", "PASS", "PASS"]
    assert check_open_files().check == "open files"


def test_the_clock_is_compared_with_files_and_the_run_date():
    of, day, now = config(workers=2), date(2026, 1, 2), datetime(2026, 1, 3, 0, 5, tzinfo=UTC)
    assert check_clock(of, day, None, now).level == "PASS"
    assert check_clock(of, day, datetime(2026, 1, 3, 0, 10, tzinfo=UTC), now).level == "PASS"  # within ten minutes
    assert check_clock(of, day, datetime(2026, 1, 3, 0, 16, tzinfo=UTC), now).level == "FAIL"
    assert check_clock(of, date(2026, 1, 3), None, now).level == "WARN"
    assert "says 1970-01-01" in check_clock(of, day, None, datetime(1970, 1, 1, tzinfo=UTC)).found
