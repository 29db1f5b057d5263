"""model, histories -> recommendations, user_intents, segment_recommendations, similar_items."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import numpy as np
from pyspark import Broadcast, StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.baselines import PopularityBaseline, popularity, popularity_name, window_of
from intentrec.cluster.catalogue import Numbers, collect_newcomers, collect_numbers, no_newcomers
from intentrec.cluster.judging import Counts, collect_counts, collect_sources
from intentrec.cluster.pins import refuse_mismatch
from intentrec.cluster.priors import prior_of
from intentrec.cluster.reranking import reranking_of
from intentrec.cluster.ruling import Ruled, apply_rules, count_passed, shortening_rules
from intentrec.cluster.scoring import (
    ScoringPlan,
    cold_start_of,
    load_scorer,
    plan_digest,
    score,
    unchanged,
    with_origin,
)
from intentrec.cluster.segments import segment_candidates
from intentrec.cluster.similarity import nearest_items
from intentrec.examples import Night, timeline
from intentrec.gate import ListFigures, ListInputs, broken_limits, check_lists, refuse_broken_limits
from intentrec.ledger import (
    PUBLISHED,
    Run,
    Stage,
    get_model,
    lists_fingerprint,
    measure_lists,
    night_of,
    publish_lists,
    run_job,
    serving_model_id,
    tonight,
)
from intentrec.model.checkpoint import load_artifact
from intentrec.recommendations import EVERYBODY, Origin, ranked_lists, segment_lists, user_intents
from intentrec.rules import Moment, Written, audit_lists, eligible_items
from intentrec.tables import (
    GATE_DECISIONS,
    HISTORIES,
    ITEMS,
    METRICS,
    RECOMMENDATIONS,
    RECOMMENDATIONS_STAGED,
    RULES,
    SESSIONS,
    SIMILAR_ITEMS,
    USER_INTENTS,
    USERS,
    VOCABULARY,
)

_SHOWN = 5  # segments that a warning names


def write_recommendations(run: Run) -> dict[str, int]:
    """Score every active user, stage the lists, audit and check all; then publish, the lists in the last commit."""
    night = night_of(run)
    eligible = eligible_items(night.items, night.end()).persist()
    numbers = collect_numbers(night, eligible)
    plan, maker, popular = _plan(run, night, numbers, eligible)
    origin = Origin(run.run_date, maker, run.run_id)
    moment = Moment(tonight(run, RULES), night.items, tonight(run, USERS), night.vocabulary, night.end())
    ruled = Ruled(plan, tonight(run, HISTORIES), {})
    if run.config.input.rules:
        ruled = apply_rules(plan, ruled.histories, moment)
    shared = run.spark.sparkContext.broadcast(ruled.plan)
    try:
        with ExitStack() as cached:
            candidates, counted = _scored(run, shared, ruled, cached)
            lists, intents = ranked_lists(candidates, plan.k, origin), user_intents(candidates, origin)
            run.warehouse.replace(RECOMMENDATIONS_STAGED, lists, run_date=run.run_date)
            staged = tonight(run, RECOMMENDATIONS_STAGED)
            if run.config.input.rules:
                past = timeline(night.sessions, night.end())
                audit_lists(Written.of_users(staged, moment, plan.k, past, tonight(run, HISTORIES)), moment)
            figures = measure_lists(run, night, maker, int(numbers.eligible.sum()), intents)
            blamed = () if ruled.plan.rules is None else shortening_rules(candidates, ruled.plan.rules, plan.k)
            num_lists = _checked(run, night, staged, counted["short"], blamed)
            _compare_with_limits(run, figures, by_model=plan.folder is not None)
            segments = _segments(run, (night, eligible, moment), shared, popular, cached)
            similar = _similar(run, shared, origin, moment, cached)
            rows = (intents, segments, similar, staged)
            published = publish_lists(run, dict(zip(PUBLISHED, rows, strict=True)))
    finally:
        shared.destroy()
        eligible.unpersist()
        ruled.histories.unpersist()
    return {**counted, "lists": num_lists, "published": num_lists if published else 0}


def _checked(run: Run, night: Night, staged: DataFrame, num_short: int, blamed: Sequence[str]) -> int:
    """Return the number of lists if none of them is wrong; ``blamed`` are the rules that left users short."""
    policies, k = run.config.recommendations.policies, run.config.recommendations.k
    reordered = policies.reorder or policies.new_item_share > 0
    inputs = ListInputs(staged, tonight(run, HISTORIES), night.items, night.vocabulary, reordered)
    return check_lists(inputs, k, num_short, rules=blamed)


def _compare_with_limits(run: Run, figures: ListFigures, by_model: bool) -> None:
    limits = run.config.recommendations.checks
    if (warning := refuse_broken_limits(broken_limits(figures, limits, by_model), limits)) is not None:
        run.warn(warning)


def _plan(run: Run, night: Night, numbers: Numbers, eligible: DataFrame) -> tuple[ScoringPlan, str, PopularityBaseline]:
    """Gather what the tasks need: the serving model and its prior, or on a first night without one popularity alone."""
    windows = run.config.evaluation.popularity_hours
    counted = popularity(night.events(), [night.end()], windows)
    (counts,) = collect_counts(counted, 1, windows, len(numbers.vocabulary.items))
    popular = PopularityBaseline.of(counts, _best_window(run))
    model_id = serving_model_id(run)
    filler = np.argsort(-popular.bias_V, kind="stable")
    filler = filler[numbers.eligible[filler]]
    model = None if model_id is None else get_model(run, model_id)
    prior, sources = None, {}
    if model is not None:
        artifact = load_artifact(model.folder, model.files)
        refuse_mismatch(model.model_id, artifact, numbers)
        prior, pause = prior_of(artifact), timedelta(minutes=run.config.sessions.gap_minutes)
        sources = collect_sources(night.events(), night.end(), prior.sources, pause, len(numbers.vocabulary.items))
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
        filler_counts=counts[window_of(popular.name)],
        sources=sources,
    )
    if model is not None:
        plan = _with_policies(run, night, (numbers, counts, popular), plan, eligible)
    return plan, model_id or popular.name, popular


def _with_policies(
    run: Run,
    night: Night,
    known: tuple[Numbers, Counts, PopularityBaseline],
    plan: ScoringPlan,
    eligible: DataFrame,
) -> ScoringPlan:
    """Add what the policies and the lists of users with few events need, where the config asks for any."""
    settings, (numbers, counts, popular) = run.config.recommendations, known
    policies, end = settings.policies, night.end()
    new = no_newcomers(night.encoding.max_categories)
    if policies.new_item_share:
        new = collect_newcomers(night, eligible, end - timedelta(days=policies.new_item_days))
    gap = timedelta(minutes=run.config.sessions.gap_minutes)
    later = (0, len(new))  # the policies alone know of them
    hours = window_of(popular.name)
    assert plan.prior is not None
    cold = None
    if settings.cold_start.events:
        counted = _segment_counts(run, night, eligible, hours)
        cold = cold_start_of(settings.cold_start, counted, counts[hours], plan.items, plan.prior.weight or 1.0)
    return replace(
        plan,
        items=(*plan.items, *new.items),
        bias_V=np.pad(plan.bias_V, later),
        allowed=np.pad(plan.allowed, later),
        reranking=reranking_of(policies, numbers, new, counts, (end, gap)),
        cold=cold,
    )


def _best_window(run: Run) -> int:
    """Return the window of popularity that did best on the held-out days; without figures the longest."""
    of_all = (F.col("stage") == "evaluate_model") & (F.col("metric") == "ndcg") & (F.col("segment") == "all")
    figures, k = tonight(run, METRICS).where(of_all), run.config.evaluation.k[0]
    values = {row["model_id"]: row["value"] for row in figures.where(F.col("k") == k).collect()}
    windows = sorted(run.config.evaluation.popularity_hours, reverse=True)
    return max(windows, key=lambda hours: values.get(popularity_name(hours), 0.0))


def _scored(
    run: Run, plan: Broadcast[ScoringPlan], ruled: Ruled, cached: ExitStack
) -> tuple[DataFrame, dict[str, int]]:
    """Score every user once, on disk until ``cached`` ends. Return CANDIDATES rows, and what was counted on the way."""
    histories, settings, rules = ruled.histories, run.config.recommendations, plan.value.rules
    num_users = histories.count()
    if plan.value.cold is not None:
        segments = tonight(run, USERS).select("user_id", "segment")
        histories = histories.join(segments, "user_id", "left")
    histories = with_origin(histories, plan_digest(plan.value))
    kept = _on_disk(_reusable(run, histories, plan.value), cached) if settings.incremental else None
    num_kept = 0 if kept is None else kept.count()
    if kept is None or not num_kept:
        candidates = score(histories, plan, num_users)
    else:
        others = histories.join(kept.select("user_id"), "user_id", "left_anti")
        candidates = score(others, plan, num_users - num_kept).unionByName(kept)
    candidates = _on_disk(candidates, cached)
    num_short = candidates.where(F.size("items") < settings.k).count()
    passed = {} if rules is None else count_passed(candidates, rules)
    return candidates, {"users": num_users, "short": num_short, "reused": num_kept, **ruled.counters, **passed}


def _on_disk(rows: DataFrame, cached: ExitStack) -> DataFrame:
    """Compute rows once; they are kept until ``cached`` ends."""
    kept = rows.persist(StorageLevel.DISK_ONLY)
    cached.callback(kept.unpersist)
    return kept


def _reusable(run: Run, histories: DataFrame, plan: ScoringPlan) -> DataFrame:
    """Look for lists that stay as they are, in tonight's own or else in the last ones before: CANDIDATES rows."""
    until = F.col("run_date") <= F.lit(run.run_date)
    lists, intents = run.warehouse.read(RECOMMENDATIONS), run.warehouse.read(USER_INTENTS)
    last = lists.where(until).agg(F.max("run_date").alias("run_date")).first()
    that_night = F.col("run_date") == F.lit(last["run_date"] if last else None)
    has_heads = plan.folder is not None and bool(load_scorer(plan).shape.heads)
    return unchanged(histories, lists.where(that_night), intents.where(that_night), plan.k, has_heads=has_heads)


