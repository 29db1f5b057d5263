"""What ends a training: patience, time, and numbers that are not finite."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model.synthetic import FIELDS, NUM_ITEMS, rows_of, write_shard
from tests.model.test_training import FAST, weights_of

from intentrec.errors import TrainingError
from intentrec.model.checkpoint import load_artifact
from intentrec.model.distributed import launch
from intentrec.model.pace import Pace
from intentrec.model.ranks import OneRank
from intentrec.model.shape import preset_shape
from intentrec.model.training import _Training, run_rank


def test_training_stops_when_validation_has_not_improved_for_its_patience(make_job):
    job = make_job(replace(FAST, epochs=9, patience=2, learning_rate=1e-30))  # nothing is learnt
    (result,) = launch(run_rank, job)
    assert len(result.epochs) == 3
    assert result.best_epoch == 1


def test_before_that_the_rate_falls(make_job, monkeypatch):
    rates, learn = [], _Training._learn

    def told(training, epoch):
        rates.append(training.optimiser.rate_share)
        return learn(training, epoch)

    monkeypatch.setattr(_Training, "_learn", told)
    job = make_job(replace(FAST, epochs=9, patience=1, rate_falls=2, learning_rate=1e-30))
    (result,) = launch(run_rank, job)
    assert rates == [1.0, 1.0, 0.25, 0.0625]
    assert (len(result.epochs), result.best_epoch) == (4, 1)
    assert load_artifact(Path(job.output)).facts["rate_share"] == 0.0625


def test_after_a_fall_the_best_weights_are_gone_on_from(make_job, monkeypatch):
    begun, losses = [], iter([5.0, 4.0, 6.0, 3.0])
    learn, judge = _Training._learn, _Training._judge

    def told(training, epoch):
        begun.append(training._weights()["items.ids.weight"].clone())
        return learn(training, epoch)

    monkeypatch.setattr(_Training, "_learn", told)
    monkeypatch.setattr(_Training, "_judge", lambda *given: replace(judge(*given), item_loss=next(losses)))
    (result,) = launch(run_rank, make_job(replace(FAST, epochs=4, patience=1, rate_falls=1)))
    assert result.best_epoch == 4
    assert torch.equal(begun[3], begun[2])  # as after epoch 2, the best; epoch 3 counts for nothing
    assert not torch.equal(begun[2], begun[1])


@pytest.mark.parametrize(("keep_rate", "share"), [(True, 0.25), (False, 1.0)])
def test_a_warm_start_may_begin_with_the_rate_that_the_older_model_ended_with(make_job, keep_rate, share):
    old = make_job(replace(FAST, epochs=3, patience=1, rate_falls=1, learning_rate=1e-30), name="old")
    launch(run_rank, old)
    settings = replace(FAST, epochs=1, keep_rate=keep_rate)
    new = replace(make_job(settings, name="new"), warm_start=old.output)
    launch(run_rank, new)
    assert load_artifact(Path(new.output)).facts["rate_share"] == share


def test_the_epoch_may_be_chosen_by_the_rank_of_the_next_item(make_job):
    (result,) = launch(run_rank, make_job(replace(FAST, epochs=5, patience=5, stop_by="ndcg")))
    found = [epoch.validation_ndcg for epoch in result.epochs]
    assert result.best_epoch == 1 + int(np.argmax(found))
    assert found[-1] > found[0]
    (by_loss,) = launch(run_rank, make_job(replace(FAST, epochs=1), name="by_loss"))
    assert by_loss.epochs[0].validation_ndcg is None


class InTouch(OneRank):
    """Counts the calls that do nothing but tell the other ranks that this one lives."""

    def __init__(self):
        self.signs = 0

    def sum(self, numbers_N):
        self.signs += numbers_N.tolist() == [0.0]
        return numbers_N


def test_ranks_tell_each_other_that_they_live_wherever_no_step_does(make_job):
    few = replace(FAST, epochs=1, events_per_batch=32)  # 5 batches to judge: the first and the fifth
    ranks = InTouch()
    run_rank(ranks, make_job(few))
    assert ranks.signs == 2
    more = replace(few, transition_weight=0.1, loss="sampled", negatives=4, mixed_negatives=True)
    shape = preset_shape("intent", NUM_ITEMS, FIELDS, width=16, heads=("action", "cluster"), clusters=2)
    ranks = InTouch()
    run_rank(ranks, make_job(more, shape, "more"))
    assert ranks.signs == 2 + 3 * 7  # 13 batches of 8 and 12 of 16: three passes over the 25 before the first step


def test_without_validation_rows_the_last_epoch_is_kept(make_job):
    (result,) = launch(run_rank, make_job(replace(FAST, epochs=3, patience=1), validation=()))
    assert result.best_epoch == len(result.epochs) == 3
    assert [epoch.validation_loss for epoch in result.epochs] == [None] * 3


def with_weight(job, folder, value, num_rows=1):
    """The same job with one row, or more, that have an extreme weight."""
    rows = rows_of(50, 8, seed=1)
    for row in rows[:num_rows]:
        row["weights"][-1] = value
    shard = write_shard(folder / "extreme", "train", 8, rows, [50])
    return replace(job, train=(replace(shard, rows=50),))


@pytest.mark.parametrize("weight", [float("inf"), float("nan")])
def test_a_step_that_is_not_finite_is_skipped_and_counted(make_job, tmp_path, weight):
    job = with_weight(make_job(replace(FAST, epochs=2, events_per_batch=80)), tmp_path, weight)
    (result,) = launch(run_rank, job)
    assert [epoch.skipped_steps for epoch in result.epochs] == [1, 1]  # 5 batches of 10 rows, one of them bad
    assert all(torch.isfinite(weights).all() for weights in weights_of(job).values())
    assert np.isfinite(result.epochs[0].train_loss["item"])


def test_too_many_of_them_end_the_training(make_job, tmp_path):
    settings = replace(FAST, epochs=3, events_per_batch=80, max_skipped_steps=1)
    with pytest.raises(TrainingError, match=r"2 steps in a row had a loss or gradient that is not finite"):
        launch(run_rank, with_weight(make_job(settings), tmp_path, float("inf"), num_rows=50))


def test_an_epoch_of_nothing_else_ends_it_too(make_job, tmp_path):
    settings = replace(FAST, epochs=3, events_per_batch=4096)
    with pytest.raises(TrainingError, match=r"epoch 1: 1 of 1 steps had a loss or gradient that is not finite, the"):
        launch(run_rank, with_weight(make_job(settings), tmp_path, float("inf")))


def test_validation_rows_of_extreme_weight_are_named(make_job, tmp_path):
    job = make_job(replace(FAST, epochs=1))
    bad = with_weight(job, tmp_path, float("inf")).train
    with pytest.raises(TrainingError, match=r"epoch 1: the validation loss is not finite; look for extreme weights"):
        launch(run_rank, replace(job, validation=bad))


def test_when_its_time_is_up_a_training_stops_after_a_step_and_keeps_what_is_best(make_job, monkeypatch):
    """16 steps a look at the clock, 25 steps an epoch: the limit is met after 7 steps of the second epoch."""
    looks = []
    monkeypatch.setattr(Pace, "is_over", lambda self, step=0: looks.append(step) or (step == 7 and len(looks) > 25))
    job = make_job(replace(FAST, epochs=4, events_per_batch=32, time_limit_minutes=5))
    (result,) = launch(run_rank, job)
    assert [epoch.epoch for epoch in result.epochs] == [1, 2]
    steps = 13 + 12  # four rows of eight events a batch, two of sixteen
    assert result.notes == (
        f"training.time_limit_minutes: the 5 minutes were over after 7 of {steps} steps of epoch 2",
    )
    assert 0 < result.epochs[1].rows < result.epochs[0].rows == 74
    assert load_artifact(Path(job.output)).facts["best_epoch"] == result.best_epoch
    assert result.epochs[1].validation_loss is not None


def test_a_first_epoch_begins_however_little_time_there_is_and_no_second_one(make_job):
    (result,) = launch(run_rank, make_job(replace(FAST, time_limit_minutes=1e-9)))
    assert [epoch.rows for epoch in result.epochs] == [74]
    assert result.notes == ("training.time_limit_minutes: the 1e-09 minutes were over after epoch 1",)
