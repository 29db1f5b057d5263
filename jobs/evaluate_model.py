"""models, sessions -> metrics, gate_decisions: the challenger on the held-out days, beside champion and baselines."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec import __version__
from intentrec.baselines import TRANSITIONS, decayed_name, popularity_name
from intentrec.cluster.calibration import recentered
from intentrec.cluster.catalogue import Numbers, collect_numbers
from intentrec.cluster.evaluation import Judgement, judge, judge_heads
from intentrec.cluster.judging import JudgedDay, collect_sources, judged_days
from intentrec.cluster.memberships import segments_of
from intentrec.cluster.pins import refuse_mismatch
from intentrec.cluster.priors import half_lives, prior_of, save_prior
from intentrec.cluster.recommenders import CountingRecommender, ModelRecommender, Recommender
from intentrec.cluster.tradeoff import lists_with_policies, traded
from intentrec.cluster.training import (
    continued,
    find_examples,
    forget_training,
    model_identity,
    rank_lines,
    train,
    training_job,
    training_settings,
)
from intentrec.examples import Night
from intentrec.gate import BY_GATE, Decision, Judged, Members, decide
from intentrec.ledger import (
    Measured,
    Model,
    Run,
    Stage,
    add_model,
    champion_of,
    decision_time,
    find_model,
    get_model,
    model_folder,
    night_of,
    pinned_examples,
    record_figures,
    run_job,
    tonight,
    tonights_challenger,
)
from intentrec.metrics import bootstrap_mean
from intentrec.model.checkpoint import Artifact, load_artifact
from intentrec.model.inference import Scorer
from intentrec.rules import eligible_items
from intentrec.tables import (
    AFTER_POLICIES,
    BEFORE_POLICIES,
    EXAMPLES,
    GATE_DECISIONS,
    ITEMS,
    METRICS,
    MODELS,
    RULES,
    SESSIONS,
    USERS,
    VOCABULARY,
)


def evaluate_model(run: Run) -> dict[str, int]:
    """Judge, decide, and train a promoted model on through the held-out days."""
    night, examples = night_of(run), find_examples(*pinned_examples(run))
    numbers = collect_numbers(night, eligible_items(night.items, night.end()))
    model = tonights_challenger(run) if examples.of("train") else None
    challenger = None if model is None else load_artifact(model.folder, model.files)
    models = {} if model is None or challenger is None else {model.model_id: challenger}
    models |= _champion(run, night)
    for name, artifact in models.items():
        refuse_mismatch(name, artifact, numbers)
    days, tuned = _held_out(run, night, numbers, models), _tuned(run)
    judgements = _judgements(run, numbers, days, tuned, models)
    num_users = len(np.unique(np.concatenate([day.users.users_U for day in days])))
    segments = _segments(run, days)
    measured = [
        Measured(each.name, "all", f.metric, f.k, None, f.value, f.low, f.high, f.num_users)
        for each in judgements
        for f in each.figures
    ]
    measured += [figure for each in judgements for figure in _by_segment(run, each, segments)]
    if model is None or challenger is None:
        record_figures(run, "evaluate_model", measured)
        reason = "there is no challenger tonight: the history is too short to train on"
        _take_back(run, reason)
        run.refuse(f"gate: {reason}")
        return {"users": num_users, "promoted": 0}
    if challenger.shape.heads:
        for head, figures in judge_heads(challenger, examples.of("holdout")).heads.items():
            shares = {"accuracy": figures.accuracy, "majority_share": figures.majority_share}
            measured += [Measured(model.model_id, head, name, None, None, share) for name, share in shares.items()]
    measured += _traded(run, night, numbers, days, (model.model_id, challenger))
    record_figures(run, "evaluate_model", measured)
    decision, serving = _decision(run, judgements, (model.model_id, tuned), segments), None
    if decision.verdict == "promoted":
        serving = _refit(run, numbers, model, days).model_id if run.config.evaluation.refit else model.model_id
    else:
        run.refuse(f"gate: challenger {model.model_id} {decision.reason}")
    _record(run, decision, model.model_id, serving)
    run.log(f"gate: {decision.reason}")
    return {"users": num_users, "promoted": int(decision.verdict == "promoted")}


def _held_out(run: Run, night: Night, numbers: Numbers, models: dict[str, Artifact]) -> list[JudgedDay]:
    """Collect the held-out days, each with what followed what before the first of them."""
    settings, events = run.config.evaluation, night.events().persist()
    try:
        days = judged_days(night, events, numbers, (settings.holdout_days, settings.holdout_days), settings)
        pause = timedelta(minutes=run.config.sessions.gap_minutes)
        names = {TRANSITIONS, *(name for artifact in models.values() for name in prior_of(artifact).sources)}
        sources = collect_sources(events, night.end(settings.holdout_days), names, pause, len(numbers.vocabulary.items))
        return [replace(day, sources=sources) for day in days]
    finally:
        events.unpersist()


def _judgements(
    run: Run,
    numbers: Numbers,
    days: list[JudgedDay],
    tuned: tuple[int, float],
    models: dict[str, Artifact],
) -> list[Judgement]:
    """Judge the models and the baselines on the same users of the held-out days."""
    settings, (window, half_life) = run.config.evaluation, tuned

    def recommenders() -> Iterator[Recommender]:
        for name, artifact in models.items():
            yield ModelRecommender(name, Scorer(artifact), numbers.fields, prior_of(artifact))
        yield from map(CountingRecommender.popular, settings.popularity_hours)
        yield CountingRecommender.decayed(half_life)
        yield CountingRecommender.by_evidence(TRANSITIONS, days[0].sources[TRANSITIONS], window)

    return [judge(each, days, settings.k, run.config.training.seed) for each in recommenders()]


def _traded(
    run: Run, night: Night, numbers: Numbers, days: list[JudgedDay], model: tuple[str, Artifact]
) -> list[Measured]:
    """Measure what the policies cost the challenger and what they buy; nothing where all of them are off."""
    settings, policies = run.config.evaluation, run.config.recommendations.policies
    if not policies.any_on:
        return []
    name, artifact = model
    raw = ModelRecommender(name, Scorer(artifact), numbers.fields, prior_of(artifact))
    k, rows = settings.k[0], []
    length = max(k, run.config.recommendations.k)  # new and drawn items stand last in a list
    begins = night.bounds(settings.holdout_days, settings.holdout_days)[:-1]
    gap = timedelta(minutes=run.config.sessions.gap_minutes)
    for segment, lists in (
        (BEFORE_POLICIES, [(day, raw.recommend(day, length)) for day in days]),
        (AFTER_POLICIES, lists_with_policies(raw, [*zip(days, begins, strict=True)], policies, numbers, gap, length)),
    ):
        for each in traded(lists, numbers.catalogue.categories_VC.numpy(), k, run.config.training.seed):
            rows.append(Measured(name, segment, each.metric, k, None, each.value, each.low, each.high, each.num_users))
    return rows


def _champion(run: Run, night: Night) -> dict[str, Artifact]:
    champion = champion_of(run)
    if champion is None:
        return {}
    rival = get_model(run, champion.model_id)
    if rival.has_learnt_from(night.end(run.config.evaluation.holdout_days)):
        run.warn(
            f"table models: {rival.model_id}, the champion, has learnt from tonight's held-out days, "
            "evaluation.holdout_days grew since; the challenger is compared with baselines alone"
        )
        return {}
    return {rival.model_id: load_artifact(rival.folder, rival.files)}


def _tuned(run: Run) -> tuple[int, float]:
    """Return window and half-life of what did best on the validation days; without figures the longest."""
    told = tonight(run, METRICS).where((F.col("stage") == "train_model") & (F.col("metric") == "ndcg"))
    values = {row["model_id"]: row["value"] for row in told.select("model_id", "value").collect()}
    windows = sorted(run.config.evaluation.popularity_hours, reverse=True)
    lives = sorted(half_lives(windows), reverse=True)
    return (
        max(windows, key=lambda hours: values.get(popularity_name(hours), 0.0)),
        max(lives, key=lambda hours: values.get(decayed_name(hours), 0.0)),
    )


def _segments(run: Run, days: list[JudgedDay]) -> dict[str, Members]:
    known = tonight(run, USERS).where(F.col("segment").isNotNull())
    judged = sorted({name for day in days for name in day.users.ids or ()})
    wanted = run.spark.createDataFrame([(name,) for name in judged], "user_id STRING")
    rows = known.join(F.broadcast(wanted), "user_id").select("user_id", "segment").collect()
    return segments_of(days, {row["user_id"]: row["segment"] for row in rows})


def _by_segment(run: Run, judgement: Judgement, segments: dict[str, Members]) -> Iterator[Measured]:
    """Measure what the gate compares, in every segment."""
    k, seed = run.config.evaluation.k[0], run.config.training.seed
    for name, members in segments.items():
        ends = bootstrap_mean(judgement.deciding_U[members], seed)
        yield Measured(judgement.name, name, "ndcg", k, None, *ends, num_users=int(members.sum()))


def _decision(
    run: Run, judgements: list[Judgement], names: tuple[str, tuple[int, float]], segments: dict[str, Members]
) -> Decision:
    """Compare with the champion, and with the baselines that were tuned on the validation days."""
    model_id, tuned = names
    by_name = {each.name: Judged(each.name, each.deciding_U) for each in judgements}
    champion = champion_of(run)
    baselines = [by_name[name] for name in (popularity_name(tuned[0]), decayed_name(tuned[1]), TRANSITIONS)]
    against = by_name.get(champion.model_id) if champion is not None else None
    gate, seed = run.config.evaluation.gate, run.config.training.seed
    return decide(by_name[model_id], against, baselines, gate, seed, segments)


def _refit(run: Run, numbers: Numbers, judged: Model, days: list[JudgedDay]) -> Model:
    """Train the judged model on through the held-out days, one pass over everything; that model serves."""
    examples = find_examples(*pinned_examples(run))
    model_id = model_identity("refit", judged.model_id, __version__)
    known = find_model(run, model_id)
    if known is not None:
        load_artifact(known.folder, known.files)
        return known
    settings = continued(training_settings(run.config.training, run.config.model.intent_weight))
    folder, artifact = model_folder(run, model_id), load_artifact(judged.folder, judged.files)
    job = training_job((examples.shards, ()), artifact.shape, settings, folder, judged.folder)
    (result,) = train(run.spark, [job], numbers, run.config.training, debug=run.debug)
    for line in (*result.notes, *rank_lines(result, sum(shard.rows for shard in job.train))):
        run.log(line)
    prior = recentered(prior_of(artifact), Scorer(load_artifact(folder)), numbers.fields, days)
    model = Model(
        model_id=model_id,
        run_date=run.run_date,
        kind="refit",
        folder=folder,
        files=save_prior(folder, prior, artifact.calibrations()),
        trained_until=run.cutoff.end_of(run.run_date),
        challenger_id=judged.model_id,
        warm_started_from=judged.model_id,
    )
    add_model(run, model)
    forget_training((job,))
    return model


def _take_back(run: Run, reason: str) -> None:
    """Refuse what an earlier run of the night promoted, of other rows or settings: else it would make the lists."""
    mine = tonight(run, GATE_DECISIONS).where(F.col("verdict").isin(*BY_GATE)).orderBy(F.desc("decided_at")).first()
    if mine is not None and mine["verdict"] == "promoted":
        _record(run, Decision("refused", False, None, (), reason), mine["model_id"], None)


def _record(run: Run, decision: Decision, model_id: str, serving: str | None) -> None:
    """Append the decision, unless the gate's last one of the night says the same."""
    mine: DataFrame = tonight(run, GATE_DECISIONS).where(F.col("verdict").isin(*BY_GATE))
    last = mine.orderBy(F.desc("decided_at")).first()
    same = (model_id, decision.verdict, serving, decision.reason)
    if last is not None and (last["model_id"], last["verdict"], last["serving_model_id"], last["reason"]) == same:
        return
    row = (
        run.run_date, model_id, decision.verdict, decision.against, serving, list(decision.figures), decision.reason,
        run.run_id, decision_time(run),
    )  # fmt: skip
    run.warehouse.append(GATE_DECISIONS, run.spark.createDataFrame([row], GATE_DECISIONS.schema))


STAGE = Stage(
    name="evaluate_model",
    body=evaluate_model,
    reads=(MODELS, EXAMPLES, VOCABULARY, ITEMS, USERS, RULES, SESSIONS),
    writes=(MODELS, METRICS, GATE_DECISIONS),
    files=("checkpoint", "model"),
)

if __name__ == "__main__":
    sys.exit(run_job(STAGE))
