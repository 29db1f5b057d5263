"""examples -> models: tonight's challenger, which has not seen the held-out days."""

import sys

from intentrec import __version__
from intentrec.baselines import PopularityBaseline, popularity
from intentrec.cluster.catalogue import Numbers, collect_numbers
from intentrec.cluster.evaluation import judge
from intentrec.cluster.judging import CountingRecommender, collect_counts, collect_judged
from intentrec.cluster.priors import Prior, fit_prior, save_prior
from intentrec.cluster.training import (
    Examples,
    continued,
    curve,
    find_examples,
    model_identity,
    network_shape,
    rank_lines,
    train,
    training_job,
    training_settings,
)
from intentrec.config import stage_hash
from intentrec.examples import Night
from intentrec.ledger import (
    Measured,
    Model,
    Run,
    Stage,
    add_model,
    champion_fingerprint,
    champion_of,
    find_model,
    get_model,
    model_folder,
    night_of,
    pinned_examples,
    record_figures,
    run_job,
    start_folder,
)
from intentrec.model.checkpoint import load_artifact
from intentrec.model.inference import Scorer
from intentrec.model.job import TrainingJob, TrainingResult
from intentrec.rules import eligible_items
from intentrec.tables import EXAMPLES, FEATURE_VOCABULARY, GATE_DECISIONS, ITEMS, METRICS, MODELS, SESSIONS, VOCABULARY

TOO_SHORT = "table examples: no user has two events before the validation days, the history is too short"
VALIDATION = "validation"  # the segment of METRICS that the gate's baseline is chosen by


def train_model(run: Run) -> dict[str, int]:
    """Train on from the champion's weights where there is one, then weigh popularity against the network."""
    night, champion = night_of(run), champion_of(run)
    examples = find_examples(*pinned_examples(run))
    if not examples.of("train"):
        run.warn(f"{TOO_SHORT}; no model is trained tonight")
        return {"epochs": 0}
    numbers = collect_numbers(night, eligible_items(night.items, night.end()))
    start = None if champion is None else get_model(run, champion.model_id)
    settings = (stage_hash(run.config, "train_model"), __version__)
    contents = (examples.content, numbers.content, None if start is None else start.model_id)
    model_id = model_identity("challenger", run.run_date, *settings, *contents)
    known = find_model(run, model_id)
    if known is not None:
        load_artifact(known.folder, known.files)  # a damaged one is named here, before anything relies on it
        run.log(f"model {model_id} has been trained on the same rows before")
        return {"epochs": 0}
    base, prior, measured = _chosen(run, night, numbers, examples, (model_id, start))
    job = training_job(
        (examples.of("train", "validation"), ()),
        network_shape(numbers, run.config.model),
        continued(training_settings(run.config.training, run.config.model.intent_weight)),
        model_folder(run, model_id),
        start_folder(run, model_id),
    )
    result = train(run.spark, job, numbers, run.config.training)
    _tell(run, result, job)
    model = Model(
        model_id=model_id,
        run_date=run.run_date,
        kind="challenger",
        folder=model_folder(run, model_id),
        files=save_prior(model_folder(run, model_id), prior),
        trained_until=night.end(run.config.evaluation.holdout_days),
        warm_started_from=start.model_id if start is not None and base.warm_started else None,
    )
    record_figures(run, "train_model", measured)
    add_model(run, model)
    return {"epochs": len(base.epochs), "best_epoch": base.best_epoch}


def _chosen(
    run: Run, night: Night, numbers: Numbers, examples: Examples, names: tuple[str, Model | None]
) -> tuple[TrainingResult, Prior, list[Measured]]:
    """Train the base: its best epoch and its prior are chosen on the validation days, which it does not learn from.

    The challenger then learns from them as well, since what appeared in them is what the held-out days are about;
    the base stays as it is, for the next night to start from without having seen what that night validates on.
    """
    model_id, start = names
    job = training_job(
        (examples.of("train"), examples.of("validation")),
        network_shape(numbers, run.config.model),
        training_settings(run.config.training, run.config.model.intent_weight),
        start_folder(run, model_id),
        None if start is None else start_folder(run, start.model_id),
    )
    result = train(run.spark, job, numbers, run.config.training)
    _tell(run, result, job)
    learnt = [Measured(model_id, segment, metric, None, step, value) for segment, metric, step, value in curve(result)]
    prior, judged = _fitted_prior(run, night, numbers, model_id)
    return result, prior, [*learnt, *judged]


def _tell(run: Run, result: TrainingResult, job: TrainingJob) -> None:
    for line in (*result.notes, *rank_lines(result, sum(shard.rows for shard in job.train))):
        run.log(line)


def _fitted_prior(run: Run, night: Night, numbers: Numbers, model_id: str) -> tuple[Prior, list[Measured]]:
    """Fit the prior on the validation days, and judge every window of popularity there, for the gate's baseline."""
    settings = run.config.evaluation
    since, until = night.end(settings.holdout_days + settings.validation_days), night.end(settings.holdout_days)
    events = night.events().persist()
    try:
        users = collect_judged(night.judged(events, since, until, settings.max_users))
        counted = popularity(events, since, settings.popularity_hours)
        counts = collect_counts(counted, settings.popularity_hours, len(numbers.vocabulary.items))
    finally:
        events.unpersist()
    allowed, k = numbers.allowed_before(since), settings.k[0]
    prior, quality = fit_prior(Scorer(load_artifact(start_folder(run, model_id))), users, counts, allowed, k)
    mix = f"popularity of {prior.hours} h, weight {prior.weight:g}, shrinkage {prior.shrink_events:g} events"
    run.log(f"prior: {mix}: ndcg@{k} {quality:.4f} on {len(users):,} users")
    measured = [
        Measured(model_id, VALIDATION, "prior_hours", None, None, float(prior.hours)),
        Measured(model_id, VALIDATION, "prior_weight", None, None, prior.weight),
        Measured(model_id, VALIDATION, "prior_shrink_events", None, None, prior.shrink_events),
        Measured(model_id, VALIDATION, "ndcg", k, None, quality, num_users=len(users)),
    ]
    for hours in counts:
        rival = CountingRecommender(PopularityBaseline.of(counts, hours), allowed)
        figures = judge(rival, users, (k,), allowed, run.config.training.seed).figures
        measured += [
            Measured(rival.name, VALIDATION, f.metric, f.k, None, f.value, f.low, f.high, f.num_users) for f in figures
        ]
    return prior, measured


STAGE = Stage(
    name="train_model",
    body=train_model,
    reads=(EXAMPLES, VOCABULARY, FEATURE_VOCABULARY, ITEMS, SESSIONS, GATE_DECISIONS),
    writes=(MODELS, METRICS),
    fingerprint=champion_fingerprint,
)

if __name__ == "__main__":
    sys.exit(run_job(STAGE))
