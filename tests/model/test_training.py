import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model.synthetic import FIELDS, NUM_ITEMS, rows_of

from intentrec.errors import InputError, TrainingError
from intentrec.model import schedule, training
from intentrec.model.checkpoint import load_artifact, save_catalogue
from intentrec.model.distributed import Launch, launch
from intentrec.model.job import Settings
from intentrec.model.ranks import OneRank
from intentrec.model.shape import Catalogue, preset_shape
from intentrec.model.training import run_rank

FAST = Settings(epochs=4, events_per_batch=256, learning_rate=0.01, warmup_steps=5)


def weights_of(job):
    return load_artifact(Path(job.output)).weights


def equal(job, other):
    torch.testing.assert_close(weights_of(job), weights_of(other), rtol=0, atol=0)
    return True


def interrupt(monkeypatch, at_call):
    """Fail when the rows are opened for the n-th time: twice an epoch, to learn and to judge."""
    real, calls = training.epoch_batches, []

    def opened(*args):
        calls.append(args)
        if len(calls) == at_call:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(training, "epoch_batches", opened)


def test_a_model_learns_what_follows_what_and_beats_the_majority_in_every_head(make_job):
    job = make_job(replace(FAST, epochs=6, patience=6))
    (result,) = launch(run_rank, job)
    first, last = result.epochs[0], result.epochs[-1]
    assert last.train_loss["item"] < 0.5 * first.train_loss["item"]
    assert last.validation_loss < np.log(NUM_ITEMS) / 2  # item i is always followed by i + 1
    assert last.heads["action"].accuracy > 0.95 > last.heads["action"].majority_share
    assert last.heads["category"].accuracy > last.heads["category"].majority_share
    assert [epoch.rows for epoch in result.epochs] == [74] * 6
    assert result.best_epoch == 1 + int(np.argmin([epoch.validation_loss for epoch in result.epochs]))
    (rank,) = result.ranks
    assert (rank.rank, rank.pid, rank.device, rank.files, rank.rows) == (0, os.getpid(), "cpu", 2, 74)


@pytest.mark.parametrize("loss", ["full", "sampled"])
@pytest.mark.parametrize("weight", ["contrast_weight", "transition_weight"])
def test_an_auxiliary_loss_changes_what_is_learnt_and_repeats(make_job, weight, loss):
    settings = replace(FAST, epochs=2, loss=loss, negatives=8)
    helped = replace(settings, **{weight: 0.1})
    jobs = [make_job(given, name=name) for given, name in ((settings, "a"), (helped, "b"), (helped, "c"))]
    hashes = [launch(run_rank, job)[0].weights_sha256 for job in jobs]
    assert hashes[0] != hashes[1] == hashes[2]


def test_a_training_for_the_days_ahead_is_judged_by_the_next_item_and_repeats(make_job):
    far = replace(FAST, target_days=30.0, epochs=2)
    results = [launch(run_rank, make_job(far, name=name))[0] for name in ("a", "b")]
    assert results[0].weights_sha256 == results[1].weights_sha256
    (near,) = launch(run_rank, make_job(replace(FAST, epochs=2), name="near"))
    assert results[0].epochs[-1].train_loss["item"] > near.epochs[-1].train_loss["item"]  # many items may be meant


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("loss", ["sampled", "gbce"])
def test_a_sampled_loss_learns_what_follows_what_too(make_job, loss, mixed):
    settings = replace(FAST, epochs=6, patience=6, loss=loss, negatives=8, mixed_negatives=mixed)
    (result,) = launch(run_rank, make_job(settings))
    assert [epoch.rows for epoch in result.epochs] == [74] * 6
    assert result.epochs[-1].validation_loss < 0.75 * np.log(NUM_ITEMS)  # of all items, whatever the loss


def test_the_artifact_is_complete_and_says_how_frequent_labels_were(make_job):
    job = make_job(replace(FAST, epochs=1))
    (result,) = launch(run_rank, job)
    artifact = load_artifact(Path(job.output), result.files)
    assert artifact.shape == job.shape
    assert artifact.vocabulary.items[0] == "item 1"
    assert artifact.facts["best_epoch"] == 1
    targets = sum(row["length"] - 1 for row in [*rows_of(50, 8, seed=1), *rows_of(24, 16, seed=2)])
    assert sum(artifact.facts["label_counts"]["action"]) == targets


def test_a_training_that_is_asked_for_again_learns_nothing_more(make_job):
    job = make_job(replace(FAST, epochs=2))
    (first,), (second,) = launch(run_rank, job), launch(run_rank, job)
    assert (first.resumed_after, second.resumed_after) == (0, 2)
    assert (first.epochs, first.weights_sha256) == (second.epochs, second.weights_sha256)
    (third,) = launch(run_rank, replace(job, settings=replace(job.settings, threads=2)))
    assert (second.notes, ["goes on with 2 threads a rank, had 1" in note for note in third.notes]) == ((), [True])


