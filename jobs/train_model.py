"""examples -> models: tonight's challenger, which has not seen the held-out days."""

import sys
from dataclasses import replace
from datetime import timedelta

from intentrec import __version__
from intentrec.baselines import transitions_name
from intentrec.cluster.calibration import fit_prior, recentered
from intentrec.cluster.catalogue import Numbers, collect_numbers
from intentrec.cluster.evaluation import judge
from intentrec.cluster.heads import fit_calibrations
from intentrec.cluster.judging import JudgedDay, collect_sources, judged_days
from intentrec.cluster.priors import Prior, half_lives, save_prior
from intentrec.cluster.recommenders import CountingRecommender
from intentrec.cluster.training import (
    Examples,
    continued,
    curve,
    find_examples,
    forget_training,
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
    is_trained_anew,
    model_folder,
    night_of,
    pinned_examples,
    recall_figures,
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
    start = None if champion is None or is_trained_anew(run) else _start(run, night, champion.model_id)
    settings = (stage_hash(run.config, "train_model"), __version__)
    contents = (examples.content, numbers.content, None if start is None else start.model_id)
    model_id = model_identity("challenger", run.run_date, *settings, *contents)
    known = find_model(run, model_id)
    if known is not None:
        load_artifact(known.folder, known.files)  # a damaged one is named here, before anything relies on it
        recall_figures(run, model_id)
        run.log(f"model {model_id} has been trained on the same rows before")
        return {"epochs": 0}
    days = _validation_days(run, night, numbers)
    base, challenger = _jobs(run, numbers, examples, (model_id, start))
    chosen, through = train(run.spark, (base, challenger), numbers, run.config.training, debug=run.debug)
    _tell(run, chosen, base)
    _tell(run, through, challenger)
    prior, fitted = _fitted_prior(run, numbers, model_id, days)
    learnt = [Measured(model_id, segment, metric, None, step, value) for segment, metric, step, value in curve(chosen)]
    trained = Scorer(load_artifact(model_folder(run, model_id)))
    started = load_artifact(start_folder(run, model_id))  # has not learnt from the validation days
    calibrations = fit_calibrations(started, examples.of("validation"))
    model = Model(
        model_id=model_id,
        run_date=run.run_date,
        kind="challenger",
        folder=model_folder(run, model_id),
        files=save_prior(model_folder(run, model_id), recentered(prior, trained, numbers.fields, days), calibrations),
        trained_until=night.end(run.config.evaluation.holdout_days),
        warm_started_from=start.model_id if start is not None and chosen.warm_started else None,
    )
    measured = [*learnt, *fitted, *_rivals(run, days)]
    record_figures(run, "train_model", measured)
    add_model(run, model, measured)
    forget_training((base, challenger))
    return {"epochs": len(chosen.epochs), "best_epoch": chosen.best_epoch}


def _start(run: Run, night: Night, champion_id: str) -> Model | None:
    """Return the champion to train on from, unless it knows days that tonight is validated or judged on."""
    settings, start = run.config.evaluation, get_model(run, champion_id)
    if not start.has_learnt_from(night.end(settings.holdout_days + settings.validation_days), as_start=True):
        return start
    run.warn(
        f"table models: {champion_id} has learnt from days that tonight validates on, evaluation.holdout_days or "
        "validation_days grew since; trained from nothing"
    )
    return None


def _validation_days(run: Run, night: Night, numbers: Numbers) -> list[JudgedDay]:
    settings = run.config.evaluation
    events = night.events().persist()
    try:
        span = (settings.holdout_days + settings.validation_days, settings.validation_days)
        days = judged_days(night, events, numbers, span, settings)
        names = map(transitions_name, settings.evidence_reach)
        pause = timedelta(minutes=run.config.sessions.gap_minutes)
        sources = collect_sources(events, night.end(span[0]), names, pause, len(numbers.vocabulary.items))
        return [replace(day, sources=sources) for day in days]
    finally:
        events.unpersist()


def _jobs(
    run: Run, numbers: Numbers, examples: Examples, names: tuple[str, Model | None]
) -> tuple[TrainingJob, TrainingJob]:
    """Plan the base and the challenger.

    The base's best epoch and its prior are chosen on the validation days, which it does not learn from. The challenger
    then learns from them as well, since what appeared in them is what the held-out days are about; the base stays as
    it is, for the next night to start from without having seen what that night validates on.
    """
    model_id, start = names
    shape = network_shape(numbers, run.config.model)
    settings = training_settings(run.config.training, run.config.model.intent_weight)
    base_folder, folder = start_folder(run, model_id), model_folder(run, model_id)
    earlier = None if start is None else start_folder(run, start.model_id)
    base = training_job((examples.of("train"), examples.of("validation")), shape, settings, base_folder, earlier)
    both = (examples.of("train", "validation"), ())
    return base, training_job(both, shape, continued(settings), folder, base_folder)


def _tell(run: Run, result: TrainingResult, job: TrainingJob) -> None:
    for note in result.notes:
        run.warn(note)
    skipped = sum(epoch.skipped_steps for epoch in result.epochs)
    if skipped:
        run.warn(f"{skipped:,} steps were skipped, their loss or gradient was not finite; look for extreme weights")
    for line in rank_lines(result, sum(shard.rows for shard in job.train)):
        run.log(line)


def _fitted_prior(run: Run, numbers: Numbers, model_id: str, days: list[JudgedDay]) -> tuple[Prior, list[Measured]]:
    """Fit the base's prior on the validation days."""
    k, num_lists = run.config.evaluation.k[0], sum(len(day.users) for day in days)
    prior, quality = fit_prior(Scorer(load_artifact(start_folder(run, model_id))), numbers.fields, days, k)
    mix = f"half-life {prior.half_life_hours:g} h, weight {prior.weight:g}, shrinkage {prior.shrink_events:g} events"
    mix += "".join(f", {name} {weight:g}" for name, weight in prior.evidence)
    run.log(f"prior: {mix}: ndcg@{k} {quality:.4f} on {num_lists:,} lists")
    return prior, [
        Measured(model_id, VALIDATION, "prior_half_life_hours", None, None, prior.half_life_hours),
        Measured(model_id, VALIDATION, "prior_weight", None, None, prior.weight),
        Measured(model_id, VALIDATION, "prior_shrink_events", None, None, prior.shrink_events),
        *(Measured(model_id, VALIDATION, f"prior_{name}", None, None, weight) for name, weight in prior.evidence),
        Measured(model_id, VALIDATION, "ndcg", k, None, quality, num_users=num_lists),
    ]


def _rivals(run: Run, days: list[JudgedDay]) -> list[Measured]:
    """Judge every window and half-life of popularity on the validation days: the gate takes the best of each kind."""
    settings, seed = run.config.evaluation, run.config.training.seed
    windows = [CountingRecommender.popular(hours) for hours in settings.popularity_hours]
    faded = [CountingRecommender.decayed(hours) for hours in half_lives(settings.popularity_hours)]
    return [
        Measured(rival.name, VALIDATION, f.metric, f.k, None, f.value, f.low, f.high, f.num_users)
        for rival in (*windows, *faded)
        for f in judge(rival, days, settings.k[:1], seed).figures
    ]


STAGE = Stage(
    name="train_model",
    body=train_model,
    reads=(EXAMPLES, VOCABULARY, FEATURE_VOCABULARY, ITEMS, SESSIONS, GATE_DECISIONS),
    writes=(MODELS, METRICS),
    fingerprint=lambda run: f"{champion_fingerprint(run)}, anew {is_trained_anew(run)}",
    files=("checkpoint", "model"),
)

if __name__ == "__main__":
    sys.exit(run_job(STAGE))
