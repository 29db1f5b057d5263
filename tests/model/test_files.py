import sys
import threading
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlparse

import fsspec
import pytest
from tests.model.synthetic import rows_of, write_shard

from intentrec.errors import SetupError, TrainingError
from intentrec.model import files
from intentrec.model.batches import Reading, read_batches, shares_of_ranks
from intentrec.model.files import local_path, petastorm_urls

ODD = ["a b#c%20é", "q?x", "semi;colon", "tab\tand\nline", "100%", "star*[a]{b}", "#deep?/plain/and#odd"]


@pytest.mark.parametrize("name", ODD)
def test_rows_are_read_from_a_folder_of_any_name(tmp_path, name):
    shard = write_shard(tmp_path / name, "train", 8, rows_of(20, 8, seed=1), [12, 8])
    assert shares_of_ranks(shard, 1) == [(20, 1)]
    read = [row for batch in read_batches(shard, Reading(0, 1, 16, seed=4)) for row in batch.row_ids_B.tolist()]
    assert sorted(read) == list(range(20))


@pytest.mark.parametrize("name", ODD)
def test_what_petastorm_gets_is_whole_when_it_takes_it_apart(tmp_path, name):
    (tmp_path / name).mkdir(parents=True)
    paths = [tmp_path / name / "part-0.parquet", tmp_path / "other" / "part-1.parquet"]
    paths[0].write_text("rows")
    with petastorm_urls([path.as_uri() for path in paths]) as urls:
        first, second = (urlparse(url).path for url in urls)
        assert Path(first).read_text() == "rows"
        assert first.endswith("/part-0.parquet")
        assert second == str(paths[1])
    lost = any(letter in name for letter in "#?;\t")
    assert (first == str(paths[0])) != lost
    if lost:
        assert not Path(first).exists()  # the link is gone
    assert paths[0].read_text() == "rows"


def test_files_elsewhere_keep_their_address():
    with petastorm_urls(["s3://shop/a%20b/x.parquet", "file:///c%23/y.parquet"]) as (there, here):
        assert there == "s3://shop/a b/x.parquet"
        assert "#" not in unquote(here)
    assert local_path("s3://shop/x") is None
    assert str(local_path("file:/a%20b")) == str(local_path("/a%20b")) == "/a b"


def test_rows_are_read_where_fsspec_alone_knows_the_way(tmp_path):
    local = write_shard(tmp_path, "train", 8, rows_of(20, 8, seed=1), [12, 8])
    there = "memory://shop/split=train/a%20b.parquet"
    fsspec.filesystem("memory").pipe_file("/shop/split=train/a b.parquet", local_path(local.files[0]).read_bytes())
    files.check_readable([there])
    assert files.rows_of_groups([there], 10) == [[12, 8]]


@pytest.mark.parametrize(
    ("url", "what", "wanted"),
    [
        ("s3a://shop/x", "read \\(.*", "install s3fs for the driver and the ranks"),
        ("abfss://c@shop/x", "read \\(.*", "install adlfs for the driver and the ranks"),
        ("gs://shop/x", "read \\(.*", "install gcsfs for the driver and the ranks"),
        ("odd://shop/x", "read \\(.*", "keep the warehouse elsewhere"),
        ("dbfs:/shop/x", "read here, .*none is not mounted", "keep the warehouse elsewhere"),
    ],
)
def test_storage_without_a_way_to_it_is_named_with_what_is_missing(monkeypatch, tmp_path, url, what, wanted):
    monkeypatch.setattr(files, "_DBFS", tmp_path / "none")
    for package in ("s3fs", "adlfs", "gcsfs"):
        monkeypatch.setitem(sys.modules, package, None)
    said = rf"^{url}: examples cannot be {what}.*; {wanted}$"
    with pytest.raises(SetupError, match=said):
        files.check_readable(["file:///a", "hdfs://h/b", url])
    with pytest.raises(SetupError, match=said):
        files.rows_of_groups([url], 10)


def test_databricks_file_system_is_read_where_it_is_mounted(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_DBFS", tmp_path)
    shard = write_shard(tmp_path / "a b#c", "train", 8, rows_of(20, 8, seed=1), [12, 8])
    url = shard.files[0].replace(tmp_path.as_uri(), "dbfs:")
    assert local_path(url) == local_path(shard.files[0])
    files.check_readable([url])
    moved = replace(shard, files=(url,))
    read = [row for batch in read_batches(moved, Reading(0, 1, 16, seed=4)) for row in batch.row_ids_B.tolist()]
    assert sorted(read) == list(range(20))


def test_a_footer_that_does_not_come_is_an_error_and_not_a_wait(tmp_path, monkeypatch):
    hanging = threading.Event()
    monkeypatch.setattr(files.pq, "read_metadata", lambda path: hanging.wait(60))
    with pytest.raises(TrainingError, match=r"x.parquet: no rows of examples in 0.1 s; check that the storage answers"):
        files.rows_of_groups([(tmp_path / "x.parquet").as_uri()], 0.1)
    hanging.set()