def test_of_many_validation_rows_the_same_part_is_judged_after_every_epoch(make_job, monkeypatch):
    still = replace(FAST, epochs=2, patience=2, learning_rate=1e-30, events_per_batch=32)
    (whole,) = launch(run_rank, make_job(still, name="whole"))
    monkeypatch.setattr(schedule, "_LOW_BITS", 15)  # the rows are numbered from 0
    monkeypatch.setattr(schedule, "_MOST_JUDGED", 10)  # of 20
    (part,) = launch(run_rank, make_job(still, name="part"))
    first, second = (epoch.validation_loss for epoch in part.epochs)
    assert first == second
    assert first != pytest.approx(whole.epochs[0].validation_loss, rel=1e-6)


def test_the_same_training_twice_is_bit_equal_and_another_seed_is_not(make_job):
    jobs = [make_job(replace(FAST, epochs=2, seed=seed), name=name) for seed, name in ((1, "a"), (1, "b"), (2, "c"))]
    hashes = [launch(run_rank, job)[0].weights_sha256 for job in jobs]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("at_call", "loss"),
    [
        (3, {}),  # in epoch 2, learning
        (6, {}),  # in epoch 3, judging
        (6, {"loss": "sampled", "negatives": 6}),
        (5, {"learning_rate": 10.0, "patience": 1, "rate_falls": 1}),  # after the rate fell, before the next epoch
    ],
)
def test_a_training_that_was_stopped_goes_on_and_ends_bit_equal(make_job, monkeypatch, at_call, loss):
    settings = replace(FAST, **loss)
    whole, stopped = make_job(settings, name="whole"), make_job(settings, name="stopped")
    (uninterrupted,) = launch(run_rank, whole)
    with monkeypatch.context() as patch:
        interrupt(patch, at_call)
        with pytest.raises(KeyboardInterrupt):
            launch(run_rank, stopped)
    assert not Path(stopped.output).exists()
    (resumed,) = launch(run_rank, stopped)
    assert resumed.resumed_after == at_call // 2 - (at_call % 2 == 0)
    assert equal(whole, stopped)
    assert [epoch.validation_loss for epoch in resumed.epochs] == [
        epoch.validation_loss for epoch in uninterrupted.epochs
    ]


def test_a_training_resumed_after_its_last_epoch_hands_on_the_rate_that_it_ended_with(make_job):
    falling = replace(FAST, learning_rate=10.0, patience=1, rate_falls=1)
    job = make_job(falling, name="base")
    launch(run_rank, job)
    ended_with = load_artifact(Path(job.output)).facts["rate_share"]
    shutil.rmtree(job.output)
    (resumed,) = launch(run_rank, job)
    assert resumed.resumed_after == len(resumed.epochs)
    assert ended_with == 0.25
    assert load_artifact(Path(job.output)).facts["rate_share"] == ended_with


def test_a_checkpoint_that_went_on_from_another_model_of_the_same_name_is_not_used(make_job):
    base = make_job(replace(FAST, epochs=1), name="base")
    launch(run_rank, base)
    onwards = make_job(replace(FAST, epochs=1), name="onwards", warm_start=base.output)
    launch(run_rank, onwards)
    other = replace(make_job(replace(FAST, epochs=1, seed=2), name="other"), output=base.output)
    launch(run_rank, other)
    (again,) = launch(run_rank, onwards)
    assert again.resumed_after == 0
    assert again.notes[-1].endswith("belongs to another training, not used")


