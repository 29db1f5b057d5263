from collections import Counter
from datetime import date

import pyarrow.parquet as pq
from pyspark.sql import functions as F
from tests.frames import assert_frames_equal

from intentrec.examples import files, in_equal_files
from intentrec.tables import EXAMPLES


def examples(spark, **counts):
    """Rows named by their split and bucket, e.g. train_8=3."""
    rows = [
        (date(2024, 5, 1), name.split("_")[0], int(name.split("_")[1]), number)
        for name, num_rows in counts.items()
        for number in range(num_rows)
    ]
    frame = spark.createDataFrame(rows, "run_date DATE, split STRING, length_bucket INT, number INT")
    empty = {field.name: F.lit(None).cast(field.dataType) for field in EXAMPLES.schema.fields}
    return frame.select(
        *[frame[name] if name in frame.columns else empty[name].alias(name) for name in EXAMPLES.schema.names[:3]],
        F.xxhash64("split", "length_bucket", "number").alias("row_id"),
        *[empty[name].alias(name) for name in EXAMPLES.schema.names[4:]],
    )


def test_every_bucket_has_as_many_equal_files_as_there_are_ranks_or_a_multiple(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROWS_PER_FILE", 300)
    rows = examples(spark, train_8=1000, train_16=200, validation_8=100, holdout_8=1).persist()
    counts = {("train", 8): 1000, ("train", 16): 200, ("validation", 8): 100, ("holdout", 8): 1}
    laid = in_equal_files(rows, counts, workers=2)
    laid.write.parquet(str(tmp_path / "files"))
    found = [pq.read_table(file) for file in sorted((tmp_path / "files").glob("*.parquet"))]
    tables = [table.to_pylist() for table in found if table.num_rows]
    held = Counter((table[0]["split"], table[0]["length_bucket"]) for table in tables)
    # 1000 rows are 2 files of 500 for the ranks, which is too large: 4 of 250. The one row needs one file.
    assert held == {("train", 8): 4, ("train", 16): 2, ("validation", 8): 2, ("holdout", 8): 1}
    for table in tables:
        assert len({(row["split"], row["length_bucket"]) for row in table}) == 1
        ids = [row["row_id"] for row in table]
        assert ids == sorted(ids)
        group = (table[0]["split"], table[0]["length_bucket"])
        equal = counts[group] / held[group]
        assert abs(len(table) - equal) <= 4 * equal**0.5  # the chance of a hash
    assert_frames_equal(laid, rows)


def test_the_layout_is_the_same_however_many_tasks_made_the_rows(spark, tmp_path):
    rows, counts = examples(spark, train_8=60, train_16=60), {("train", 8): 60, ("train", 16): 60}
    made = []
    for num_tasks in (1, 5):
        folder = tmp_path / str(num_tasks)
        in_equal_files(rows.repartition(num_tasks), counts, workers=2).write.parquet(str(folder))
        made.append([pq.read_table(file).to_pylist() for file in sorted(folder.glob("*.parquet"))])
    assert made[0] == made[1]


def test_no_rows_are_no_files_to_lay_out(spark):
    assert in_equal_files(examples(spark, train_8=1).limit(0), {}, workers=2).collect() == []
