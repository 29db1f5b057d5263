"""The session splitter against the standard recipe (lag, running sum, groupBy) and the floor (shuffle, sort, write).

Parquet in, parquet out, all variants in one Spark session of two cores. --data is a folder of Parquet files with the
columns of EVENTS; without it users and items are drawn from a power law.
"""

import os
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from delta import configure_spark_with_delta_pip
from form import Flags, Measured, compared, interleaved, run_benchmark
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from intentrec.sessions import Limits, sessionize
from intentrec.tables import EVENTS, SESSIONS

GAP = timedelta(minutes=30)
PARTITIONS = 4
_START = 1_704_067_200  # 2024-01-01 UTC


def main(flags: Flags) -> Measured:
    """Measure three variants in interleaved rounds, after checking that they find the same sessions."""
    folder = Path(tempfile.mkdtemp(prefix="sessionize-"))
    spark = _spark(folder)
    try:
        path = flags.data or _drawn(spark, folder / "events", 1_000_000 if flags.quick else 10_000_000)
        events = spark.read.parquet(str(path))
        variants = {"sort_floor": _sorted, "window_lag": _window_lag, "splitter": _split}
        costs = interleaved(
            {
                name: lambda name=name, variant=variant: _write(variant(events), folder / name)
                for name, variant in variants.items()
            }
        )
        num_events = events.count()
        num_sessions = {name: spark.read.parquet(str(folder / name)).count() for name in ("window_lag", "splitter")}
    finally:
        spark.stop()
        shutil.rmtree(folder)
    if len(set(num_sessions.values())) != 1:
        sys.exit(f"the variants disagree: {num_sessions} sessions")
    figures = compared(costs, "sort_floor")
    figures["window_lag_x_splitter"] = round(figures["window_lag_s"] / figures["splitter_s"], 4)
    figures["splitter_events_per_s"] = round(num_events / figures["splitter_s"], 1)
    config = {"events": num_events, "sessions": num_sessions["splitter"], "gap_minutes": 30, "partitions": PARTITIONS}
    return Measured(config, figures)


def _spark(folder: Path) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # the workers import the package too
    builder = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "4g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", str(PARTITIONS))
        .config("spark.local.dir", str(folder))
    )
    return configure_spark_with_delta_pip(builder).getOrCreate()


def _drawn(spark: SparkSession, path: Path, num_events: int) -> Path:
    """Write events of 90 days: 20 per user on average in 4 visits of 40 minutes, users and items by a power law."""
    user = F.floor(F.pow(F.rand(1), 2.0) * (num_events / 20))
    hour = F.pmod(F.xxhash64(user, F.floor(F.rand(2) * 4)), F.lit(90 * 24))
    drawn = spark.range(num_events, numPartitions=PARTITIONS).select(
        F.concat(F.lit("u"), user.cast("string")).alias("user_id"),
        F.concat(F.lit("i"), F.floor(F.pow(F.rand(3), 3.0) * 50_000).cast("string")).alias("item_id"),
        F.lit("view").alias("action"),
        F.timestamp_seconds(F.lit(_START) + hour * 3600 + F.floor(F.rand(4) * 2400)).alias("occurred_at"),
        F.lit(0).cast("bigint").alias("sequence"),
        F.sha2(F.col("id").cast("string"), 256).alias("event_id"),
        F.lit(None).cast("double").alias("value"),
        F.expr("cast(array() AS ARRAY<STRUCT<key: STRING, value: STRING>>)").alias("context"),
        F.lit("drawn").alias("source_file"),
        F.col("id").alias("source_line"),
        F.lit("benchmark").alias("run_id"),
        F.timestamp_seconds(F.lit(0)).alias("ingested_at"),
    )
    EVENTS.conform(drawn.withColumn("event_date", F.to_date("occurred_at"))).write.parquet(str(path))
    return path


def _fields() -> list[str]:
    """Return the fields of an event in a session: with user_id, what every variant shuffles."""
    return list(SESSIONS.schema["events"].dataType.elementType.names)


def _sorted(events: DataFrame) -> DataFrame:
    by_user = events.select("user_id", *_fields()).repartition("user_id")
    return by_user.sortWithinPartitions("user_id", "occurred_at", "sequence", "event_id")


def _window_lag(events: DataFrame) -> DataFrame:
    by_time = Window.partitionBy("user_id").orderBy("occurred_at", "sequence", "event_id")
    pause_us = F.unix_micros("occurred_at") - F.lag(F.unix_micros("occurred_at")).over(by_time)
    starts = F.coalesce(pause_us > GAP // timedelta(microseconds=1), F.lit(True)).cast("int")
    so_far = by_time.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    event = F.struct(*_fields())
    return (
        events.select("user_id", *_fields())
        .withColumn("starts", starts)
        .withColumn("session_number", F.sum("starts").over(so_far))
        .groupBy("user_id", "session_number")
        .agg(F.array_sort(F.collect_list(event)).alias("events"), F.min("occurred_at").alias("started_at"))
    )


def _split(events: DataFrame) -> DataFrame:
    without_cuts = Limits(GAP // timedelta(microseconds=1), timedelta(days=3650) // timedelta(microseconds=1), 10**6)
    return sessionize(events, without_cuts, run_id="benchmark")


def _write(rows: DataFrame, path: Path) -> None:
    rows.write.mode("overwrite").parquet(str(path))


if __name__ == "__main__":
    sys.exit(run_benchmark("sessionize", main))