def test_a_broken_checkpoint_is_passed_over_and_the_end_is_still_bit_equal(make_job, monkeypatch):
    whole, stopped = make_job(FAST, name="whole"), make_job(FAST, name="stopped")
    launch(run_rank, whole)
    with monkeypatch.context() as patch:
        interrupt(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            launch(run_rank, stopped)
    (Path(stopped.checkpoints) / "epoch_0002" / "weights.safetensors").write_bytes(b"")
    (resumed,) = launch(run_rank, stopped)
    assert resumed.resumed_after == 1
    assert "epoch_0002/weights.safetensors: has 0 bytes" in resumed.notes[0]
    assert equal(whole, stopped)


def test_two_ranks_end_with_one_set_of_weights_close_to_that_of_one_rank(make_job):
    still = preset_shape("intent", NUM_ITEMS, FIELDS, width=16, dropout=0.0, id_drop=0.0)
    settings = replace(FAST, epochs=3, events_per_batch=4096, intent_weight=1.0)  # one global batch per bucket
    alone = make_job(settings, still, "alone", validation=())
    together = make_job(settings, still, "together", validation=())
    (one,) = launch(run_rank, alone)
    first, second = launch(run_rank, together, Launch(2, "local"))
    assert first.weights_sha256 == second.weights_sha256
    assert [epoch.train_loss for epoch in first.epochs] == [epoch.train_loss for epoch in second.epochs]
    assert sum(rank.rows for rank in first.ranks) == 74
    assert {rank.rows for rank in first.ranks} in ({37}, {61, 13})  # 37 + 13 rows of one bucket, 24 in one group
    assert [epoch.rows for epoch in first.epochs] == [74] * 3
    assert len({rank.pid for rank in first.ranks}) == 2
    for epoch, other in zip(one.epochs, first.epochs, strict=True):
        assert epoch.train_loss == pytest.approx(other.train_loss, rel=1e-4)
    torch.testing.assert_close(weights_of(alone), weights_of(together), rtol=0.01, atol=2e-4)


def test_a_warm_start_goes_on_from_the_old_weights(make_job):
    old = make_job(FAST, name="old", validation=())
    (before,) = launch(run_rank, old)
    new = make_job(replace(FAST, epochs=1), name="new", validation=(), warm_start=old.output)
    (after,) = launch(run_rank, new)
    assert after.warm_started
    assert after.epochs[0].train_loss["item"] < before.epochs[0].train_loss["item"]
    unchanged = make_job(replace(FAST, epochs=1, learning_rate=1e-30), name="same", warm_start=old.output)
    launch(run_rank, unchanged)
    torch.testing.assert_close(weights_of(unchanged), weights_of(old))


def test_a_warm_start_has_its_own_number_of_epochs(make_job):
    old = make_job(replace(FAST, epochs=1), name="old", validation=())
    settings = replace(FAST, epochs=3, warm_epochs=1)
    (cold,) = launch(run_rank, make_job(settings, name="cold", validation=()))
    launch(run_rank, old)
    (warm,) = launch(run_rank, make_job(settings, name="warm", validation=(), warm_start=old.output))
    assert (len(cold.epochs), len(warm.epochs)) == (3, 1)


def test_what_forbids_a_warm_start_is_noted_and_training_begins_from_nothing(make_job):
    old = make_job(replace(FAST, epochs=1), name="old")
    launch(run_rank, old)
    wider = preset_shape("intent", NUM_ITEMS, FIELDS, width=24)
    (result,) = launch(run_rank, make_job(replace(FAST, epochs=1), wider, "new", warm_start=old.output))
    assert not result.warm_started
    assert result.notes == (f"no warm start from {old.output}: width changed; trained from nothing",)


def test_a_corrupt_model_to_start_from_is_refused(make_job):
    old = make_job(replace(FAST, epochs=1), name="old")
    launch(run_rank, old)
    path = Path(old.output, "weights.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError, match=r"weights.safetensors: has other bytes"):
        launch(run_rank, make_job(FAST, name="new", warm_start=old.output))


def test_files_of_another_night_are_refused(make_job, tmp_path):
    job = make_job(FAST)
    save_catalogue(tmp_path / "small", Catalogue.without_categories([1, 2]))
    with pytest.raises(InputError, match=r"small: has 2 items, the network 12; run build_examples again"):
        launch(run_rank, replace(job, catalogue=str(tmp_path / "small")))
    (tmp_path / "few").write_text(json.dumps({"items": ["a"], "values": {}}))
    with pytest.raises(InputError, match=r"few: has 1 items, the network 12"):
        launch(run_rank, replace(job, vocabulary=str(tmp_path / "few")))


def test_no_rows_to_train_on_are_refused(make_job):
    with pytest.raises(TrainingError, match=r"examples: no rows to train on"):
        launch(run_rank, make_job(FAST, train=()))


def test_ranks_with_other_weights_are_noticed(make_job):
    class Disagreeing(OneRank):
        def gather(self, value):
            return [value, "another hash"] if isinstance(value, str) else [value]

    with pytest.raises(TrainingError, match=r"the ranks ended with 2 different sets of weights; run again"):
        run_rank(Disagreeing(), make_job(replace(FAST, epochs=1)))


def test_threads_and_random_numbers_of_the_caller_stay_as_they_were(make_job):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    launch(run_rank, replace(make_job(FAST), settings=replace(FAST, epochs=1, threads=2)))
    assert torch.get_num_threads() == 1
    assert torch.equal(torch.get_rng_state(), state)


def test_a_head_for_clusters_is_learnt_kept_with_the_model_and_means_the_same_in_the_next(make_job):
    shape = preset_shape("intent", NUM_ITEMS, FIELDS, width=16, heads=("cluster",), clusters=3)
    old = make_job(FAST, shape, name="old")
    (result,) = launch(run_rank, old)
    figures = result.epochs[-1].heads["cluster"]
    assert figures.accuracy > figures.majority_share
    clusters_V = load_artifact(Path(old.output)).catalogue.clusters_V
    assert clusters_V.shape == (NUM_ITEMS + 1,)
    assert set(clusters_V[1:].tolist()) <= {1, 2, 3}
    new = make_job(replace(FAST, epochs=1, seed=7), shape, name="new", warm_start=old.output)
    (after,) = launch(run_rank, new)
    assert after.warm_started
    assert torch.equal(load_artifact(Path(new.output)).catalogue.clusters_V, clusters_V)