def _segments(
    run: Run,
    known: tuple[Night, DataFrame, Moment],
    plan: Broadcast[ScoringPlan],
    popular: PopularityBaseline,
    cached: ExitStack,
) -> DataFrame:
    """Rank items for every segment of users by the events of the popularity baseline's window, and audit the lists."""
    (night, eligible, moment), k = known, plan.value.k
    counts = _segment_counts(run, night, eligible, window_of(popular.name))
    candidates = _on_disk(segment_candidates(counts, night.vocabulary, plan, EVERYBODY), cached)
    short = [row["segment"] for row in candidates.where(F.size("items") < k).orderBy("segment").collect()]
    if short:
        run.warn(
            f"table segment_recommendations: {len(short):,} segments have no list, {', '.join(short[:_SHOWN])}: there "
            f"are fewer than {k} items that anybody in them may be shown; let rules name the segment itself, not other "
            "fields of users, or lower recommendations.k"
        )
    lists = segment_lists(candidates, k, Origin(run.run_date, popular.name, run.run_id))
    if plan.value.rules is not None:
        audit_lists(Written.of_segments(lists, moment, k, EVERYBODY), moment)
    return lists


def _segment_counts(run: Run, night: Night, eligible: DataFrame, hours: int) -> DataFrame:
    """Count the events of the last hours per segment and eligible item: segment, item_id, num_events."""
    recent = timeline(night.sessions, night.end(), night.end() - timedelta(hours=hours))
    segments = tonight(run, USERS).where(F.col("segment").isNotNull()).select("user_id", "segment")
    own = recent.where(~F.col("by_bot")).join(F.broadcast(eligible), "item_id", "left_semi").join(segments, "user_id")
    return own.groupBy("segment", "item_id").agg(F.count(F.lit(1)).alias("num_events"))


