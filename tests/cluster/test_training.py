from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from pyspark.sql import functions as F
from tests.cluster.worlds import DAY, FIELDS, NAMES, catalogue_of, ids

from intentrec.cluster.catalogue import Numbers
from intentrec.cluster.training import (
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
from intentrec.config import ModelConfig, TrainingConfig
from intentrec.errors import ConfigError, SetupError, TrainingError
from intentrec.examples import Shape, training_sequences
from intentrec.io import Warehouse
from intentrec.model.batches import Reading, Shard, read_batches
from intentrec.model.checkpoint import Vocabulary, load_artifact
from intentrec.model.distributed import Launch
from intentrec.model.job import EpochFigures, HeadFigures, RankFigures, Settings, TrainingResult
from intentrec.model.shape import preset_shape
from intentrec.tables import EXAMPLES

ENCODED_COLUMNS = (
    "user_id STRING, occurred_at TIMESTAMP, sequence BIGINT, event_id STRING, action STRING, item_index INT, "
    "weight FLOAT, features ARRAY<INT>"
)
NUMBERS = Numbers(Vocabulary(ids(8), NAMES), FIELDS, catalogue_of(8), np.zeros(9, np.int64), np.arange(9) > 0)
SMALL = ModelConfig(width=8, layers=1, attention_heads=2)
ALONE = TrainingConfig(workers=1, launcher="single", epochs=2)


def encoded(spark):
    """Twelve users who walk from an item to the next, for 5 to 12 events each."""
    start = datetime(2024, 5, 1, tzinfo=UTC)
    rows = [
        (f"u{user}", start + timedelta(minutes=step), 0, f"{user}-{step}", "view", (user + step) % 8 + 1, 1.0,
         [1 + step % 2, 1 + (user + step + 1) % 3, 0])
        for user in range(12)
        for step in range(5 + user % 8)
    ]  # fmt: skip
    return spark.createDataFrame(rows, ENCODED_COLUMNS)


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """Tonight's and another night's rows; tonight's are then written once more in other files."""
    made = Warehouse(spark, str(tmp_path_factory.mktemp("shop") / "a b#c%20é"), in_catalog=False)
    made.create([EXAMPLES])
    end = datetime(2024, 5, 2, tzinfo=UTC)
    later = datetime(2024, 5, 1, 0, 7, tzinfo=UTC)
    events, shape = encoded(spark), Shape(DAY, 16, 3)
    rows = training_sequences(events, "train", None, later, shape)
    rows = rows.unionByName(training_sequences(events, "validation", later, end, shape)).persist()
    others = rows.withColumn("run_date", F.lit(date(2024, 5, 1)))
    made.append(EXAMPLES, rows.unionByName(others).coalesce(1))
    first = made.version(EXAMPLES)
    made.replace(EXAMPLES, made.read(EXAMPLES).where(f"run_date = '{DAY}'").repartition(3), run_date=DAY)
    return made, first


def tonight(made, version):
    return made.read(EXAMPLES, version).where(f"run_date = '{DAY}'"), made.files(EXAMPLES, version, run_date=DAY)


def test_examples_are_found_by_split_and_bucket_and_trained_on(spark, warehouse, tmp_path):
    made, first = warehouse
    pinned, rewritten = (find_examples(*tonight(made, version)) for version in (first, made.version(EXAMPLES)))
    # All 12 users have two events before 0:07; 6 have events after it, 4 of them more than 8 in all.
    assert [(shard.split, shard.bucket, shard.rows) for shard in pinned.shards] == [
        ("train", 8, 12), ("validation", 8, 2), ("validation", 16, 4),
    ]  # fmt: skip
    assert pinned.content == rewritten.content
    assert pinned.shards[0].files != rewritten.shards[0].files
    assert len(rewritten.shards[0].files) > 1
    for shard in (*pinned.shards, *rewritten.shards):
        rows = spark.read.parquet(*map(unquote, shard.files)).select("row_id").collect()
        assert len(rows) == shard.rows
        assert sum(row["row_id"] for row in rows) % 2**64 == shard.row_id_sum
    assert [shard.split for shard in pinned.of("validation", "holdout")] == ["validation"] * 2
    one_row_less = tonight(made, first)[0].where("length != 6")
    assert find_examples(one_row_less, []).content != pinned.content

    settings = training_settings(ALONE, 0.3)
    shape = network_shape(NUMBERS, SMALL)
    job = training_job((pinned.of("train"), pinned.of("validation")), shape, settings, tmp_path / "models" / "m1", None)
    models = tmp_path / "models"
    again = training_job((pinned.of("train"), ()), shape, settings, models / "m2", models / "m1")
    result, warm = train(spark, [job, again], NUMBERS, ALONE)
    artifact = load_artifact(tmp_path / "models" / "m1", result.files)
    assert artifact.vocabulary == NUMBERS.vocabulary
    assert [epoch.rows for epoch in result.epochs] == [12, 12]
    assert len([*(tmp_path / "training").iterdir()]) == 2  # a killed night goes on from them
    forget_training([job, again])
    assert not [*(tmp_path / "training").iterdir()]
    assert list(rank_lines(result, 12))[-1] == "all ranks: 12 rows an epoch, table examples: 12"
    assert "1 files, 12 rows an epoch" in next(iter(rank_lines(result, 12)))
    assert warm.warm_started  # from what the first job left
    assert warm.weights_sha256 != result.weights_sha256


def rows_read(shards, size):
    """Read an epoch as so many ranks do; return the numbers of the rows of each."""
    plans = [(shard, rank) for rank in range(size) for shard in shards]
    return sorted(
        row
        for shard, rank in plans
        for batch in read_batches(shard, Reading(rank, size, 4, seed=1))
        for row in batch.row_ids_B.tolist()
    )


def test_the_ranks_read_the_rows_of_the_pinned_version_after_overwrite_delete_and_optimise(spark, tmp_path):
    made = Warehouse(spark, str(tmp_path / "shop"), in_catalog=False)
    made.create([EXAMPLES])
    later = datetime(2024, 5, 2, tzinfo=UTC)
    rows = training_sequences(encoded(spark), "train", None, later, Shape(DAY, 16, 3)).persist()
    first_rows = {row["row_id"] for row in rows.collect()}
    made.append(EXAMPLES, rows.repartition(3))
    changes = {
        "overwrite": lambda: made.replace(EXAMPLES, rows.where("length > 5").repartition(4), run_date=DAY),
        "delete": lambda: made.delete(EXAMPLES, length=6),
        "optimise": lambda: made.delta(EXAMPLES).optimize().executeCompaction(),
    }
    wanted, files = [(len(first_rows), "append")], []
    for name, change in changes.items():
        change()
        pinned, own = tonight(made, made.version(EXAMPLES))
        shards, numbers = find_examples(pinned, own).shards, sorted(row["row_id"] for row in pinned.collect())
        assert [rows_read(shards, size) for size in (1, 2)] == [numbers, numbers]
        assert sum(shard.rows for shard in shards) == len(numbers)
        wanted.append((len(numbers), name))
        files.append(len(own))
    # Users have 5 to 12 events: 12 rows; without those of 5 events 10, without those of 6 events 8.
    assert wanted == [(12, "append"), (10, "overwrite"), (8, "delete"), (8, "optimise")]
    assert files[2] < files[1]
    shard = find_examples(*tonight(made, made.version(EXAMPLES))).shards[0]
    Path(unquote(shard.files[0]).removeprefix("file:")).unlink()  # as a vacuum of a table of no retention would
    with pytest.raises(TrainingError, match="a file of the pinned version of examples is gone, probably vacuumed"):
        rows_read([shard], 2)


def test_more_ranks_than_task_slots_are_refused_before_anything_starts(spark, tmp_path):
    job = training_job(((), ()), network_shape(NUMBERS, SMALL), Settings(), tmp_path / "models" / "m", None)
    with pytest.raises(SetupError) as caught:
        train(spark, [job], NUMBERS, TrainingConfig(workers=3, launcher="spark"))
    assert str(caught.value) == (
        "training.workers: 3 ranks need as many task slots, Spark has 2. Lower training.workers, give spark.master "
        "more cores, or set training.launcher to local"
    )
    assert list(tmp_path.iterdir()) == []


def test_ranks_leave_their_errors_where_all_of_them_see_it_and_their_traces_when_asked(spark, tmp_path, monkeypatch):
    seen = []

    def fail(function, job, how):
        seen.append(how)
        raise TrainingError("rank 1 of 2: no")

    monkeypatch.setattr("intentrec.cluster.training.launch", fail)
    job = training_job(((), ()), network_shape(NUMBERS, SMALL), Settings(), tmp_path / "models" / "m", None)
    two = TrainingConfig(workers=2, launcher="spark", start_timeout_s=7, stall_timeout_s=8)
    for debug in (False, True):
        with pytest.raises(TrainingError):
            train(spark, [job], NUMBERS, two, debug=debug)
    with pytest.raises(SetupError, match="odd://shop/x: examples cannot be read"):
        train(spark, [replace(job, train=(Shard("train", 8, ("odd://shop/x",), 1),))], NUMBERS, two)
    place = f"{tmp_path}/training/models-m/notes"
    assert seen == [Launch(2, "spark", 7, 8, place, debug, slots=2) for debug in (False, True)]
    written = sorted(path.name for path in (tmp_path / "training" / "models-m").iterdir())
    assert written == ["catalogue.safetensors", "vocabulary.json"]


def test_the_config_decides_the_shape_and_how_ranks_train():
    model = ModelConfig(preset="sasrec", width=12, layers=3, intent_layers=2, attention_heads=3, dropout=0.4)
    shape = network_shape(NUMBERS, model)
    sizes = (shape.width, shape.layers, shape.intent_layers, shape.attention_heads, shape.dropout)
    assert sizes == (12, 3, 2, 3, 0.4)
    assert (shape.num_items, shape.fields, shape.heads) == (8, FIELDS, ())
    assert (shape.readout, shape.short_term_days, shape.feed_intents) == ("last", None, True)
    training = TrainingConfig(
        epochs=7,
        warm_epochs=2,
        patience=3,
        stop_by="ndcg",
        time_limit_minutes=45,
        learning_rate=0.5,
        events_per_batch=9,
        max_skipped_steps=4,
        seed=5,
        stall_timeout_s=6,
        target_days=2.5,
        contrast_weight=0.2,
        transition_weight=0.1,
        loss="gbce",
        negatives=77,
        negative_draws="mixed",
        gbce_calibration=0.5,
        sparse_gradients=False,
    )
    assert training_settings(training, 0.9) == Settings(
        epochs=7, warm_epochs=2, patience=3, stop_by="ndcg", learning_rate=0.5, events_per_batch=9, intent_weight=0.9,
        time_limit_minutes=45,
        max_skipped_steps=4, seed=5, read_timeout_s=4.5, loss="gbce", negatives=77, mixed_negatives=True,
        gbce_calibration=0.5, sparse_gradients=False, target_days=2.5,
        contrast_weight=0.2, transition_weight=0.1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        ({}, {}),
        ({"preset": "gru4rec"}, {"layers": 1, "encoder": "gru", "id_drop": 0.0}),
        ({"preset": "gru4rec", "layers": 2, "id_drop": 0.5}, {"layers": 2, "id_drop": 0.5}),
        ({"preset": "atten_mixer", "levels": 3}, {"readout": "atten_mixer", "levels": 3, "encoder": "none"}),
        ({"readout": "multi_interest", "interests": 2}, {"readout": "multi_interest", "interests": 2}),
        ({"heads": ["novelty"], "feed_intents": False}, {"heads": ("novelty",), "feed_intents": False}),
        ({"long_term": True}, {"long_term": True}),
        ({"clusters": 5}, {"clusters": 5, "heads": ("action", "category", "novelty", "item_age", "cluster")}),
        ({"short_term_days": 0}, {"short_term_days": None, "id_drop": 0.1}),
        ({"short_term_days": 1.5, "id_drop": 0.0}, {"short_term_days": 1.5, "id_drop": 0.0}),
        ({"condition_on_action": True}, {"condition_on_action": True, "target_action": 0}),
        ({"condition_on_action": True, "target_action": "buy"}, {"condition_on_action": True, "target_action": 2}),
        ({"target_action": "buy"}, {"condition_on_action": False, "target_action": 0}),
    ],
)
def test_a_switch_of_the_config_is_one_of_the_network(values, changed):
    shape = network_shape(NUMBERS, ModelConfig.model_validate(values))
    preset = values.get("preset", "intent")
    assert shape == replace(preset_shape(preset, 8, FIELDS), **changed)


