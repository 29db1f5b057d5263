"""sessions -> vocabulary, feature_vocabulary, examples, histories, one run date."""

import sys
from datetime import datetime, timedelta
from math import ceil

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.examples import (
    Encoding,
    Shape,
    encode,
    extend_feature_vocabulary,
    extend_vocabulary,
    in_file_order,
    item_categories,
    seen_items,
    timeline,
    training_sequences,
    user_histories,
)
from intentrec.ledger import Run, Stage, champion_fingerprint, champion_of, run_job
from intentrec.tables import EXAMPLES, FEATURE_VOCABULARY, GATE_DECISIONS, HISTORIES, ITEMS, MODELS, SESSIONS, VOCABULARY

ROWS_PER_FILE = 100_000  # one row group of petastorm's best size; more doubles its memory


def build_examples(run: Run) -> dict[str, int]:
    """Number items and features, then cut the sessions into training rows and histories."""
    settings = run.config.examples
    window = settings.window_days
    since = None if window is None else run.cutoff.end_of(run.run_date - timedelta(days=window))
    ever = timeline(run.warehouse.read(SESSIONS), run.cutoff.end_of(run.run_date))
    events = ever if since is None else ever.where(F.col("occurred_at") >= F.lit(since))
    vocabulary, encoded, encoding = _encoded(run, ever, events)
    encoded = encoded.persist()
    try:
        shape = Shape(run.run_date, settings.history_length, len(encoding.columns))
        counters = _write_examples(run, encoded, shape)
        histories = user_histories(encoded, _seen(run, ever, vocabulary), *_active(run), shape)
        run.warehouse.replace(HISTORIES, histories, run_date=run.run_date)
    finally:
        encoded.unpersist()
    users = run.warehouse.read(HISTORIES).where(F.col("run_date") == F.lit(run.run_date)).count()
    return {"items": vocabulary.count(), **counters, "users": users}


def _encoded(run: Run, ever: DataFrame, events: DataFrame) -> tuple[DataFrame, DataFrame, Encoding]:
    """Extend the champion's numbers to tonight's items and values, write them, and apply them."""
    settings, night = run.config.examples, F.col("run_date") == F.lit(run.run_date)
    champion = champion_of(run)
    before = None if champion is None else F.col("run_date") == F.lit(champion.run_date)
    items = run.warehouse.read(ITEMS).where(night)
    known = None if before is None else run.warehouse.read(VOCABULARY).where(before)
    run.warehouse.replace(VOCABULARY, extend_vocabulary(ever, known, run.run_date), run_date=run.run_date)
    known = None if before is None else run.warehouse.read(FEATURE_VOCABULARY).where(before)
    features = extend_feature_vocabulary(events, items, settings.event_features, known, run.run_date)
    run.warehouse.replace(FEATURE_VOCABULARY, features, run_date=run.run_date)
    vocabulary = run.warehouse.read(VOCABULARY).where(night)
    features = run.warehouse.read(FEATURE_VOCABULARY).where(night)
    actions = run.config.input.actions
    weights = None if actions is None else {name: action.weight for name, action in actions.items()}
    encoding = Encoding(settings.event_features, settings.max_categories, weights)
    categories = item_categories(items, features, settings.max_categories)
    return vocabulary, encode(events, vocabulary, features, categories, encoding), encoding


def _write_examples(run: Run, encoded: DataFrame, shape: Shape) -> dict[str, int]:
    """Write the three splits in one commit: train, then the validation days, then the held-out days."""
    evaluation = run.config.evaluation
    ends: list[datetime | None] = [
        run.cutoff.end_of(run.run_date - timedelta(days=days))
        for days in (evaluation.holdout_days + evaluation.validation_days, evaluation.holdout_days, 0)
    ]
    splits = zip(("train", "validation", "holdout"), [None, *ends], ends, strict=False)
    parts = [training_sequences(encoded, split, since, until, shape) for split, since, until in splits if until]
    rows = parts[0].unionByName(parts[1]).unionByName(parts[2]).persist()
    try:
        counts = {row["split"]: row["count"] for row in rows.groupBy("split").count().collect()}
        # At least four files for each rank, so that every rank has some; a rank without rows feeds empty batches.
        rows_per_file = ceil(max(1, counts.get("train", 0)) / (4 * run.config.training.workers))
        files = in_file_order(rows)
        run.warehouse.replace(EXAMPLES, files, rows_per_file=min(ROWS_PER_FILE, rows_per_file), run_date=run.run_date)
    finally:
        rows.unpersist()
    return {f"{split}_rows": counts.get(split, 0) for split in ("train", "validation", "holdout")}


def _seen(run: Run, ever: DataFrame, vocabulary: DataFrame) -> DataFrame:
    """Collect what recommendations.seen excludes, from all history."""
    seen = run.config.recommendations.seen
    if seen is None:
        return run.spark.createDataFrame([], "user_id STRING, seen ARRAY<INT>")
    since = None if seen.days is None else run.cutoff.end_of(run.run_date - timedelta(days=seen.days))
    return seen_items(ever, vocabulary, None if seen.actions == "all" else seen.actions, since)


def _active(run: Run) -> tuple[datetime, datetime]:
    """Return the cut-off, and the instant from which on a user must have an event."""
    days = run.config.recommendations.active_days
    return run.cutoff.end_of(run.run_date), run.cutoff.end_of(run.run_date - timedelta(days=days))


STAGE = Stage(
    name="build_examples",
    body=build_examples,
    reads=(SESSIONS, ITEMS, GATE_DECISIONS, MODELS),
    writes=(VOCABULARY, FEATURE_VOCABULARY, EXAMPLES, HISTORIES),
    fingerprint=champion_fingerprint,
)

if __name__ == "__main__":
    sys.exit(run_job(STAGE))
