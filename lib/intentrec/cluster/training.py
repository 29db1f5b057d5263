"""examples -> a trained model: the ranks are started on Spark, on this machine, or in this process."""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from intentrec.cluster.catalogue import Numbers
from intentrec.config import ModelConfig, TrainingConfig
from intentrec.errors import ConfigError
from intentrec.model.batches import Shard
from intentrec.model.checkpoint import save_catalogue, save_vocabulary
from intentrec.model.distributed import Launch, check_slots, launch
from intentrec.model.files import check_readable
from intentrec.model.job import Settings, TrainingJob, TrainingResult
from intentrec.model.shape import ACTION, NetworkShape, preset_shape
from intentrec.model.training import run_jobs
from intentrec.spark import shipped_code, slots

_OF_STALL = 0.75  # of the time others wait for a rank: one whose storage hangs says so before they lose patience


@dataclass(frozen=True, slots=True)
class Examples:
    """One night's rows of one version of the table.

    Attributes:
        shards: one per split and length bucket, sorted.
        content: of all rows, whatever files they lie in and in whatever order.
    """

    shards: tuple[Shard, ...]
    content: str

    def of(self, *splits: str) -> tuple[Shard, ...]:
        """Return the shards of some splits."""
        return tuple(shard for shard in self.shards if shard.split in splits)


def find_examples(rows: DataFrame, files: Sequence[str]) -> Examples:
    """Count the rows of one night, and lay their files to their split and bucket.

    Args:
        rows: EXAMPLES rows of one run date and version.
        files: the files of exactly these rows.
    """
    hashed = F.sum(F.xxhash64(*rows.columns).cast("decimal(38,0)")).cast("string").alias("content")
    numbers = F.sum(F.col("row_id").cast("decimal(38,0)")).cast("string").alias("row_ids")
    counts = rows.groupBy("split", "length_bucket").agg(F.count(F.lit(1)).alias("rows"), numbers, hashed).collect()
    found = sorted(tuple(row) for row in counts)
    shards = []
    for split, bucket, num_rows, row_ids, _ in found:
        folder = f"/split={split}/length_bucket={bucket}/"
        own = tuple(file for file in files if folder in unquote(file))
        shards.append(Shard(split, bucket, own, num_rows, int(row_ids) % 2**64))
    return Examples(tuple(shards), hashlib.sha256(repr(found).encode()).hexdigest())


def network_shape(numbers: Numbers, model: ModelConfig) -> NetworkShape:
    """Return the preset's shape on this night's items and features.

    Raises:
        ConfigError: the log has no action of the name of ``target_action``.
    """
    switches = {
        name: getattr(model, name)
        for name in (
            "width", "layers", "intent_layers", "attention_heads", "dropout", "id_drop", "heads", "clusters",
            "feed_intents", "long_term", "readout", "levels", "interests", "condition_on_action",
        )
        if getattr(model, name) is not None
    }  # fmt: skip
    if model.short_term_days is not None:
        switches["short_term_days"] = model.short_term_days or None
    if model.condition_on_action and model.target_action is not None:
        switches["target_action"] = _action_index(numbers, model.target_action)
    return preset_shape(model.preset, len(numbers.vocabulary.items), numbers.fields, **switches)


def _action_index(numbers: Numbers, action: str) -> int:
    known = numbers.vocabulary.values.get(ACTION, ())
    if action not in known:
        raise ConfigError(
            f"model.target_action: {action!r} is no action in feature_vocabulary, wanted one of "
            f"{', '.join(known) or 'none: examples.event_features lacks action'}"
        )
    return known.index(action) + 1


def training_settings(training: TrainingConfig, intent_weight: float) -> Settings:
    """Return how the ranks train."""
    return Settings(
        epochs=training.epochs,
        warm_epochs=training.warm_epochs,
        patience=training.patience,
        rate_falls=training.rate_falls,
        stop_by=training.stop_by,
        time_limit_minutes=training.time_limit_minutes,
        learning_rate=training.learning_rate,
        events_per_batch=training.events_per_batch,
        intent_weight=intent_weight,
        target_days=training.target_days,
        loss=training.loss,
        negatives=training.negatives,
        mixed_negatives=training.negative_draws == "mixed",
        gbce_calibration=training.gbce_calibration,
        contrast_weight=training.contrast_weight,
        transition_weight=training.transition_weight,
        precision=training.precision,
        sparse_gradients=training.sparse_gradients,
        max_skipped_steps=training.max_skipped_steps,
        seed=training.seed,
        read_timeout_s=_OF_STALL * training.stall_timeout_s,
    )


