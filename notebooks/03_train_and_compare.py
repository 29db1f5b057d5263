# Databricks notebook source
# MAGIC %md
# MAGIC # Train and compare presets
# MAGIC Each preset learns from the same examples and is judged on the same validation days, beside popularity.
# MAGIC Nothing is written to the warehouse, and the held-out days, by which the gate decides, stay unseen: choose
# MAGIC here, then set `model.preset`.
# MAGIC
# MAGIC On a cluster with the wheel installed, give the config, the warehouse and the presets in the widgets.
# MAGIC As a script: `CONFIG=shop.yaml WAREHOUSE=/data/shop/tables python notebooks/03_train_and_compare.py`

# COMMAND ----------

import os
import tempfile
from pathlib import Path

from matplotlib.figure import Figure
from pyspark.sql import functions as F

from intentrec import tables
from intentrec.cluster.calibration import fit_prior
from intentrec.cluster.catalogue import collect_numbers
from intentrec.cluster.evaluation import judge
from intentrec.cluster.judging import judged_days
from intentrec.cluster.recommenders import CountingRecommender, ModelRecommender
from intentrec.cluster.training import find_examples, network_shape, train, training_job, training_settings
from intentrec.config import is_catalog, load_config
from intentrec.io import Warehouse
from intentrec.ledger import Command, Run, night_of, pinned_examples
from intentrec.model.checkpoint import load_artifact
from intentrec.model.inference import Scorer
from intentrec.rules import eligible_items
from intentrec.spark import start_spark

# COMMAND ----------

location = os.environ.get("WAREHOUSE", "build/demo/warehouse")
file = os.environ.get("CONFIG", "deploy/demo/nightly.yaml")
presets = os.environ.get("PRESETS", "intent,sasrec,gru4rec")
if "dbutils" in globals():
    dbutils.widgets.text("warehouse", location)  # noqa: F821 there on Databricks
    location = dbutils.widgets.get("warehouse")  # noqa: F821
    dbutils.widgets.text("config", file)  # noqa: F821
    dbutils.widgets.text("presets", presets)  # noqa: F821
    file, presets = dbutils.widgets.get("config"), dbutils.widgets.get("presets")  # noqa: F821
spark, _ = start_spark("03_train_and_compare", "local[2]", {"spark.sql.shuffle.partitions": "2"})
place = location if is_catalog(location) or "://" in location else str(Path(location).resolve())
warehouse = Warehouse(spark, place, in_catalog=is_catalog(location))
plots = Path(os.environ.get("PLOTS", "build/notebooks"))  # every figure is kept there as well
plots.mkdir(parents=True, exist_ok=True)

newest = warehouse.read(tables.HISTORIES).agg(F.max("run_date")).first()[0]
config = load_config(Path(file), [f"warehouse={place}", "training.workers=1", "training.launcher=single"])
run = Run(Command(config=config, run_date=newest), spark, "notebook")  # reads alone: no lock is taken
print(f"warehouse {location}, night of {newest}, presets {presets}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The same days for all
# MAGIC The validation days lie before the held-out ones. Each is judged with what was known the night before it.

# COMMAND ----------

night = night_of(run)
numbers = collect_numbers(night, eligible_items(night.items, night.end()))
examples = find_examples(*pinned_examples(run))
settings = config.evaluation
events = night.events().persist()
span = (settings.holdout_days + settings.validation_days, settings.validation_days)
days = judged_days(night, events, numbers, span, settings)
events.unpersist()
num_lists = sum(len(day.users) for day in days)
rows = {split: sum(shard.rows for shard in examples.of(split)) for split in ("train", "validation")}
print(f"{len(numbers.vocabulary.items):,} items, rows {rows}, {num_lists:,} lists on {len(days)} validation days")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Train each preset
# MAGIC In this process, on one rank; `train_model` does the same on every rank of the cluster.

# COMMAND ----------

models, curves, scratch = {}, {}, Path(tempfile.mkdtemp(prefix="presets-"))
for preset in presets.split(","):
    folder = scratch / "models" / preset
    shape = network_shape(numbers, config.model.model_copy(update={"preset": preset}))
    how = training_settings(config.training, config.model.intent_weight)
    job = training_job((examples.of("train"), examples.of("validation")), shape, how, folder, None)
    (curves[preset],) = train(spark, (job,), numbers, config.training)
    scorer = Scorer(load_artifact(folder))
    prior, _ = fit_prior(scorer, numbers.fields, days, settings.k[0])
    models[preset] = ModelRecommender(preset, scorer, numbers.fields, prior)
    print(f"{preset}: {len(curves[preset].epochs)} epochs, the best is {curves[preset].best_epoch}")

# COMMAND ----------

hours = settings.popularity_hours
rivals = [CountingRecommender.popular(window) for window in (hours[0], hours[-1])]
judged = [judge(one, days, settings.k[:1], config.training.seed) for one in (*models.values(), *rivals)]
table = [
    (one.name, figure.metric, figure.k, figure.value, figure.low, figure.high)
    for one in judged
    for figure in one.figures
    if figure.metric in ("ndcg", "hit_rate", "coverage")
]
columns = "name STRING, metric STRING, k INT, value DOUBLE, low DOUBLE, high DOUBLE"
compared = spark.createDataFrame(table, columns).orderBy("metric", F.desc("value"))
compared.select("name", "metric", "k", *[F.round(c, 4).alias(c) for c in ("value", "low", "high")]).show(truncate=False)

# COMMAND ----------

ndcg = [row for row in compared.collect() if row["metric"] == "ndcg"]
figure = Figure(figsize=(9, 3), layout="constrained")
left, right = figure.subplots(1, 2)
for preset, result in curves.items():
    left.plot([e.epoch for e in result.epochs], [e.validation_loss for e in result.epochs], "o-", label=preset)
left.set_title("validation loss, nats", loc="left")
left.set_xlabel("epoch")
left.xaxis.get_major_locator().set_params(integer=True)
left.legend(frameon=False)
right.barh([row["name"] for row in ndcg], [row["value"] for row in ndcg], color="#1b6ca8")
right.hlines([row["name"] for row in ndcg], [row["low"] for row in ndcg], [row["high"] for row in ndcg], color="black")
right.invert_yaxis()
right.set_title(f"NDCG@{settings.k[0]}, 90 % intervals", loc="left")
figure.savefig(plots / "03_presets.png", dpi=110)
if "display" in globals():
    display(figure)  # noqa: F821 there on Databricks and in Jupyter
