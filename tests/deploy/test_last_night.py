import subprocess
import sys
from datetime import UTC, date, datetime

import pytest
from deploy.last_night import command, last_day
from tests.running import ROOT

from intentrec.config import load_config
from intentrec.errors import ConfigError

CONFIG = """\
warehouse: w
timezone: Europe/Berlin
day_starts_at: "02:00"
input: {events: {path: a, format: csv, columns: {user_id: u, occurred_at: t}}}
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "night.yaml").write_text(CONFIG)
    return tmp_path / "night.yaml"


@pytest.mark.parametrize(
    ("now", "day"),
    [
        # In Berlin's summer the day of 1 May ends on 2 May at 02:00, 00:00 UTC; in winter at 01:00 UTC.
        (datetime(2024, 5, 2, 0, 0, tzinfo=UTC), date(2024, 5, 1)),
        (datetime(2024, 5, 1, 23, 59, tzinfo=UTC), date(2024, 4, 30)),
        (datetime(2024, 12, 2, 0, 59, tzinfo=UTC), date(2024, 11, 30)),
        (datetime(2024, 12, 2, 1, 0, tzinfo=UTC), date(2024, 12, 1)),
    ],
)
def test_the_day_is_the_newest_that_has_ended(file, now, day):
    assert last_day(load_config(file), now) == day


def test_all_other_flags_are_handed_on_and_a_wrong_config_is_named(file):
    now = datetime(2024, 5, 2, 3, tzinfo=UTC)
    given = ["--config", str(file), "--set", "training.workers=1", "--strict"]
    assert command(given, now) == [
        "--config", str(file), "--run-date", "2024-05-01", "--set", "training.workers=1", "--strict",
    ]  # fmt: skip
    several = ["--set", "model.width=8", "training.seed=2", "--config", str(file), "--debug", "--set", "timezone=UTC"]
    assert command(several, now)[4:] == [*several[:3], "timezone=UTC", "--debug"]
    file.write_text("warehouse: w\n")
    with pytest.raises(ConfigError, match="input"):
        command(["--config", str(file)], now)


def test_the_day_is_that_of_the_config_with_what_is_set(file):
    now = datetime(2024, 5, 2, 0, 30, tzinfo=UTC)  # in Berlin half past two: its day has ended, at 02:00
    flags = ["--config", str(file)]
    assert command(flags, now)[3] == "2024-05-01"
    assert command([*flags, "--set", "timezone=UTC"], now)[3] == "2024-04-30"
    assert command([*flags, "--set", "timezone=UTC", "day_starts_at=00:30"], now)[3] == "2024-05-01"
    with pytest.raises(ConfigError, match="time_zone: unknown key"):
        command([*flags, "--set", "time_zone=UTC"], now)


def test_it_starts_the_night_of_that_day_in_its_own_process(tmp_path, file):
    file.write_text(CONFIG.replace("path: a", "path: none/*.csv") + "spark: {master: nowhere}\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "last_night.py"), "--config", str(file), "--only", "no_such_stage"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "jobs/nightly.py: argument --only: invalid choice: 'no_such_stage'" in done.stderr
