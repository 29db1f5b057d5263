import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intentrec.errors import InputError
from intentrec.starter import sampling
from intentrec.starter.sampling import read_sample, read_stretch


def lines(folder, name, rows):
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_nested_keys_become_dotted_paths_and_lists_are_left_out(tmp_path):
    lines(tmp_path, "a.json", [{"who": {"id": 7}, "tags": ["x"], "at": 5}, {"who": {"id": 8}, "at": 6}])
    sample = read_sample(str(tmp_path / "a.json"))
    assert sample.columns == {"who.id": ["7", "8"], "at": ["5", "6"]}
    assert (sample.format, sample.num_rows, sample.num_refused, sample.whole) == ("json", 2, 0, True)


def test_a_folder_is_read_file_by_file_without_markers_and_hidden_files(tmp_path):
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text(f"u,t\n{name},1\n{name},2\n")
    (tmp_path / "_SUCCESS").write_text("x")
    (tmp_path / "empty.csv").write_text("")
    sample = read_sample(str(tmp_path))
    assert sample.columns["u"] == ["a.csv", "a.csv", "b.csv", "b.csv"]
    assert (sample.pattern, sample.num_files) == (f"{tmp_path}/*", 2)


def test_a_sample_is_the_first_rows_of_each_file_and_a_stretch_those_of_the_first_files(tmp_path):
    for number in range(2):
        text = "u,t\n" + "".join(f"u{number},{row}\n" for row in range(10))
        (tmp_path / f"{number}.csv.gz").write_bytes(gzip.compress(text.encode()))
    sample = read_sample(str(tmp_path / "*.gz"), most_rows=6)
    assert sample.columns["t"] == ["0", "1", "2", "0", "1", "2"]
    assert (sample.whole, sample.packing) == (False, "gzip")
    stretch = read_stretch(sample, ("t",), most_rows=12)
    assert stretch["t"] == [*map(str, range(10)), "0", "1"]


def test_refused_rows_are_counted(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1, "b": 2}\n{"a": 1}\n{broken\n')
    sample = read_sample(str(tmp_path / "a.json"))
    assert (sample.num_rows, sample.num_refused) == (3, 1)
    assert read_stretch(sample, ("b",)) == {"b": ["2", None]}


def test_parquet_is_read_with_its_structs_and_a_table_by_its_data_files(tmp_path):
    rows = pa.table({"user": pa.array([{"id": 1}, {"id": 2}]), "at": [5, 6], "tags": pa.array([["a"], []])})
    (tmp_path / "t" / "_delta_log").mkdir(parents=True)
    pq.write_table(rows, tmp_path / "t" / "part.parquet")
    of_file, of_table = read_sample(str(tmp_path / "t" / "part.parquet")), read_sample(str(tmp_path / "t"))
    assert of_file.columns == of_table.columns == {"user.id": ["1", "2"], "at": ["5", "6"]}
    assert (of_file.format, of_table.format, of_table.pattern) == ("parquet", "delta", f"{tmp_path}/t")


def test_a_key_that_one_json_file_lacks_is_null_there_and_one_that_is_a_list_anywhere_is_left_out(tmp_path):
    lines(tmp_path, "a.json", [{"user": "x", "item": "i", "tags": "new"}])
    lines(tmp_path, "b.json", [{"user": "y", "query": "tea", "tags": ["a"]}])
    sample = read_sample(str(tmp_path))
    assert sample.columns == {"user": ["x", "y"], "item": ["i", None], "query": [None, "tea"]}
    assert sample.num_refused == 0


def test_of_very_many_keys_the_most_frequent_are_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "_MOST_KEYS", 2)
    lines(tmp_path, "a.json", [{"user": n, f"once{n}": 1, "item": n} for n in range(5)])
    assert list(read_sample(str(tmp_path)).columns) == ["user", "item"]


def test_only_columns_of_every_csv_file_are_taken(tmp_path):
    (tmp_path / "a.csv").write_text("u,t,old\nx,1,o\n")
    (tmp_path / "b.csv").write_text("u,t,new\nx,1,o\n")
    assert list(read_sample(str(tmp_path)).columns) == ["u", "t"]


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no file with content matches"), ("[1]\n[2]\n", "neither JSON lines nor Parquet")]
)
def test_what_is_no_log_is_refused(tmp_path, content, said):
    if content:
        (tmp_path / "a.log").write_text(content)
    with pytest.raises(InputError, match=said):
        read_sample(str(tmp_path / "*.log"))
