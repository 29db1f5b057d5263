import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.logs.blocks import rows_of

from intentrec.logs.opening import DamagedFileError, ForeignFileError
from intentrec.logs.parquet_rows import check_parquet_columns, parquet_rows, verify_parquet

TABLE = pa.table(
    {
        "user": pa.array([12345678901234, None], pa.int64()),
        "item": pa.array(["tea", "cup"]).dictionary_encode(),
        "price": [2.5, 3.0],
        "at": pa.array([datetime(2024, 5, 1, 9, 0, 0, 500, UTC), None], pa.timestamp("ns", "UTC")),
        "local": pa.array([1_714_554_000_000, None], pa.timestamp("ms")),
        "page": [{"url": "/x"}, None],
        "tags": [["a"], None],
        "code": [b"ab", None],
    }
)


def written(table=TABLE):
    file = io.BytesIO()
    pq.write_table(table, file)
    return file


def rows(columns, path="a.parquet", nested=()):
    blocks = parquet_rows(written(), path, columns, frozenset(nested))
    return [tuple(row) for _, _, row in rows_of(blocks)]


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        ("user", ["12345678901234", None]),
        ("item", ["tea", "cup"]),
        ("price", ["2.5", "3"]),
        ("at", ["2024-05-01T09:00:00.000500Z", None]),
        ("local", ["2024-05-01T09:00:00.000000", None]),
        ("page.url", ["/x", None]),
        ("code", ["ab", None]),
    ],
)
def test_every_type_becomes_text(column, texts):
    assert rows({"ours": column}) == [(text,) for text in texts]


def test_nested_values_become_json_where_they_may_be():
    assert rows({"ours": "tags"}, nested=["ours"]) == [('["a"]',), (None,)]


def test_rows_are_numbered_from_one():
    assert [line for line, _, _ in rows_of(parquet_rows(written(), "a", {"user_id": "user"}, frozenset()))] == [1, 2]


def test_a_column_may_stand_in_the_folders_name():
    assert rows({"ours": "day"}, "logs/day=2024%2D05/a.parquet") == [("2024-05",), ("2024-05",)]
    assert rows({"ours": "day"}, "logs/day=__HIVE_DEFAULT_PARTITION__/a.parquet") == [(None,), (None,)]


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("gone", "column 'gone' .for user_id. is not in the columns user, item, price"),
        ("page.gone", "column 'page.gone' .for user_id. is not in the columns user"),
        ("tags", "column 'tags' .for user_id. is list<.*>, wanted one value a row"),
    ],
)
def test_a_missing_or_nested_column_refuses_the_file(column, told):
    with pytest.raises(ForeignFileError, match=told):
        check_parquet_columns(written(), "a.parquet", {"user_id": column}, frozenset())


def test_a_cut_file_is_damaged():
    whole = written().getvalue()
    for content in (whole[:-10], whole[: len(whole) // 2], b"", b"no parquet at all"):
        with pytest.raises(DamagedFileError, match="not Parquet to its end"):
            verify_parquet(io.BytesIO(content), {"user_id": "user"})
    verify_parquet(io.BytesIO(whole), {"user_id": "user"})