def test_an_action_that_the_log_does_not_have_is_refused():
    model = ModelConfig(condition_on_action=True, target_action="bye")
    with pytest.raises(ConfigError, match=r"model.target_action: 'bye' is no action in feature_vocabulary, wanted one"):
        network_shape(NUMBERS, model)


def test_a_finished_model_is_trained_on_once_at_half_the_rate_that_it_ended_with():
    assert continued(Settings(epochs=9, warm_epochs=3, learning_rate=0.5, seed=4)) == Settings(
        epochs=1, learning_rate=0.25, seed=4, keep_rate=True
    )


def test_what_the_ranks_read_lies_beside_the_models():
    shards = (Shard("train", 8, ("file:///x",), 1),)
    shape = network_shape(NUMBERS, SMALL)
    job = training_job((shards, ()), shape, Settings(), Path("/a/models/m7"), Path("/a/models/m6"))
    assert (job.train, job.validation) == (shards, ())
    assert (job.output, job.warm_start) == ("/a/models/m7", "/a/models/m6")
    assert (job.catalogue, job.vocabulary, job.checkpoints) == (
        "/a/training/models-m7/catalogue.safetensors", "/a/training/models-m7/vocabulary.json",
        "/a/training/models-m7/checkpoints",
    )  # fmt: skip
    base = training_job((shards, ()), shape, Settings(), Path("/a/starts/m7"), None)
    assert base.checkpoints == "/a/training/starts-m7/checkpoints"  # the night's two trainings do not meet


