"""Row groups of Parquet files, read through petastorm; its only importer.

N rows of a row group   L entries of an array
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from petastorm.arrow_reader_worker import ArrowReaderWorker
from petastorm.fs_utils import get_filesystem_and_path_or_paths
from petastorm.reader import Reader
from petastorm.workers_pool import EmptyResultError
from petastorm.workers_pool.thread_pool import ThreadPool

from intentrec.errors import InputError


def open_row_groups(urls: Sequence[str], ahead: int, options: dict[str, Any]) -> Reader:
    """Return a reader of row groups: named tuples of a vector (N,) for every number, a matrix (N, L) for every array.

    Args:
        urls: of the files, as ``intentrec.model.files.petastorm_urls`` gives them.
        ahead: row groups that may wait to be taken; petastorm's default of 50 is held in memory.
        options: of ``petastorm.reader.Reader``: columns, epochs, share and seed.
    """
    filesystem, paths = get_filesystem_and_path_or_paths(list(urls))
    pool = ThreadPool(1, ahead)  # more workers return row groups in any order
    return Reader(filesystem, paths, reader_pool=pool, worker_class=_MatrixWorker, is_batched_reader=True, **options)


def matrix_of(name: str, column_N: pa.ChunkedArray) -> NDArray[Any]:
    """Return numbers as they are, arrays of one length as a matrix, without copying what lies in one piece.

    petastorm itself makes an array of every row and stacks them, which takes longer than decoding.

    Raises:
        InputError: the arrays are of several lengths, or something is null.
    """
    values_N = column_N.chunk(0) if column_N.num_chunks == 1 else column_N.combine_chunks()
    if not pa.types.is_list(values_N.type):
        return np.asarray(values_N.to_numpy(zero_copy_only=False))
    lengths = pc.min_max(pc.list_value_length(values_N)).as_py()
    flat = values_N.flatten()
    if lengths["min"] != lengths["max"] or values_N.null_count or flat.null_count:
        raise InputError(
            f"examples.{name}: arrays of {lengths['min']} to {lengths['max']} entries, "
            f"{values_N.null_count + flat.null_count} null, in one row group; run build_examples again with --rebuild"
        )
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(values_N), lengths["max"] or 0)


class _Matrices:
    """What petastorm asks for every result of its workers."""

    batched_output = True

    def read_next(self, workers_pool: Any, schema: Any, _ngram: None) -> Any:
        """Return the next row group; its name and arguments are petastorm's."""
        try:
            table = workers_pool.get_results()
        except EmptyResultError:
            raise StopIteration from None
        return schema.make_namedtuple(
            **{name: matrix_of(name, table.column(name)) for name in sorted(table.column_names)}
        )


class _MatrixWorker(ArrowReaderWorker):  # type: ignore[misc]
    @staticmethod
    def new_results_queue_reader() -> _Matrices:
        return _Matrices()
