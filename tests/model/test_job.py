from dataclasses import replace

import pytest

from intentrec.errors import InputError
from intentrec.model.batches import Shard
from intentrec.model.job import EpochFigures, Settings, TrainingJob, check_sizes
from intentrec.model.shape import Field, preset_shape

JOB = TrainingJob(
    train=(Shard("train", 8, ("file:///a", "file:///b"), 12),),
    validation=(Shard("validation", 8, ("file:///c",), 3),),
    shape=preset_shape("intent", 5, [Field("action", 2)]),
    catalogue="catalogue",
    vocabulary="vocabulary",
    output="model",
    checkpoints="checkpoints",
    warm_start="old",
)


@pytest.fixture(autouse=True)
def old(tmp_path, monkeypatch):
    """The model to start from."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    manifest = tmp_path / "old" / "manifest.json"
    manifest.write_text("{}")
    return manifest


def test_a_model_to_start_from_counts_by_its_files(old):
    before = JOB.fingerprint()
    old.write_text("{} ")
    assert JOB.fingerprint() != before


def test_a_job_comes_back_from_json():
    assert TrainingJob.from_json(JOB.to_json()) == JOB


@pytest.mark.parametrize(
    "other",
    [
        replace(JOB, output="elsewhere"),
        replace(JOB, checkpoints="elsewhere"),
        replace(JOB, settings=Settings(epochs=99, patience=9, threads=1, read_timeout_s=5.0, max_skipped_steps=1)),
        replace(JOB, settings=Settings(time_limit_minutes=5.0)),
    ],
)
def test_what_does_not_change_a_step_does_not_change_the_fingerprint(other):
    assert other.fingerprint() == JOB.fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        replace(JOB, settings=Settings(seed=2)),
        replace(JOB, settings=Settings(learning_rate=0.1)),
        replace(JOB, settings=Settings(events_per_batch=1)),
        replace(JOB, settings=Settings(stop_by="ndcg")),  # a checkpoint holds the best weights so far
        replace(JOB, train=(Shard("train", 8, ("file:///a",), 12),)),
        replace(JOB, shape=preset_shape("sasrec", 5, [])),
        replace(JOB, warm_start=None),
    ],
)
def test_what_changes_a_step_changes_the_fingerprint(other):
    assert other.fingerprint() != JOB.fingerprint()


@pytest.mark.parametrize(
    ("loss", "ndcg", "by", "badness"),
    [
        (2.0, 0.25, "loss", (0.0, 2.0)),
        (2.0, 0.25, "ndcg", (-0.25, 2.0)),  # of equal lists the lower loss
        (2.0, None, "ndcg", (0.0, 2.0)),
        (None, None, "ndcg", None),
    ],
)
def test_an_epoch_is_better_by_a_lower_loss_or_a_higher_ndcg(loss, ndcg, by, badness):
    assert EpochFigures(1, {}, loss, {}, 1, 0, 1.0, ndcg).badness(by) == badness


def test_catalogue_and_vocabulary_must_have_the_networks_items():
    check_sizes(JOB, 5, 5)
    with pytest.raises(InputError, match="catalogue: has 4 items, the network 5; run build_examples again"):
        check_sizes(JOB, 4, 5)
    with pytest.raises(InputError, match="vocabulary: has 6 items, the network 5"):
        check_sizes(JOB, 5, 6)
