# Databricks notebook source
# MAGIC %md
# MAGIC # From the log to the lists
# MAGIC What the last night left in the warehouse, in the order of the flow: events and sessions, the model beside the
# MAGIC baselines, what people are after, and the lists they get. Every table is described in `TABLES.md`.
# MAGIC
# MAGIC On a cluster with the wheel installed, give the warehouse (a folder or `catalog.schema`) in the widget.
# MAGIC As a script: `WAREHOUSE=build/demo/warehouse python notebooks/01_from_log_to_lists.py`

# COMMAND ----------

import os
from pathlib import Path

from pyspark.sql import functions as F

from intentrec import tables
from intentrec.config import is_catalog
from intentrec.io import Warehouse
from intentrec.spark import start_spark

# COMMAND ----------

location = os.environ.get("WAREHOUSE", "build/demo/warehouse")
if "dbutils" in globals():
    dbutils.widgets.text("warehouse", location)  # noqa: F821 there on Databricks
    location = dbutils.widgets.get("warehouse")  # noqa: F821
spark, _ = start_spark("01_from_log_to_lists", "local[2]", {"spark.sql.shuffle.partitions": "2"})
place = location if is_catalog(location) or "://" in location else str(Path(location).resolve())
warehouse = Warehouse(spark, place, in_catalog=is_catalog(location))
lists = warehouse.read(tables.RECOMMENDATIONS)
night = lists.agg(F.max("run_date")).first()[0]
tonight = F.col("run_date") == F.lit(night)
print(f"warehouse {location}, night of {night}, {lists.where(tonight).count():,} lists")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Events and sessions
# MAGIC The last ten days; a session ends after a pause longer than `sessions.gap_minutes`.

# COMMAND ----------

events = warehouse.read(tables.EVENTS).groupBy(F.col("event_date").alias("day"))
sessions = warehouse.read(tables.SESSIONS).groupBy(F.col("session_date").alias("day"))
sittings = sessions.agg(F.count("*").alias("sessions"), F.round(F.avg("num_events"), 2).alias("events_per_session"))
people = events.agg(F.count("*").alias("events"), F.count_distinct("user_id").alias("users"))
days = people.join(sittings, "day", "left")
days.where(F.col("day") <= F.lit(night)).orderBy(F.desc("day")).show(10, truncate=False)

# COMMAND ----------

warehouse.read(tables.EVENTS_QUARANTINE).groupBy("reason").count().orderBy(F.desc("count")).show(truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The model beside the baselines
# MAGIC The same held-out users for all; `low` and `high` bound the 90 % bootstrap interval.

# COMMAND ----------

of_all = (F.col("stage") == "evaluate_model") & (F.col("segment") == "all")
judged = warehouse.read(tables.METRICS).where(tonight & of_all)
columns = [F.round(column, 4).alias(column) for column in ("value", "low", "high")]
for metric in ("ndcg", "recall", "coverage"):
    chosen = judged.where(F.col("metric") == metric).select("metric", "k", "model_id", *columns, "num_users")
    chosen.orderBy("k", F.desc("value")).show(truncate=False)

# COMMAND ----------

decisions = warehouse.read(tables.GATE_DECISIONS).where(tonight).orderBy("decided_at")
decisions.select("verdict", "model_id", "against", "reason").show(truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What people are after
# MAGIC For each intent head, the label that is most likely for each user, and how many users share it.

# COMMAND ----------

intents = warehouse.read(tables.USER_INTENTS).where(tonight)
heads = intents.select("user_id", F.inline("heads"))
first = heads.select("head", F.get("labels", F.lit(0))["label"].alias("label"))
shares = first.groupBy("head", "label").agg(F.count("*").alias("users"))
shares.orderBy("head", F.desc("users")).show(20, truncate=False)

# COMMAND ----------

intents.groupBy("primary_head").count().orderBy(F.desc("count")).show(truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Three users' lists
# MAGIC `because_of` is the item of the user's own past that is nearest to the recommended one.

# COMMAND ----------

items = warehouse.read(tables.ITEMS).where(tonight)
titles = items.select("item_id", F.coalesce("title", "item_id").alias("title"))
reasons = titles.select(F.col("item_id").alias("because_item_id"), F.col("title").alias("because_of"))
some = lists.where(tonight).orderBy(F.xxhash64("user_id")).limit(3).select("user_id", F.inline("items"))
shown = some.join(titles, "item_id", "left").join(reasons, "because_item_id", "left").orderBy("user_id", "rank")
shown = shown.select("user_id", "rank", "title", F.round("score", 3).alias("score"), "source", "because_of")
shown.show(60, truncate=False)
