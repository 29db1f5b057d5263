from dataclasses import replace

import pytest

from intentrec.model.batches import Shard
from intentrec.model.job import Settings, TrainingJob
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


def test_a_job_comes_back_from_json():
    assert TrainingJob.from_json(JOB.to_json()) == JOB


@pytest.mark.parametrize(
    "other",
    [
        replace(JOB, output="elsewhere"),
        replace(JOB, checkpoints="elsewhere"),
        replace(JOB, settings=Settings(epochs=99, patience=9, threads=1, read_timeout_s=5.0, max_skipped_steps=1)),
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
        replace(JOB, train=(Shard("train", 8, ("file:///a",), 12),)),
        replace(JOB, shape=preset_shape("sasrec", 5, [])),
        replace(JOB, warm_start=None),
    ],
)
def test_what_changes_a_step_changes_the_fingerprint(other):
    assert other.fingerprint() != JOB.fingerprint()