def test_an_identity_depends_on_every_part_and_on_its_place():
    made = {model_identity(*parts) for parts in (("a", "b"), ("b", "a"), ("a", "c"), ("a",), ("a", None))}
    assert len(made) == 5
    assert model_identity("a", DAY) == model_identity("a", DAY)
    assert all(len(name) == 16 for name in made)


def test_a_curve_names_the_head_or_all_and_ranks_say_what_they_read():
    epochs = (
        EpochFigures(1, {"item": 5.0, "action": 0.7}, 4.0, {"action": HeadFigures(0.75, 0.5, 0.6, 9)}, 20, 0, 1.0),
        EpochFigures(2, {"item": 4.5}, None, {}, 20, 3, 1.0, 0.25),
    )
    result = TrainingResult(
        (), epochs, 1, (RankFigures(0, 11, "cpu", 2, 15), RankFigures(1, 12, "cpu", 1, 4)), "", False, 0
    )
    assert curve(result) == [
        ("all", "train_loss", 1, 5.0),
        ("action", "train_loss", 1, 0.7),
        ("all", "validation_loss", 1, 4.0),
        ("action", "validation_accuracy", 1, 0.75),
        ("action", "validation_majority_share", 1, 0.5),
        ("all", "skipped_steps", 1, 0.0),
        ("all", "train_loss", 2, 4.5), ("all", "validation_ndcg", 2, 0.25), ("all", "skipped_steps", 2, 3.0),
    ]  # fmt: skip
    assert list(rank_lines(result, 20)) == [
        "rank 0 pid 11 on cpu: 2 files, 15 rows an epoch",
        "rank 1 pid 12 on cpu: 1 files, 4 rows an epoch",
        "all ranks: 19 rows an epoch, table examples: 20",
    ]