def _similar(run: Run, plan: Broadcast[ScoringPlan], origin: Origin, moment: Moment, cached: ExitStack) -> DataFrame:
    """Find the neighbours of every item that the serving model knows, and audit them; none without a model."""
    if plan.value.folder is None:
        return run.spark.createDataFrame([], SIMILAR_ITEMS.schema)
    near = _on_disk(nearest_items(run.spark, plan, run.config.recommendations.similar_items), cached)
    if plan.value.rules is not None:
        audit_lists(Written.of_items(near, moment), moment)
    return near.select(
        F.lit(run.run_date).alias("run_date"),
        "*",
        F.lit(origin.model_id).alias("model_id"),
        F.lit(origin.run_id).alias("run_id"),
    )


STAGE = Stage(
    name="write_recommendations",
    body=write_recommendations,
    reads=(
        HISTORIES,
        VOCABULARY,
        ITEMS,
        USERS,
        RULES,
        SESSIONS,
        GATE_DECISIONS,
        METRICS,
        RECOMMENDATIONS,
        USER_INTENTS,
    ),
    writes=(RECOMMENDATIONS_STAGED, METRICS, *PUBLISHED),
    fingerprint=lists_fingerprint,
)

if __name__ == "__main__":
    sys.exit(run_job(STAGE))
