"""sessions -> vocabulary, feature_vocabulary, examples, histories, one run date."""

import sys
from datetime import timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.examples import (
    Night,
    Weighing,
    effective_share,
    extend_feature_vocabulary,
    extend_vocabulary,
    in_equal_files,
    timeline,
    training_sequences,
    user_histories,
    weighed,
)
from intentrec.ledger import Run, Stage, champion_fingerprint, champion_of, night_of, run_job, tonight
from intentrec.tables import (
    EXAMPLES,
    FEATURE_VOCABULARY,
    GATE_DECISIONS,
    HISTORIES,
    ITEMS,
    MODELS,
    RULES,
    SESSIONS,
    VOCABULARY,
)

_LEAST_IN_EFFECT = 0.3


def build_examples(run: Run) -> dict[str, int]:
    """Number items and feature values, then cut the sessions into training rows and histories."""
    _write_vocabularies(run)
    night = night_of(run)
    events = night.events().persist()
    try:
        counters = _write_examples(run, night, events)
        active_since = night.end(run.config.recommendations.active_days)
        histories = user_histories(events, night.seen_before(night.end()), night.end(), active_since, night.shape)
        run.warehouse.replace(HISTORIES, histories, run_date=run.run_date)
    finally:
        events.unpersist()
    return {"items": night.vocabulary.count(), **counters, "users": tonight(run, HISTORIES).count()}


def _write_vocabularies(run: Run) -> None:
    """Extend the champion's numbers to tonight's items and values, so that its weights stay usable."""
    champion = champion_of(run)
    known = None if champion is None else F.col("run_date") == F.lit(champion.run_date)
    events = timeline(run.warehouse.read(SESSIONS), run.cutoff.end_of(run.run_date))
    before = None if known is None else run.warehouse.read(VOCABULARY).where(known)
    run.warehouse.replace(VOCABULARY, extend_vocabulary(events, before, run.run_date), run_date=run.run_date)
    fields, learnt = run.config.examples.fields, run.cutoff.end_of(run.run_date - timedelta(days=_judged_days(run)))
    before = None if known is None else run.warehouse.read(FEATURE_VOCABULARY).where(known)
    values = extend_feature_vocabulary(events, tonight(run, ITEMS), fields, before, run.run_date, learnt)
    run.warehouse.replace(FEATURE_VOCABULARY, values, run_date=run.run_date)


def _write_examples(run: Run, night: Night, events: DataFrame) -> dict[str, int]:
    """Write the three splits in one commit: train, then the validation days, then the held-out days."""
    held_out, validated = run.config.evaluation.holdout_days, _judged_days(run)
    until = night.end(validated)
    settings = run.config.examples
    weighing = Weighing(settings.half_life_days, settings.weigh_by_value, settings.rarity_floor)
    learnt = weighed(events.where(F.col("occurred_at") < F.lit(until)), until, weighing)
    train = training_sequences(learnt, "train", None, until, night.shape, settings.max_user_share)
    validation = training_sequences(events, "validation", until, night.end(held_out), night.shape)
    holdout = training_sequences(events, "holdout", night.end(held_out), night.end(), night.shape)
    rows = train.unionByName(validation).unionByName(holdout).persist()
    try:
        found = rows.groupBy("split", "length_bucket").count().collect()
        counts = {(row["split"], row["length_bucket"]): row["count"] for row in found}
        files = in_equal_files(rows, counts, run.config.training.workers)
        run.warehouse.replace(EXAMPLES, files, run_date=run.run_date)
        if weighing.by_value or weighing.rarity_floor is not None:
            _tell_weights(run, rows.where(F.col("split") == "train"), weighing)
    finally:
        rows.unpersist()
    splits = ("train", "validation", "holdout")
    return {f"{name}_rows": sum(rows for (split, _), rows in counts.items() if split == name) for name in splits}


def _tell_weights(run: Run, rows: DataFrame, weighing: Weighing) -> None:
    """Say how many events the weights leave in effect; of few, whichever they are, a training learns little."""
    num, share = effective_share(rows)
    told = f"weights leave {share:.0%} of {num} training events in effect"
    remedies = {
        "raise examples.rarity_floor": weighing.rarity_floor is not None,
        "turn examples.weigh_by_value off": weighing.by_value,
        "lengthen examples.half_life_days": weighing.half_life_days is not None,
    }
    if share < _LEAST_IN_EFFECT:
        run.warn(f"{told}; {', or '.join(remedy for remedy, set_ in remedies.items() if set_)}")
    else:
        run.log(told)


def _judged_days(run: Run) -> int:
    """Return how many of the newest days a first model is not trained on."""
    return run.config.evaluation.holdout_days + run.config.evaluation.validation_days


STAGE = Stage(
    name="build_examples",
    body=build_examples,
    reads=(SESSIONS, ITEMS, RULES, GATE_DECISIONS, MODELS),
    writes=(VOCABULARY, FEATURE_VOCABULARY, EXAMPLES, HISTORIES),
    fingerprint=champion_fingerprint,
)

if __name__ == "__main__":
    sys.exit(run_job(STAGE))
