"""Row groups as matrices: values in their order, in pieces or whole; what is no matrix is refused by name."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intentrec.errors import InputError
from intentrec.model.row_groups import matrix_of, open_row_groups

WHOLE = pa.chunked_array([[[1, 2], [3, 4], [5, 6]]], type=pa.list_(pa.int32()))


def test_arrays_of_one_length_are_a_matrix_without_a_copy():
    found = matrix_of("items", WHOLE)
    assert (found.dtype, found.tolist()) == (np.int32, [[1, 2], [3, 4], [5, 6]])
    assert found.ctypes.data == WHOLE.chunk(0).values.buffers()[1].address


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([[[1, 2]], [[3, 4], [5, 6]]], [[1, 2], [3, 4], [5, 6]]),
        ([[[7]]], [[7]]),
        ([[[], []]], [[], []]),
    ],
)
def test_pieces_are_joined_in_their_order(pieces, wanted):
    assert matrix_of("items", pa.chunked_array(pieces, type=pa.list_(pa.int64()))).tolist() == wanted


def test_a_part_of_a_longer_column_is_that_part():
    assert matrix_of("items", WHOLE.slice(1, 2)).tolist() == [[3, 4], [5, 6]]


def test_numbers_stay_a_vector():
    assert matrix_of("row_id", pa.chunked_array([[3, 1], [2]])).tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([[1, 2], [3]], "arrays of 1 to 2 entries, 0 null"),
        ([[1, 2], None], "arrays of 2 to 2 entries, 1 null"),
        ([[1, None], [3, 4]], "arrays of 2 to 2 entries, 1 null"),
        ([[], [3]], "arrays of 0 to 1 entries, 0 null"),
    ],
)
def test_what_is_no_matrix_is_refused(rows, wanted):
    column = pa.chunked_array([rows], type=pa.list_(pa.int32()))
    with pytest.raises(InputError, match=f"examples.times: {wanted}, in one row group; run build_examples again with"):
        matrix_of("times", column)


def test_a_reader_returns_every_group_once_in_an_order_by_its_seed(tmp_path):
    table = pa.table({"row_id": range(40), "items": [[row, row + 100] for row in range(40)], "left_out": [0] * 40})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=5)
    options = {"schema_fields": ["^row_id$", "^items$"], "num_epochs": 1}

    def groups(seed):
        with open_row_groups([(tmp_path / "x.parquet").as_uri()], 1, {**options, "seed": seed}) as reader:
            return [(group.row_id.tolist(), group.items.tolist(), group._fields) for group in reader]

    first, again, other = groups(1), groups(1), groups(2)
    assert first == again != other
    assert sorted(row for rows, _, _ in first for row in rows) == list(range(40))
    for rows, items, fields in first:
        assert (items, set(fields)) == ([[row, row + 100] for row in rows], {"row_id", "items"})
