import os
from datetime import UTC, date, datetime

import pytest

from intentrec.config import EventSource, Snapshot
from intentrec.errors import InputError
from intentrec.logs import find_files, find_local_files

DAY = date(2024, 5, 2)


def source(path, **more):
    columns = {"user_id": "u", "item_id": "i", "occurred_at": "t"}
    return EventSource(path=str(path), format=more.pop("format", "json"), columns=columns, **more)


def names(files):
    return [file.path.rsplit("/", 1)[1] for file in files]


def test_files_are_listed_by_path_with_size_and_time_without_markers(tmp_path):
    for name in ("b.json", "a.json", "_SUCCESS", ".hidden", "c.txt"):
        (tmp_path / name).write_text("xyz")
    os.utime(tmp_path / "a.json", ns=(0, 1_714_554_000_123_456_789))
    files = find_files(None, source(tmp_path / "*.json"), DAY)
    assert names(files) == ["a.json", "b.json"]
    assert (files[0].size, files[0].remote) == (3, False)
    assert files[0].modified_at == datetime(2024, 5, 1, 9, 0, 0, 123456, UTC)
    assert names(find_files(None, source(f"file://{tmp_path}"), DAY)) == ["a.json", "b.json", "c.txt"]
    assert find_local_files(source(tmp_path / "*.json"), DAY) == files


def test_a_run_date_in_the_path_stands_for_the_days_looked_back_on(tmp_path):
    for day in ("2024-04-30", "2024-05-01", "2024-05-02", "2024-05-03"):
        (tmp_path / f"{day}.json").write_text("")
    assert names(find_files(None, source(tmp_path / "{run_date}.json", lookback_days=2), DAY)) == [
        "2024-05-01.json",
        "2024-05-02.json",
    ]
    snapshot = Snapshot(path=str(tmp_path / "{run_date}.json"), format="json", columns={"item_id": "i"})
    assert names(find_files(None, snapshot, DAY)) == ["2024-05-02.json"]


def test_no_file_is_an_error_that_names_the_glob(tmp_path):
    with pytest.raises(InputError, match=r"nothing-\*: no file matches; deliver the files or correct the path"):
        find_files(None, source(tmp_path / "nothing-*"), DAY)
    with pytest.raises(InputError, match=r"nothing-\*: no file matches"):
        find_local_files(source(tmp_path / "nothing-*"), DAY)
    with pytest.raises(InputError, match="no file matches for the 3 days to 2024-05-02"):
        find_files(None, source(tmp_path / "{run_date}"), DAY)


def test_a_delta_table_is_listed_as_it_is_now(spark, tmp_path):
    table = str(tmp_path / "log")
    rows = spark.createDataFrame([("ann",), ("bob",)], "u STRING").coalesce(1)
    rows.write.format("delta").save(table)
    rows.write.format("delta").mode("overwrite").save(table)
    assert len([*(tmp_path / "log").glob("*.parquet")]) == 2
    assert len(find_files(spark, source(table, format="delta"), DAY)) == 1
    spark.sql(f"ALTER TABLE delta.`{table}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    with pytest.raises(InputError, match="its files hold deleted rows"):
        find_files(spark, source(table, format="delta"), DAY)
    with pytest.raises(InputError, match="no Delta table that can be read"):
        find_files(spark, source(tmp_path / "none", format="delta"), DAY)


def test_other_file_systems_are_listed_by_spark(spark):
    with pytest.raises(InputError, match="nosuch://place/x: cannot be listed"):
        find_files(spark, source("nosuch://place/x"), DAY)
