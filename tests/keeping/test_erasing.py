"""Who is asked for, and when old versions go."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.ledger.nights import command, write_config

from intentrec.errors import ConfigError
from intentrec.keeping.erasing import Purged, asked_users, purge_erased
from intentrec.ledger import Run
from intentrec.tables import ERASED_USERS, ERASURE_REQUESTS


def test_users_come_from_the_command_line_from_files_and_from_the_table(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(command(write_config(tmp_path)), spark, "r1")
    (tmp_path / "dos").write_bytes("\ufeffbob\r\n\r\n b b \r\n".encode())
    (tmp_path / "unix").write_text("eve\u2028\n")  # no end of a line but \n
    run.warehouse.create([ERASURE_REQUESTS])
    run.warehouse.append(ERASURE_REQUESTS, spark.createDataFrame([("zoe", None)] * 2, ERASURE_REQUESTS.schema))
    asked = asked_users(run, ["ann"], [tmp_path / "dos", tmp_path / "unix"])
    assert asked == {"ann", "bob", " b b ", "eve\u2028", "zoe"}
    (tmp_path / "packed").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"--user-file .*packed: 'utf-8' codec can't decode"):
        asked_users(run, [], [tmp_path / "packed"])


def test_old_versions_wait_for_their_time_and_go_with_the_first_that_is_due(
    spark: SparkSession, tmp_path: Path
) -> None:
    run = Run(command(write_config(tmp_path), "erasure.retention_hours=48"), spark, "r1")
    assert purge_erased(run) == Purged({}, ())
    run.warehouse.create([ERASED_USERS, ERASURE_REQUESTS])
    now = datetime.now(UTC)

    def erased(name: str, hours: int) -> None:
        row = (name, "k", date(2024, 1, 1), now - timedelta(hours=hours), None, "r1")
        run.warehouse.append(ERASED_USERS, spark.createDataFrame([row], ERASED_USERS.schema))

    erased("young", 47)
    assert purge_erased(run) == Purged({}, ())
    erased("old", 48)
    purged = purge_erased(run)
    assert purged.hashes == ("old", "young")
    assert list(purged.files) == [ERASURE_REQUESTS.name]
    assert purge_erased(run) == Purged({}, ())
