"""The session splitter against the standard recipe (lag, running sum, groupBy) and the floor (shuffle, sort, write).

Parquet in, parquet out, all variants in one Spark session of two cores, each with its flags of bots on as by default.
--data is a folder of Parquet files with the columns of EVENTS; without it users and items are drawn from a power law.

Figures beside the seconds: x_sort_floor, vs_window_lag (times faster), shuffle_vs_floor (bytes), skew_ratio (with the
default limits: a quarter of all events by one user over none).
"""

import shutil
import sys
import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path

from form import Flags, Measured, compared, interleaved, ratio, run_benchmark
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from intentrec.config import BotsConfig, SessionsConfig
from intentrec.sessions import BotRules, Limits, sessionize
from intentrec.spark import start_spark
from intentrec.tables import EVENTS, SESSIONS

GAP = timedelta(minutes=30)
PARTITIONS = 4
_START = 1_704_067_200  # 2024-01-01 UTC


def main(flags: Flags) -> Measured:
    """Measure the variants in interleaved rounds, after checking that they find the same sessions."""
    folder = Path(tempfile.mkdtemp(prefix="sessionize-"))
    spark = session(folder)
    try:
        number = 1_000_000 if flags.quick else 10_000_000
        path = flags.data or drawn(spark, folder / "events", number)
        skewed = spark.read.parquet(str(drawn(spark, folder / "skewed", number, share=0.25)))
        events = spark.read.parquet(str(path))
        variants = {
            "sort_floor": (in_order, events), "window_lag": (window_lag, events), "splitter": (split, events),
            "by_default": (_split_by_default, events), "by_default_skewed": (_split_by_default, skewed),
        }  # fmt: skip
        shuffled: dict[str, int] = {}

        def run(name: str) -> None:
            variant, rows = variants[name]
            before = _shuffle_bytes(spark)
            write(variant(rows), folder / name)
            shuffled[name] = _shuffle_bytes(spark) - before

        costs = interleaved({name: partial(run, name) for name in variants})
        num_events = events.count()
        num_sessions = {name: spark.read.parquet(str(folder / name)).count() for name in ("window_lag", "splitter")}
    finally:
        spark.stop()
        shutil.rmtree(folder)
    if len(set(num_sessions.values())) != 1:
        sys.exit(f"the variants disagree: {num_sessions} sessions")
    figures = compared(costs, "sort_floor")
    figures["x_sort_floor"] = figures["splitter_x_sort_floor"]
    figures["vs_window_lag"] = ratio(costs["window_lag"], costs["splitter"])
    figures["skew_ratio"] = ratio(costs["by_default_skewed"], costs["by_default"])
    figures["shuffle_vs_floor"] = round(shuffled["splitter"] / shuffled["sort_floor"], 4)
    figures["splitter_events_per_s"] = round(num_events / figures["splitter_s"], 1)
    config = {"events": num_events, "sessions": num_sessions["splitter"], "gap_minutes": 30, "partitions": PARTITIONS}
    return Measured(config, figures)


def _shuffle_bytes(spark: SparkSession) -> int:
    """Return the bytes that all stages so far have written for their shuffles."""
    java = spark.sparkContext._gateway
    no_summary = (False, False, java.new_array(java.jvm.double, 0), java.jvm.java.util.ArrayList())
    stages = spark.sparkContext._jsc.sc().statusStore().stageList(None, *no_summary)
    return sum(stages.apply(number).shuffleWriteBytes() for number in range(stages.size()))


def session(folder: Path) -> SparkSession:
    conf = {"spark.sql.shuffle.partitions": str(PARTITIONS), "spark.local.dir": str(folder)}
    return start_spark("sessionize", "local[2]", conf)[0]


def drawn(spark: SparkSession, path: Path, num_events: int, share: float = 0.0) -> Path:
    """Write events of 90 days: 20 per user on average in 4 visits of 40 minutes, users and items by a power law.

    ``share`` of them are one user's, spread over all hours.
    """
    user = F.floor(F.pow(F.rand(1), 2.0) * (num_events / 20))
    user = F.when(F.rand(5) < share, F.lit(-1)).otherwise(user)
    visits = F.when(user < 0, F.lit(90 * 24)).otherwise(F.lit(4))
    hour = F.pmod(F.xxhash64(user, F.floor(F.rand(2) * visits)), F.lit(90 * 24))
    drawn = spark.range(num_events, numPartitions=PARTITIONS).select(
        F.concat(F.lit("u"), user.cast("string")).alias("user_id"),
        F.concat(F.lit("i"), F.floor(F.pow(F.rand(3), 3.0) * 50_000).cast("string")).alias("item_id"),
        F.lit("view").alias("action"),
        F.timestamp_seconds(F.lit(_START) + hour * 3600 + F.floor(F.rand(4) * 2400)).alias("occurred_at"),
        F.lit(0).cast("bigint").alias("sequence"),
        F.md5(F.col("id").cast("string").cast("binary")).alias("event_id"),  # as ingest_events: 32 hex digits
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


def in_order(events: DataFrame) -> DataFrame:
    by_user = events.select("user_id", *_fields()).repartition("user_id")
    return by_user.sortWithinPartitions("user_id", "occurred_at", "sequence", "event_id")


def window_lag(events: DataFrame) -> DataFrame:
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


def split(events: DataFrame) -> DataFrame:
    micro = timedelta(microseconds=1)
    without_cuts = Limits(GAP // micro, timedelta(days=3650) // micro, 10**7, bots=BotRules.of(BotsConfig()))
    return sessionize(events, without_cuts, run_id="benchmark")


def _split_by_default(events: DataFrame) -> DataFrame:
    return sessionize(events, Limits.of(SessionsConfig()), run_id="benchmark")


def write(rows: DataFrame, path: Path) -> None:
    rows.write.mode("overwrite").parquet(str(path))


if __name__ == "__main__":
    sys.exit(run_benchmark("sessionize", main))
