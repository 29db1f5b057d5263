from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.examples.test_sequences import ENCODED_COLUMNS

from intentrec.examples import Shape, arrays, training_sequences
from intentrec.examples.arrays import EventArrays, write_rows

HOUR_S = 3600
START_S = int(datetime(2024, 5, 1, tzinfo=UTC).timestamp())


def events_of(*lengths, weights=None):
    """Item n is event n, at hour n; its two features are 10 n and 100 n."""
    num = sum(lengths)
    items = np.arange(1, num + 1)
    weights = np.ones(num) if weights is None else np.array(weights)
    offsets = np.cumsum([0, *lengths])
    return EventArrays(
        offsets, items, START_S + items * HOUR_S, weights.astype(np.float32), np.stack([10 * items, 100 * items])
    )


def rows_in(files):
    return {tuple(row["items"]): row for file in files for row in pq.read_table(file.path).to_pylist()}


def test_every_event_but_the_first_is_a_target_of_exactly_one_row(tmp_path):
    files = write_rows(events_of(5, 1, 2), 3, tmp_path, seed=1)
    assert [(file.bucket, file.rows, file.row_id_sum) for file in files] == [(3, 3, 0 + 1 + 2)]
    rows = rows_in(files)
    assert {items: row["weights"] for items, row in rows.items()} == {
        (3, 4, 5): [0.0, 1.0, 1.0],  # 3 is context here and a target below
        (1, 2, 3): [0.0, 1.0, 1.0],
        (0, 7, 8): [0.0, 1.0, 1.0],  # the sequence of one event has no row
    }
    assert rows[0, 7, 8]["times"] == [0, START_S + 7 * HOUR_S, START_S + 8 * HOUR_S]
    assert rows[0, 7, 8]["features"] == [0, 70, 80, 0, 700, 800]
    assert sorted(row["row_id"] for row in rows.values()) == [0, 1, 2]


def test_rows_without_a_target_are_left_out_and_old_files_go(tmp_path):
    (tmp_path / "length_bucket=8.parquet").touch()
    files = write_rows(events_of(5, 3, weights=[1, 1, 1, 0, 1, 1, 0, 0]), 2, tmp_path, seed=1)
    assert set(rows_in(files)) == {(4, 5), (2, 3), (1, 2)}
    assert [path.name for path in tmp_path.iterdir()] == ["length_bucket=2.parquet"]
    assert write_rows(events_of(), 4, tmp_path, seed=1) == []


def test_rows_are_in_an_order_of_their_own_and_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "_GROUP_ROWS", 3)
    (file,) = write_rows(events_of(*[2] * 8), 8, tmp_path, seed=1)
    first = pq.read_table(file.path)["row_id"].to_pylist()
    assert pq.read_metadata(file.path).num_row_groups == 3
    (again,) = write_rows(events_of(*[2] * 8), 8, tmp_path, seed=1)
    assert pq.read_table(again.path)["row_id"].to_pylist() == first != sorted(first)


def test_parts_of_sequences_may_overlap():
    part = events_of(3, 2).of(np.array([0, 1]), np.array([2, 5]))
    assert part.offsets.tolist() == [0, 2, 6]
    assert part.items_N.tolist() == [1, 2, 2, 3, 4, 5]
    assert part.features_CN.tolist() == [[10, 20, 20, 30, 40, 50], [100, 200, 200, 300, 400, 500]]


@pytest.mark.parametrize("history_length", [2, 4, 9, 20])
def test_rows_are_those_that_spark_makes(spark, tmp_path, history_length):
    lengths = (1, 2, 7, 19)
    weights = (np.arange(sum(lengths)) % 3 != 0).astype(np.float32)
    events = replace(events_of(*lengths, weights=weights), features_CN=10 * np.arange(1, 30)[None].repeat(2, axis=0))
    users = np.repeat(["ann", "bob", "cat", "dan"], lengths)
    encoded = [
        (user, False, datetime.fromtimestamp(time, UTC), 0, str(item + 100), "view", item, weight, [10 * item] * 2)
        for user, time, item, weight in zip(
            users.tolist(), events.times_N.tolist(), events.items_N.tolist(), weights.tolist(), strict=True
        )
    ]  # fmt: skip
    frame = spark.createDataFrame(encoded, ENCODED_COLUMNS)
    until = datetime(2024, 6, 1, tzinfo=UTC)
    wanted = training_sequences(frame, "train", None, until, Shape(date(2024, 5, 31), history_length, 2)).collect()
    found = rows_in(write_rows(events, history_length, tmp_path, seed=1))
    names = ("items", "times", "weights", "features")
    assert sorted([row[name] for name in names] for row in found.values()) == sorted(
        [list(row[name]) for name in names] for row in wanted
    )
