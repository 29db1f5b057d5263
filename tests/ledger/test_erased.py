"""The key of erased_users is asked for only where it is needed, and a wrong one is refused."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.ledger.nights import command, write_config

from intentrec.errors import SetupError
from intentrec.events import key_mark, keyed_hash
from intentrec.ledger import Run, erased_users
from intentrec.ledger.erased import erasure_key
from intentrec.tables import ERASED_USERS

KEY = "0123456789abcdef"


def test_who_stays_out_is_read_with_the_key_and_without_anybody_no_key_is_needed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTENTREC_ERASURE_KEY", raising=False)
    run = Run(command(write_config(tmp_path)), spark, "r1")
    assert erased_users(run) is None
    run.warehouse.create([ERASED_USERS])
    assert erased_users(run) is None
    key = KEY.encode()
    row = (keyed_hash(key, "ann"), key_mark(key), date(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), None, "r1")
    run.warehouse.append(ERASED_USERS, spark.createDataFrame([row], ERASED_USERS.schema))
    with pytest.raises(SetupError, match=r"INTENTREC_ERASURE_KEY .* holds 0 bytes, wanted the secret key"):
        erased_users(run)
    monkeypatch.setenv("INTENTREC_ERASURE_KEY", KEY)
    erased = erased_users(run)
    assert erased is not None
    assert erased.holds("ann")
    assert not erased.holds("bob")
    monkeypatch.setenv("INTENTREC_ERASURE_KEY", KEY[::-1])
    with pytest.raises(SetupError, match="its 1 hashes were made with another key than that in"):
        erased_users(run)


def test_the_key_comes_from_its_file_where_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENTREC_ERASURE_KEY", "of the environment")
    settings = command(write_config(tmp_path), "erasure.key_file=key").config.erasure
    with pytest.raises(SetupError, match=r"erasure.key_file: .*key: No such file or directory; restore the file"):
        erasure_key(settings)
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert erasure_key(settings) == KEY.encode()
    (tmp_path / "key").write_text("short\n")
    with pytest.raises(SetupError, match=r"erasure.key_file .*key holds 5 bytes, wanted the secret key"):
        erasure_key(settings)
