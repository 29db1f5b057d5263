# Databricks notebook source
# MAGIC %md
# MAGIC # What the model thinks
# MAGIC What people are after, which intents carried the lists, how users lie in the space of intents, and why an
# MAGIC item stands in a list. All of it is read from the tables of the last night; no model is loaded.
# MAGIC
# MAGIC On a cluster with the wheel installed, give the warehouse (a folder or `catalog.schema`) in the widget.
# MAGIC As a script: `WAREHOUSE=build/demo/warehouse python notebooks/04_what_the_model_thinks.py`

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

# COMMAND ----------

location = os.environ.get("WAREHOUSE", "build/demo/warehouse")
if "dbutils" in globals():
    dbutils.widgets.text("warehouse", location)  # noqa: F821 there on Databricks
    location = dbutils.widgets.get("warehouse")  # noqa: F821
spark, _ = start_spark("04_what_the_model_thinks", "local[2]", {"spark.sql.shuffle.partitions": "2"})
place = location if is_catalog(location) or "://" in location else str(Path(location).resolve())
warehouse = Warehouse(spark, place, in_catalog=is_catalog(location))
plots = Path(os.environ.get("PLOTS", "build/notebooks"))  # every figure is kept there as well
plots.mkdir(parents=True, exist_ok=True)

lists = warehouse.read(tables.RECOMMENDATIONS)
night = lists.agg(F.max("run_date")).first()[0]
tonight = F.col("run_date") == F.lit(night)
lists, intents = lists.where(tonight), warehouse.read(tables.USER_INTENTS).where(tonight)
print(f"warehouse {location}, night of {night}, intents of {intents.count():,} users")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Intents
# MAGIC For each head, the label that is likeliest for each user, how many users share it, and how sure the model is
# MAGIC of it.

# COMMAND ----------

first = intents.select("user_id", F.inline("heads")).select("user_id", "head", F.get("labels", F.lit(0)).alias("top"))
shares = first.groupBy("head", F.col("top.label").alias("label")).agg(
    F.count("*").alias("users"), F.round(F.avg("top.probability"), 3).alias("mean_probability")
)
shares.orderBy("head", F.desc("users")).show(40, truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Attention
# MAGIC `head_weights` (alpha) say how much of each intent went into Z, the embedding that the next item is
# MAGIC predicted from. One box per head, over all users.

# COMMAND ----------

weights = intents.select("user_id", F.inline("head_weights")).toPandas()
heads = sorted(weights["head"].unique())
figure = Figure(figsize=(9, 3), layout="constrained")
left, right = figure.subplots(1, 2)
left.boxplot([weights.loc[weights["head"] == head, "weight"] for head in heads], showfliers=False)
left.set_xticks(range(1, len(heads) + 1), labels=heads)
left.set_title("attention weight of each head", loc="left")
primary = intents.groupBy(F.coalesce("primary_head", F.lit("none")).alias("head")).count().orderBy("head").toPandas()
right.bar(primary["head"], primary["count"], color="#1b6ca8")
right.set_title("users by their primary head", loc="left")
figure.savefig(plots / "04_attention.png", dpi=110)
if "display" in globals():
    display(figure)  # noqa: F821 there on Databricks and in Jupyter

# COMMAND ----------

# MAGIC %md
# MAGIC ## Users in the space of intents
# MAGIC Z of at most 5,000 users on its first two principal axes, coloured by the likeliest label of the first head
# MAGIC that has several. Users of like intent lie together; where one colour covers all, the heads have little to
# MAGIC tell apart.

# COMMAND ----------

several = shares.groupBy("head").count().where(F.col("count") > 1).orderBy("head").select("head").first()
chosen = several["head"] if several else heads[0]
of_head = first.where(F.col("head") == chosen).select("user_id", F.col("top.label").alias("label"))
some = intents.select("user_id", "embedding").join(of_head, "user_id").orderBy(F.xxhash64("user_id")).limit(5000)
some = some.toPandas()
z_UD = np.stack(some["embedding"].to_numpy()).astype(float)
z_UD -= z_UD.mean(axis=0)
_, spread_D, axes_DD = np.linalg.svd(z_UD, full_matrices=False)
plane_U2 = z_UD @ axes_DD[:2].T
explained = (spread_D[:2] ** 2).sum() / max((spread_D**2).sum(), 1e-12)
figure = Figure(figsize=(7, 4), layout="constrained")
axes = figure.subplots()
for label in some["label"].value_counts().index[:8]:
    own = (some["label"] == label).to_numpy()
    axes.scatter(plane_U2[own, 0], plane_U2[own, 1], s=14, label=f"{label} ({own.sum()})")
axes.set_title(f"Z of {len(some):,} users, {explained:.0%} of its variance; colour: {chosen}", loc="left")
axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
figure.savefig(plots / "04_space.png", dpi=110)
if "display" in globals():
    display(figure)  # noqa: F821 there on Databricks and in Jupyter

# COMMAND ----------

# MAGIC %md
# MAGIC ## Why this item
# MAGIC Three users: what was recommended, from which source and for which intent, and the item of the user's own
# MAGIC past that is nearest.

# COMMAND ----------

items = warehouse.read(tables.ITEMS).where(tonight)
titles = items.select("item_id", F.coalesce("title", "item_id").alias("title"))
reasons = titles.select(F.col("item_id").alias("because_item_id"), F.col("title").alias("because_of"))
rows = lists.orderBy(F.xxhash64("user_id")).limit(3).select("user_id", F.inline("items"))
why = rows.join(titles, "item_id", "left").join(reasons, "because_item_id", "left").orderBy("user_id", "rank")
why = why.select("user_id", "rank", "title", "source", "intent", "because_of", F.round("score", 3).alias("score"))
why.show(60, truncate=False)

# COMMAND ----------

after = first.groupBy("user_id").agg(F.array_sort(F.collect_list(F.struct("head", "top.label"))).alias("intents"))
after.join(rows.select("user_id").distinct(), "user_id").orderBy("user_id").show(truncate=False)