def continued(settings: Settings) -> Settings:
    """Return how a finished model is trained on through further days: one pass, at half the rate that it ended with."""
    return replace(settings, epochs=1, warm_epochs=None, learning_rate=settings.learning_rate / 2, keep_rate=True)


def model_identity(*parts: object) -> str:
    """Return the id of a model: a hash of all that decides it."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:16]


def training_job(
    shards: tuple[tuple[Shard, ...], tuple[Shard, ...]],
    shape: NetworkShape,
    settings: Settings,
    folder: Path,
    warm_start: Path | None,
) -> TrainingJob:
    """Say what is trained.

    Args:
        shards: to learn from, and to choose the epoch by.
        shape: of the network.
        settings: how to train.
        folder: of the finished model; checkpoints and what the ranks read lie beside it until then.
        warm_start: folder of the model whose weights are trained on.
    """
    # A night trains twice under one id, into starts/ID and models/ID: neither may meet what the other left.
    work = folder.parent.parent / "training" / f"{folder.parent.name}-{folder.name}"
    return TrainingJob(
        train=shards[0],
        validation=shards[1],
        shape=shape,
        settings=settings,
        catalogue=str(work / "catalogue.safetensors"),
        vocabulary=str(work / "vocabulary.json"),
        output=str(folder),
        checkpoints=str(work / "checkpoints"),
        warm_start=None if warm_start is None else str(warm_start),
    )


def train(
    spark: SparkSession, jobs: Sequence[TrainingJob], numbers: Numbers, training: TrainingConfig, *, debug: bool = False
) -> tuple[TrainingResult, ...]:
    """Write what the ranks read, start them once, and return what they say of each job.

    Args:
        spark: the session.
        jobs: what is trained, one after the other; a later one may start from the weights of an earlier one.
        numbers: of the night.
        training: how many ranks, and how they are started.
        debug: a failing rank prints its trace as well.

    Raises:
        SetupError: there are fewer task slots than ranks, or Horovod or what reads the examples' storage is missing.
        TrainingError: a rank failed; all have ended.
    """
    folders = [Path(job.catalogue).parent for job in jobs]
    how = Launch(
        workers=training.workers,
        launcher=training.launcher,
        start_timeout_s=training.start_timeout_s,
        stall_timeout_s=training.stall_timeout_s,
        notes=str(folders[0] / "notes"),  # all ranks see it: they read the catalogue beside it
        debug=debug,
        slots=slots(spark, training.workers) if training.launcher == "spark" and training.workers > 1 else None,
        shipped=shipped_code(spark),
    )
    check_slots(how)
    check_readable([file for job in jobs for shard in (*job.train, *job.validation) for file in shard.files])
    for folder, job in zip(folders, jobs, strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        save_catalogue(Path(job.catalogue), numbers.catalogue)
        save_vocabulary(Path(job.vocabulary), numbers.vocabulary)
    return launch(run_jobs, tuple(jobs), how)[0]


def forget_training(jobs: Iterable[TrainingJob]) -> None:
    """Remove the checkpoints of models that are recorded: until then a killed night goes on from them."""
    for job in jobs:
        shutil.rmtree(Path(job.catalogue).parent, ignore_errors=True)


def curve(result: TrainingResult) -> list[tuple[str, str, int, float]]:
    """List a training's figures: (segment, metric, step, value); the segment is ``all`` or an intent head."""
    rows: list[tuple[str, str, int, float]] = []
    for epoch in result.epochs:
        for term, value in epoch.train_loss.items():
            rows.append(("all" if term == "item" else term, "train_loss", epoch.epoch, value))
        if epoch.validation_loss is not None:
            rows.append(("all", "validation_loss", epoch.epoch, epoch.validation_loss))
        if epoch.validation_ndcg is not None:
            rows.append(("all", "validation_ndcg", epoch.epoch, epoch.validation_ndcg))
        for head, figures in epoch.heads.items():
            rows.append((head, "validation_accuracy", epoch.epoch, figures.accuracy))
            rows.append((head, "validation_majority_share", epoch.epoch, figures.majority_share))
        rows.append(("all", "skipped_steps", epoch.epoch, float(epoch.skipped_steps)))
    return rows


def rank_lines(result: TrainingResult, expected: int) -> Iterable[str]:
    """Say what each rank did, and compare the sum with the table."""
    for rank in result.ranks:
        yield f"rank {rank.rank} pid {rank.pid} on {rank.device}: {rank.files} files, {rank.rows} rows an epoch"
    read = sum(rank.rows for rank in result.ranks)
    yield f"all ranks: {read} rows an epoch, table examples: {expected}"
