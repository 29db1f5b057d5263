# Databricks notebook source
# MAGIC %md
# MAGIC # For consumers: read the lists, follow their changes, load a key-value store
# MAGIC `recommendations` is the last commit of a night, so its newest run date is always complete and safe to
# MAGIC serve. A mail system reads it whole; a store that answers by user takes only what has changed.
# MAGIC
# MAGIC On a cluster with the wheel installed, give the warehouse (a folder or `catalog.schema`) and the store's
# MAGIC file in the widgets.
# MAGIC As a script: `WAREHOUSE=build/demo/warehouse STORE=build/lists.sqlite python notebooks/06_for_consumers.py`

# COMMAND ----------

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from pyspark.sql import functions as F

from intentrec import tables
from intentrec.config import is_catalog
from intentrec.io import Warehouse
from intentrec.spark import start_spark

# COMMAND ----------

location = os.environ.get("WAREHOUSE", "build/demo/warehouse")
store = os.environ.get("STORE", "build/notebooks/lists.sqlite")
if "dbutils" in globals():
    dbutils.widgets.text("warehouse", location)  # noqa: F821 there on Databricks
    location = dbutils.widgets.get("warehouse")  # noqa: F821
    dbutils.widgets.text("store", store)  # noqa: F821
    store = dbutils.widgets.get("store")  # noqa: F821
spark, _ = start_spark("06_for_consumers", "local[2]", {"spark.sql.shuffle.partitions": "2"})
place = location if is_catalog(location) or "://" in location else str(Path(location).resolve())
warehouse = Warehouse(spark, place, in_catalog=is_catalog(location))

lists = warehouse.read(tables.RECOMMENDATIONS)
nights = [row["run_date"] for row in lists.select("run_date").distinct().orderBy(F.desc("run_date")).limit(2).collect()]
tonight = lists.where(F.col("run_date") == F.lit(nights[0]))
print(f"warehouse {location}, night of {nights[0]}, {tonight.count():,} lists; the night before: {nights[1:]}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Read
# MAGIC One row per user, the list inside it; `inline` gives one row per user and rank. Without Spark, any reader of
# MAGIC Delta takes the same rows: the table asks for reader version 1 alone.

# COMMAND ----------

tonight.select("user_id", F.inline("items")).select("user_id", "rank", "item_id", "score").show(5, truncate=False)
tonight.select("user_id", F.col("items.item_id").alias("item_ids")).show(3, truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC Users without a list, those without history say, get the one of their segment.

# COMMAND ----------

segments = warehouse.read(tables.SEGMENT_RECOMMENDATIONS).where(F.col("run_date") == F.lit(nights[0]))
segments.select("segment", F.slice("items.item_id", 1, 5).alias("first_five")).show(truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What has changed since the night before
# MAGIC Users who are new, who are gone, and whose first items are others.

# COMMAND ----------

before = lists.where(F.col("run_date") == F.lit(nights[-1]))
old = before.select("user_id", F.col("items.item_id").alias("had"))
new = tonight.select("user_id", F.col("items.item_id").alias("has"))
both = new.join(old, "user_id", "full")
change = (
    F.when(F.col("had").isNull(), "new")
    .when(F.col("has").isNull(), "gone")
    .when(F.col("had") == F.col("has"), "the same list")
    .otherwise("another list")
)
kept = F.avg(F.size(F.array_intersect("had", "has")) / F.size("has"))
both.groupBy(change.alias("change")).agg(F.count("*").alias("users"), F.round(kept, 3).alias("items_kept")).show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## The change data feed
# MAGIC The table remembers which rows each commit brought, as long as its old versions are kept (`TABLES.md`). A
# MAGIC consumer keeps the version that it has read, and asks for what came after it; `runs` knows the version after
# MAGIC every night.

# COMMAND ----------

made = warehouse.read(tables.RUNS).where(F.col("stage") == "write_recommendations")
made = made.where(F.col("status") == "finished").select("run_date", "finished_at", F.inline("outputs"))
made = made.where(F.col("table") == "recommendations").orderBy("finished_at").collect()
seen = next((row["version"] for row in reversed(made) if row["run_date"] < nights[0]), 0)
arrived = warehouse.inserted_since(tables.RECOMMENDATIONS, seen)
print(f"read up to version {seen}, the newest is {warehouse.version(tables.RECOMMENDATIONS)}")
arrived.groupBy("run_date").count().show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Into a key-value store
# MAGIC Here SQLite, which is in Python itself; any store with an upsert takes the same rows. All rows and the
# MAGIC version that was read go in one transaction: whoever asks meanwhile meets the lists of one night.

# COMMAND ----------

rows = [
    (row["user_id"], str(row["run_date"]), json.dumps([item["item_id"] for item in row["items"]]))
    for row in tonight.select("user_id", "run_date", "items").toLocalIterator()
]
Path(store).parent.mkdir(parents=True, exist_ok=True)
with closing(sqlite3.connect(store)) as connection, connection:
    connection.execute("CREATE TABLE IF NOT EXISTS lists (user_id TEXT PRIMARY KEY, run_date TEXT, item_ids TEXT)")
    connection.execute("CREATE TABLE IF NOT EXISTS read (version INTEGER)")
    connection.executemany("INSERT OR REPLACE INTO lists VALUES (?, ?, ?)", rows)
    connection.execute("DELETE FROM lists WHERE run_date < ?", (str(nights[0]),))  # whoever has no list any more
    connection.execute("DELETE FROM read")
    connection.execute("INSERT INTO read VALUES (?)", (warehouse.version(tables.RECOMMENDATIONS),))

# COMMAND ----------

with closing(sqlite3.connect(store)) as connection:
    stored = connection.execute("SELECT COUNT(*) FROM lists").fetchone()[0]
    user_id, run_date, item_ids = connection.execute("SELECT * FROM lists ORDER BY user_id LIMIT 1").fetchone()
print(f"{store}: {stored:,} users; {user_id} on {run_date}: {json.loads(item_ids)}")
