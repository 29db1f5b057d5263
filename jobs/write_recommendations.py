"""model, histories -> recommendations, user_intents, segment_recommendations, similar_items."""

import sys
from datetime import timedelta

import numpy as np
from pyspark import Broadcast, StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.baselines import PopularityBaseline, popularity, popularity_name, window_of
from intentrec.cluster.catalogue import Numbers, collect_numbers
from intentrec.cluster.judging import collect_counts
from intentrec.cluster.priors import prior_of
from intentrec.cluster.scoring import ScoringPlan, score
from intentrec.cluster.similarity import nearest_items
from intentrec.examples import Night, timeline
from intentrec.gate import ListInputs, check_lists
from intentrec.ledger import Run, Stage, champion_fingerprint, get_model, night_of, run_job, serving_model_id, tonight
from intentrec.model.checkpoint import load_artifact
from intentrec.recommendations import Origin, ranked_lists, segment_lists, user_intents
from intentrec.rules import eligible_items
from intentrec.tables import (
    GATE_DECISIONS,
    HISTORIES,
    ITEMS,
    METRICS,
    RECOMMENDATIONS,
    RECOMMENDATIONS_STAGED,
    SEGMENT_RECOMMENDATIONS,
    SESSIONS,
    SIMILAR_ITEMS,
    USER_INTENTS,
    USERS,
    VOCABULARY,
)


def write_recommendations(run: Run) -> dict[str, int]:
    """Score every active user, stage the lists, check them, and publish them in one commit, the night's last."""
    night = night_of(run)
    eligible = eligible_items(night.items, night.end()).persist()
    numbers = collect_numbers(night, eligible)
    plan, maker, popular = _plan(run, night, numbers)
    origin = Origin(run.run_date, maker, run.run_id)
    shared = run.spark.sparkContext.broadcast(plan)
    try:
        num_users, num_short = _stage_lists(run, shared, origin)
        _write_segments(run, night, eligible, popular, plan)
        _write_similar(run, shared, origin)
        staged = tonight(run, RECOMMENDATIONS_STAGED)
        inputs = ListInputs(staged, tonight(run, HISTORIES), night.items, night.vocabulary)
        num_lists = check_lists(inputs, run.config.recommendations.k, num_short)
        run.warehouse.replace(RECOMMENDATIONS, staged, run_date=run.run_date)
    finally:
        shared.destroy()
        eligible.unpersist()
    return {"users": num_users, "lists": num_lists, "short": num_short}


def _plan(run: Run, night: Night, numbers: Numbers) -> tuple[ScoringPlan, str, PopularityBaseline]:
    """Gather what the tasks need: the serving model and its prior, or on a first night without one popularity alone."""
    windows = run.config.evaluation.popularity_hours
    counted = popularity(night.events(), [night.end()], windows)
    (counts,) = collect_counts(counted, 1, windows, len(numbers.vocabulary.items))
    popular = PopularityBaseline.of(counts, _best_window(run))
    model_id = serving_model_id(run)
    filler = np.argsort(-popular.bias_V, kind="stable")
    filler = filler[numbers.eligible[filler]]
    model = None if model_id is None else get_model(run, model_id)
    prior = None if model is None else prior_of(load_artifact(model.folder, model.files))
    plan = ScoringPlan(
        folder=None if model is None else str(model.folder),
        files=() if model is None else tuple(model.files),
        fields=numbers.fields,
        items=("", *numbers.vocabulary.items),
        prior=prior,
        bias_V=np.zeros(len(popular.bias_V), np.float32) if prior is None else prior.bias(counts),
        allowed=numbers.eligible,
        filler=filler,
        filler_scores=popular.bias_V[filler],
        k=run.config.recommendations.k,
    )
    return plan, model_id or popular.name, popular


def _best_window(run: Run) -> int:
    """Return the window of popularity that did best on the held-out days; without figures the longest."""
    figures = tonight(run, METRICS).where((F.col("stage") == "evaluate_model") & (F.col("metric") == "ndcg"))
    k = run.config.evaluation.k[0]
    values = {row["model_id"]: row["value"] for row in figures.where(F.col("k") == k).collect()}
    windows = sorted(run.config.evaluation.popularity_hours, reverse=True)
    return max(windows, key=lambda hours: values.get(popularity_name(hours), 0.0))


def _stage_lists(run: Run, plan: Broadcast[ScoringPlan], origin: Origin) -> tuple[int, int]:
    """Score once, on disk; write staged lists and intents from it. Return users, and those with a short list."""
    histories = tonight(run, HISTORIES)
    num_users = histories.count()
    candidates = score(histories, plan, num_users).persist(StorageLevel.DISK_ONLY)
    try:
        lists = ranked_lists(candidates, run.config.recommendations.k, origin)
        run.warehouse.replace(RECOMMENDATIONS_STAGED, lists, run_date=run.run_date)
        run.warehouse.replace(USER_INTENTS, user_intents(candidates, origin), run_date=run.run_date)
        num_short = candidates.where(F.size("items") < run.config.recommendations.k).count()
    finally:
        candidates.unpersist()
    return num_users, num_short


def _write_segments(
    run: Run, night: Night, eligible: DataFrame, popular: PopularityBaseline, plan: ScoringPlan
) -> None:
    """Count the events of the popularity baseline's window for every segment of users."""
    hours = window_of(popular.name)
    recent = timeline(night.sessions, night.end(), night.end() - timedelta(hours=hours))
    segments = tonight(run, USERS).where(F.col("segment").isNotNull()).select("user_id", "segment")
    own = recent.where(~F.col("by_bot")).join(F.broadcast(eligible), "item_id", "left_semi").join(segments, "user_id")
    counts = own.groupBy("segment", "item_id").agg(F.count(F.lit(1)).alias("num_events"))
    best = zip(plan.filler[: 2 * plan.k].tolist(), plan.filler_scores[: 2 * plan.k].tolist(), strict=True)
    rows = [(plan.items[item], place, value) for place, (item, value) in enumerate(best)]
    overall = run.spark.createDataFrame(rows, "item_id STRING, place INT, score DOUBLE")
    lists = segment_lists(counts, overall, plan.k, Origin(run.run_date, popular.name, run.run_id))
    run.warehouse.replace(SEGMENT_RECOMMENDATIONS, lists, run_date=run.run_date)


def _write_similar(run: Run, plan: Broadcast[ScoringPlan], origin: Origin) -> None:
    """Write the neighbours of every item that the serving model knows; none without a model."""
    known = plan.value
    if known.folder is None:
        run.warehouse.delete(SIMILAR_ITEMS, run_date=run.run_date)
        return
    near = nearest_items(run.spark, plan, run.config.recommendations.similar_items)
    rows = near.select(
        F.lit(run.run_date).alias("run_date"),
        "*",
        F.lit(origin.model_id).alias("model_id"),
        F.lit(origin.run_id).alias("run_id"),
    )
    run.warehouse.replace(SIMILAR_ITEMS, rows, run_date=run.run_date)


STAGE = Stage(
    name="write_recommendations",
    body=write_recommendations,
    reads=(HISTORIES, VOCABULARY, ITEMS, USERS, SESSIONS, GATE_DECISIONS, METRICS),
    writes=(RECOMMENDATIONS_STAGED, USER_INTENTS, SEGMENT_RECOMMENDATIONS, SIMILAR_ITEMS, RECOMMENDATIONS),
    fingerprint=champion_fingerprint,
)

if __name__ == "__main__":
    sys.exit(run_job(STAGE))
