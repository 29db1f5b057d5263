# Databricks notebook source
# MAGIC %md
# MAGIC # Policies and what they cost
# MAGIC A policy changes the order of the best candidates: more intents in a list, the user's own mix of categories,
# MAGIC less of what is popular anyway, places for new items, places drawn at random. Each buys something and costs
# MAGIC accuracy; here both are measured, on the validation days and with the weights that have not seen them.
# MAGIC Nothing is written: set what you like best under `recommendations.policies`.
# MAGIC
# MAGIC On a cluster with the wheel installed, give the config and the warehouse in the widgets.
# MAGIC As a script: `CONFIG=shop.yaml WAREHOUSE=/data/shop/tables python notebooks/05_policies.py`

# COMMAND ----------

import os
from datetime import timedelta
from pathlib import Path

from matplotlib.figure import Figure
from pyspark.sql import functions as F

from intentrec import tables
from intentrec.cluster.calibration import fit_prior
from intentrec.cluster.catalogue import collect_numbers, no_newcomers
from intentrec.cluster.judging import judged_days
from intentrec.cluster.recommenders import ModelRecommender
from intentrec.cluster.reranking import reranking_of
from intentrec.cluster.tradeoff import PolicyRecommender, traded
from intentrec.config import PoliciesConfig, is_catalog, load_config
from intentrec.io import Warehouse
from intentrec.ledger import Command, Run, night_of, start_folder
from intentrec.model.checkpoint import load_artifact
from intentrec.model.inference import Scorer
from intentrec.rules import eligible_items
from intentrec.spark import start_spark

# COMMAND ----------

location = os.environ.get("WAREHOUSE", "build/demo/warehouse")
file = os.environ.get("CONFIG", "deploy/demo/nightly.yaml")
if "dbutils" in globals():
    dbutils.widgets.text("warehouse", location)  # noqa: F821 there on Databricks
    location = dbutils.widgets.get("warehouse")  # noqa: F821
    dbutils.widgets.text("config", file)  # noqa: F821
    file = dbutils.widgets.get("config")  # noqa: F821
spark, _ = start_spark("05_policies", "local[2]", {"spark.sql.shuffle.partitions": "2"})
place = location if is_catalog(location) or "://" in location else str(Path(location).resolve())
warehouse = Warehouse(spark, place, in_catalog=is_catalog(location))
plots = Path(os.environ.get("PLOTS", "build/notebooks"))  # every figure is kept there as well
plots.mkdir(parents=True, exist_ok=True)

newest = warehouse.read(tables.HISTORIES).agg(F.max("run_date")).first()[0]
config = load_config(Path(file), [f"warehouse={place}"])
run = Run(Command(config=config, run_date=newest), spark, "notebook")  # reads alone: no lock is taken
trained = warehouse.read(tables.MODELS).where((F.col("run_date") == F.lit(newest)) & (F.col("kind") == "challenger"))
model_id = trained.first()["model_id"]
print(f"warehouse {location}, night of {newest}, model {model_id}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The users that are judged
# MAGIC The days before the held-out ones, and the model as it was before it learnt from them.

# COMMAND ----------

night, settings = night_of(run), config.evaluation
numbers = collect_numbers(night, eligible_items(night.items, night.end()))
events = night.events().persist()
span = (settings.holdout_days + settings.validation_days, settings.validation_days)
days = judged_days(night, events, numbers, span, settings)
events.unpersist()
scorer, k = Scorer(load_artifact(start_folder(run, model_id))), settings.k[0]
prior, _ = fit_prior(scorer, numbers.fields, days, k)
raw = ModelRecommender("as scored", scorer, numbers.fields, prior)
print(f"{sum(len(day.users) for day in days):,} lists of {k} on {len(days)} days")

# COMMAND ----------

# MAGIC %md
# MAGIC ## One policy at a time
# MAGIC `ndcg` is what a policy costs. `intra_list_diversity` is how little the items of a list have in common,
# MAGIC `intent_coverage` how much of the user's own mix of categories the list serves (both only where items have
# MAGIC categories), `coverage` the share of all items that anybody is shown.

# COMMAND ----------

policies = {
    "as scored": {},
    "diversity 0.5": {"diversity": 0.5},
    "diversity 2": {"diversity": 2.0},
    "calibration 0.3": {"calibration": 0.3},
    "calibration 0.7": {"calibration": 0.7},
    "popularity_offset 0.2": {"popularity_offset": 0.2},
    "explore_places 2": {"explore_places": 2},
}
at = (night.end(), timedelta(minutes=config.sessions.gap_minutes))
nobody, categories_VC = no_newcomers(night.encoding.max_categories), numbers.catalogue.categories_VC.numpy()
table = []
for name, change in policies.items():
    how = reranking_of(PoliciesConfig(**change), numbers, nobody, days[0].counts, at)
    one = raw if how is None else PolicyRecommender(raw, how)
    lists = [(day, one.recommend(day, k)) for day in days]
    figures = traded(lists, categories_VC, k, config.training.seed)
    table += [(name, figure.metric, figure.value, figure.low, figure.high) for figure in figures]
measured = spark.createDataFrame(table, "policy STRING, metric STRING, value DOUBLE, low DOUBLE, high DOUBLE")
side = measured.groupBy("policy").pivot("metric").agg(F.round(F.first("value"), 4))
side.orderBy(F.desc("ndcg")).show(truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The trade
# MAGIC To the right is more accurate, upwards is more varied. A policy left of and below another one is worth
# MAGIC nothing here.

# COMMAND ----------

shown = side.toPandas()
figure = Figure(figsize=(9, 3.4), layout="constrained")
measures = [metric for metric in ("intra_list_diversity", "coverage") if metric in shown]
panes = figure.subplots(1, len(measures), squeeze=False)[0]
for axes, metric in zip(panes, measures, strict=True):
    for row in shown.itertuples():
        axes.scatter(row.ndcg, getattr(row, metric), label=row.policy)
    axes.set_xlabel(f"NDCG@{k}")
    axes.set_title(metric, loc="left")
panes[-1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
figure.savefig(plots / "05_trade.png", dpi=110)
if "display" in globals():
    display(figure)  # noqa: F821 there on Databricks and in Jupyter
