# Databricks notebook source
# MAGIC %md
# MAGIC # Sessions and the quality of the data
# MAGIC How long people stay, where the session gap lies, what was refused and why, what looks like a machine. Every
# MAGIC table is described in `TABLES.md`.
# MAGIC
# MAGIC On a cluster with the wheel installed, give the warehouse (a folder or `catalog.schema`) in the widget.
# MAGIC As a script: `WAREHOUSE=build/demo/warehouse python notebooks/02_sessions_and_quality.py`

# COMMAND ----------

import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from pyspark.sql import functions as F

from intentrec import tables
from intentrec.config import is_catalog
from intentrec.io import Warehouse
from intentrec.spark import start_spark
from intentrec.starter import find_gap, write_gap_plot

# COMMAND ----------

location = os.environ.get("WAREHOUSE", "build/demo/warehouse")
if "dbutils" in globals():
    dbutils.widgets.text("warehouse", location)  # noqa: F821 there on Databricks
    location = dbutils.widgets.get("warehouse")  # noqa: F821
spark, _ = start_spark("02_sessions_and_quality", "local[2]", {"spark.sql.shuffle.partitions": "2"})
place = location if is_catalog(location) or "://" in location else str(Path(location).resolve())
warehouse = Warehouse(spark, place, in_catalog=is_catalog(location))
plots = Path(os.environ.get("PLOTS", "build/notebooks"))  # every figure is kept there as well
plots.mkdir(parents=True, exist_ok=True)

events, sessions = warehouse.read(tables.EVENTS), warehouse.read(tables.SESSIONS)
print(f"warehouse {location}: {events.count():,} events, {sessions.count():,} sessions")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Every day
# MAGIC Rows that were accepted and the sessions they became. A day without a bar is a day without a file.

# COMMAND ----------

of_day = events.groupBy(F.col("event_date").alias("day")).agg(F.count("*").alias("events"))
sittings = sessions.groupBy(F.col("session_date").alias("day")).agg(F.count("*").alias("sessions"))
days = of_day.join(sittings, "day", "left").orderBy("day").toPandas()
figure = Figure(figsize=(9, 2.6), layout="constrained")
left, right = figure.subplots(1, 2)
left.bar(days["day"].astype(str), days["events"], width=1, color="#1b6ca8")
left.set_title("events a day", loc="left")
right.bar(days["day"].astype(str), days["sessions"], width=1, color="#d1495b")
right.set_title("sessions a day", loc="left")
for axes in (left, right):
    axes.set_xticks(axes.get_xticks()[:: max(1, len(days) // 3)])
figure.savefig(plots / "02_days.png", dpi=110)
if "display" in globals():
    display(figure)  # noqa: F821 there on Databricks and in Jupyter

# COMMAND ----------

# MAGIC %md
# MAGIC ## Where a session ends
# MAGIC The pauses between each user's events. `sessions.gap_minutes` should lie in the valley between the two
# MAGIC peaks, if there is one; the line shows where it would be read off this log.

# COMMAND ----------

flat = events.select(F.xxhash64("user_id").alias("user"), F.unix_micros("occurred_at").alias("us")).toPandas()
flat = flat.sort_values(["user", "us"])
same = (flat["user"].diff() == 0).to_numpy()
pauses_s = flat["us"].diff().to_numpy()[same] / 1e6
gap = find_gap(pauses_s, float(np.ptp(flat["us"])) / 1e6)
write_gap_plot(gap, plots / "02_pauses.png")
built = warehouse.layout(tables.SESSIONS)
print(f"the log's own gap: {gap.minutes} minutes ({'a valley' if gap.valley else 'no valley: the usual one'})")
print(f"the sessions were built with: {built}")

# COMMAND ----------

sizes = sessions.groupBy("num_events").count().orderBy("num_events").toPandas()
minutes = sessions.select(((F.unix_micros("ended_at") - F.unix_micros("started_at")) / 6e7).alias("m")).toPandas()["m"]
figure = Figure(figsize=(9, 2.6), layout="constrained")
left, right = figure.subplots(1, 2)
left.bar(sizes["num_events"], sizes["count"], color="#1b6ca8")
left.set_yscale("log")
left.set_title("sessions by number of events", loc="left")
right.hist(minutes, bins=40, color="#d1495b")
right.set_yscale("log")
right.set_title("sessions by length, minutes", loc="left")
figure.savefig(plots / "02_sessions.png", dpi=110)
if "display" in globals():
    display(figure)  # noqa: F821 there on Databricks and in Jupyter

# COMMAND ----------

# MAGIC %md
# MAGIC ## What was refused
# MAGIC Rows read = accepted + duplicate + quarantined, for every file; the quarantine keeps file, line and reason.

# COMMAND ----------

books = warehouse.read(tables.INGESTED_FILES)
counts = [F.sum(name).alias(name) for name in ("rows_read", "rows_accepted", "rows_duplicate", "rows_quarantined")]
books.agg(F.count("*").alias("files"), *counts).show(truncate=False)
refused = warehouse.read(tables.EVENTS_QUARANTINE)
refused.groupBy("reason").agg(F.count("*").alias("rows"), F.first("detail").alias("for_example")).show(truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What looks like a machine
# MAGIC Flagged sessions stay in the tables; no model is trained on them, and they make nothing popular.

# COMMAND ----------

flags = sessions.select(F.explode("flags").alias("flag")).groupBy("flag").count().orderBy(F.desc("count"))
flags.show(truncate=False)
events.groupBy("action").agg(F.count("*").alias("events"), F.count_distinct("user_id").alias("users")).show()
