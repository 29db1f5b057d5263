"""A stage's figures replace its own of the same night and no others."""

from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession
from tests.frames import assert_frames_equal
from tests.ledger.nights import DAY, command, write_config

from intentrec.ledger import Measured, Run, record_figures
from intentrec.tables import METRICS


def test_figures_replace_those_of_the_same_stage_and_night_and_what_is_no_number_is_left_out(
    spark: SparkSession, tmp_path: Path
) -> None:
    run = Run(command(write_config(tmp_path)), spark, "r2")
    run.warehouse.create([METRICS])
    others = [
        (date(2024, 1, 30), "train_model", "m1", "all", "train_loss", None, 1, 4.0, None, None, None, "r1"),
        (DAY, "evaluate_model", "m1", "all", "ndcg", 10, None, 0.5, 0.4, 0.6, 9, "r1"),
    ]
    old = (DAY, "train_model", "m0", "all", "train_loss", None, 1, 9.0, None, None, None, "r1")
    run.warehouse.append(METRICS, spark.createDataFrame([*others, old], METRICS.schema))
    record_figures(
        run,
        "train_model",
        [
            Measured("m1", "all", "train_loss", None, 1, 3.0),
            Measured("m1", "action", "validation_accuracy", None, 1, float("nan")),
            Measured("m1", "validation", "ndcg", 10, None, 0.25, 0.2, 0.3, 7),
        ],
    )
    mine = [
        (DAY, "train_model", "m1", "all", "train_loss", None, 1, 3.0, None, None, None, "r2"),
        (DAY, "train_model", "m1", "validation", "ndcg", 10, None, 0.25, 0.2, 0.3, 7, "r2"),
    ]
    assert_frames_equal(run.warehouse.read(METRICS), spark.createDataFrame([*others, *mine], METRICS.schema))
    record_figures(run, "train_model", [])
    assert_frames_equal(run.warehouse.read(METRICS), spark.createDataFrame(others, METRICS.schema))
