"""What Spark calls a file, and what others call it."""

import random
from datetime import timedelta
from pathlib import Path
from urllib.request import url2pathname

import pytest

from intentrec.io.files import as_url, kept_for, writing_order


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("file:/data/run_date=2024-05-01/part-0.parquet", "file:/data/run_date=2024-05-01/part-0.parquet"),
        ("file:/a b#c%20é?/x", "file:/a%20b%23c%2520%C3%A9%3F/x"),
        ("s3://bucket:80/a b/x", "s3://bucket:80/a%20b/x"),
    ],
)
def test_a_name_of_sparks_becomes_a_url(path: str, url: str) -> None:
    assert as_url(path) == url
    assert url2pathname(url) == path


def test_the_url_of_a_path_is_the_one_that_python_gives_it(tmp_path: Path) -> None:
    odd = tmp_path / "a b#c%20é?[x]"
    assert as_url(f"file://{odd}") == odd.as_uri()


def test_files_are_ordered_by_folder_task_and_count() -> None:
    ordered = [
        "file:/t/a/part-00000-f.c000.snappy.parquet",
        "file:/t/a/part-00000-b.c001.snappy.parquet",
        "file:/t/a/part-00002-e.c000.snappy.parquet",
        "file:/t/a/part-00010-a.c000.snappy.parquet",
        "file:/t/b/part-00000-c.c000.snappy.parquet",
    ]
    mixed = random.Random(1).sample(ordered, len(ordered))
    assert sorted(mixed, key=writing_order) == ordered


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("interval 30 days", timedelta(days=30)),
        ("interval 1 week 2 days", timedelta(days=9)),
        ("INTERVAL 36 hours".lower(), timedelta(hours=36)),
        ("interval 0 hours", timedelta(0)),
    ],
)
def test_a_retention_is_read_as_delta_writes_it(text: str, kept: timedelta) -> None:
    assert kept_for({"delta.deletedFileRetentionDuration": text}) == kept


def test_deltas_own_retention_is_a_week() -> None:
    assert kept_for({}) == timedelta(days=7)
