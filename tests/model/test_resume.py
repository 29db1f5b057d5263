import json

import pytest
import torch

from intentrec.model import resume
from intentrec.model.job import EpochFigures, HeadFigures
from intentrec.model.resume import Progress, Saved, load_newest, save_checkpoint


def saved_after(epoch):
    heads = {"action": HeadFigures(0.5, 0.25, 1.5, 8)}
    figures = [EpochFigures(n, {"item": 3.0 / n}, 2.0 / n, heads, 74, 0, 1.0) for n in range(1, epoch + 1)]
    progress = Progress(epoch, 10 * epoch, figures, epoch, {"action": [1.0, 2.0]}, warm_started=True)
    return Saved(progress, {"w": torch.full((2,), float(epoch))}, {"0.step": torch.tensor(1.0)}, {"w": torch.ones(2)})


@pytest.fixture
def folder(tmp_path):
    for epoch in (1, 2, 3):
        save_checkpoint(tmp_path, "mine", saved_after(epoch))
    return tmp_path


def test_the_newest_checkpoint_comes_back_as_it_was(folder):
    saved, notes = load_newest(folder, "mine")
    assert notes == ()
    assert saved.progress == saved_after(3).progress
    assert saved.weights["w"].tolist() == [3.0, 3.0]
    assert saved.optimiser["0.step"].item() == 1.0
    assert saved.best["w"].tolist() == [1.0, 1.0]


def test_only_the_last_two_are_kept(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["epoch_0002", "epoch_0003"]


def test_a_training_that_goes_on_with_other_threads_says_so(tmp_path):
    saved = saved_after(1)
    saved.progress.threads = 2
    save_checkpoint(tmp_path, "mine", saved)
    found, notes = load_newest(tmp_path, "mine", 2)
    assert (found.progress.threads, notes) == (2, ())
    found, notes = load_newest(tmp_path, "mine", 4)
    assert found.progress.threads == 4  # as the next checkpoint is to say
    assert len(notes) == 1
    assert "epoch_0001: goes on with 4 threads a rank, had 2; the weights are not bit by bit those of" in notes[0]
    save_checkpoint(tmp_path, "mine", saved_after(2))  # of an earlier version: not known
    assert load_newest(tmp_path, "mine", 4)[1] == ()


def test_later_checkpoints_of_another_training_or_broken_ones_make_room(folder):
    (folder / ".epoch_0004-abcd1234").mkdir()  # of a process that was killed while it wrote
    save_checkpoint(folder, "another", saved_after(1))
    assert [path.name for path in folder.iterdir()] == ["epoch_0001"]
    saved, notes = load_newest(folder, "another")
    assert (saved.progress.epoch, notes) == (1, ())


@pytest.mark.parametrize("name", ["weights.safetensors", "optimiser.safetensors", "best.safetensors", "state.json"])
def test_of_a_broken_checkpoint_the_one_before_is_used_and_that_is_said(folder, name):
    path = folder / "epoch_0003" / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    saved, notes = load_newest(folder, "mine")
    assert saved.progress.epoch == 2
    assert len(notes) == 1
    assert f"epoch_0003/{name}: has other bytes" in notes[0]


def test_a_checkpoint_that_the_disk_does_not_give_is_passed_over(folder, monkeypatch):
    real = resume.verify_folder

    def verify(path):
        if path.name == "epoch_0003":
            raise OSError(5, "Input/output error", str(path / "weights.safetensors"))
        real(path)

    monkeypatch.setattr(resume, "verify_folder", verify)
    saved, notes = load_newest(folder, "mine")
    assert saved.progress.epoch == 2
    assert notes == (f"checkpoint not used: {folder}/epoch_0003/weights.safetensors: Input/output error",)


def test_without_an_intact_checkpoint_there_is_none(folder):
    for path in folder.glob("*/weights.safetensors"):
        path.unlink()
    saved, notes = load_newest(folder, "mine")
    assert saved is None
    assert len(notes) == 2


def test_a_checkpoint_of_another_training_is_not_used(folder):
    saved, notes = load_newest(folder, "another")
    assert saved is None
    assert "epoch_0003: belongs to another training, not used" in notes[0]


def test_a_folder_that_does_not_exist_holds_none(tmp_path):
    assert load_newest(tmp_path / "none", "mine") == (None, ())


def test_state_is_plain_json(folder):
    state = json.loads((folder / "epoch_0003" / "state.json").read_text())
    assert state["progress"]["figures"][0]["train_loss"] == {"item": 3.0}
