"""The files below a table: on this machine directly, elsewhere through Hadoop, which reads local URLs as well."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from intentrec.io.storage import Storage


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}"])
def test_files_are_listed_with_their_sizes_and_removed(spark: SparkSession, tmp_path: Path, form: str) -> None:
    (tmp_path / "day=1").mkdir()
    (tmp_path / "day=1" / "a b.parquet").write_bytes(b"12345")
    (tmp_path / ".hidden.crc").write_bytes(b"1")
    storage = Storage(spark, form.format(tmp_path))
    assert storage.sizes() == {"day=1/a b.parquet": 5, ".hidden.crc": 1}
    storage.remove(["day=1/a b.parquet", "never there"])
    assert storage.sizes() == {".hidden.crc": 1}


def test_storage_elsewhere_is_reached_through_hadoop(spark: SparkSession, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "day=1").mkdir()
    (tmp_path / "day=1" / "a.parquet").write_bytes(b"12345")
    storage = Storage(spark, f"file://{tmp_path}")
    monkeypatch.setattr(storage, "_folder", None)
    assert storage.sizes() == {"day=1/a.parquet": 5}
    storage.remove(["day=1/a.parquet", "never there"])
    assert storage.sizes() == {}
