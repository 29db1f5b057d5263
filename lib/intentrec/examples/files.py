"""examples -> files of equal size for the ranks."""

from collections.abc import Mapping
from math import ceil

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

ROWS_PER_FILE = 20_000  # a row group; reading ones of 100,000 took 900 MB a rank and bucket, and no less time
_DRAWS = 64  # numbers tried per task: that a task is met by none has a probability of e^-64


def in_equal_files(examples: DataFrame, counts: Mapping[tuple[str, int], int], workers: int) -> DataFrame:
    """Lay EXAMPLES rows into tasks so that every rank gets as many rows of each split and length bucket as any other.

    All ranks take their steps in the same bucket at the same time: a bucket in one file would be read by one rank while
    the others wait. So each has as many files as there are ranks, or a multiple, equal but for the chance of a hash,
    and a file holds the same rows in the same order however many cores write.

    Args:
        examples: rows to write.
        counts: rows of every (split, length_bucket) that has any.
        workers: ranks.

    Returns:
        The same rows; each task writes one file, in the order of row_id.
    """
    files = {group: workers * ceil(rows / (workers * ROWS_PER_FILE)) for group, rows in sorted(counts.items())}
    num_tasks = sum(files.values())
    if not num_tasks:
        return examples.coalesce(1)
    key_of_task = _keys(examples, num_tasks)
    key, first = F.lit(None).cast("bigint"), 0
    for (split, bucket), num_files in files.items():
        own = F.array(*(F.lit(each).cast("bigint") for each in key_of_task[first : first + num_files]))
        place = F.pmod(F.col("row_id"), F.lit(num_files)).cast("int")
        here = (F.col("split") == split) & (F.col("length_bucket") == bucket)
        key, first = F.when(here, F.element_at(own, place + 1)).otherwise(key), first + num_files
    return examples.repartition(num_tasks, key).sortWithinPartitions("row_id")


def _keys(rows: DataFrame, num_tasks: int) -> list[int]:
    """Find for every task a number that Spark's hash sends there: there is no way to name a task."""
    drawn = rows.sparkSession.range(_DRAWS * num_tasks)
    task = F.pmod(F.hash("id"), F.lit(num_tasks)).alias("task")
    found = drawn.groupBy(task).agg(F.min("id").alias("key")).orderBy("task").collect()
    assert len(found) == num_tasks, f"{len(found)} of {num_tasks} tasks were met"
    return [row["key"] for row in found]
