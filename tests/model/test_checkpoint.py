import errno
import json

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from intentrec.errors import InputError
from intentrec.model.checkpoint import (
    Artifact,
    Vocabulary,
    load_artifact,
    load_catalogue,
    load_vocabulary,
    read_tensors,
    save_artifact,
    save_catalogue,
    save_vocabulary,
    write_tensors,
)
from intentrec.model.manifest import write_folder
from intentrec.model.network import IntentNetwork
from intentrec.model.shape import Catalogue, Field, preset_shape

SHAPE = preset_shape("intent", 3, [Field("action", 2), Field("categories", 2, columns=2)], width=8)
CATALOGUE = Catalogue(torch.tensor([[0, 0], [1, 0], [2, 1], [1, 0]]), torch.tensor([0, 50, 60, 70]))
VOCABULARY = Vocabulary(("tea", "ço🫖", "../cup"), {"action": ("view", "buy"), "categories": ("red", "green")})


@pytest.fixture
def artifact():
    torch.manual_seed(0)
    weights = IntentNetwork(SHAPE, CATALOGUE).state_dict()
    return Artifact(SHAPE, weights, CATALOGUE, VOCABULARY, {"label_counts": {"action": [3.0, 4.0]}})


def test_a_model_comes_back_as_it_was(tmp_path, artifact):
    files = save_artifact(tmp_path / "model", artifact)
    assert [name for name, _, _ in files] == [
        "catalogue.safetensors", "manifest.json", "network.json", "vocabulary.json", "weights.safetensors",
    ]  # fmt: skip
    loaded = load_artifact(tmp_path / "model", files)
    assert (loaded.shape, loaded.vocabulary, loaded.facts) == (SHAPE, VOCABULARY, artifact.facts)
    torch.testing.assert_close(loaded.weights, artifact.weights, rtol=0, atol=0)
    assert loaded.catalogue.categories_VC.tolist() == CATALOGUE.categories_VC.tolist()
    assert loaded.catalogue.published_V.tolist() == [0, 50, 60, 70]


def test_a_reloaded_network_says_the_same(tmp_path, artifact):
    save_artifact(tmp_path / "model", artifact)
    given = (torch.tensor([[0, 1, 2]]), torch.tensor([[0, 100, 200]]), torch.ones(1, 3, 3, dtype=torch.int64))
    before, after = artifact.network()(*given), load_artifact(tmp_path / "model").network()(*given)
    torch.testing.assert_close(before.queries_BLQD, after.queries_BLQD, rtol=0, atol=0)


def test_a_network_from_an_artifact_has_no_dropout(artifact):
    assert not artifact.network().training


def test_labels_are_named_by_the_vocabulary(artifact):
    assert artifact.labels()["category"] == ("red", "green")


@pytest.mark.parametrize("name", ["catalogue.safetensors", "network.json", "vocabulary.json", "weights.safetensors"])
def test_one_flipped_byte_in_any_file_is_refused(tmp_path, artifact, name):
    save_artifact(tmp_path / "model", artifact)
    path = tmp_path / "model" / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: has other bytes than when it was written.*train again"):
        load_artifact(tmp_path / "model")


def test_a_missing_and_an_extra_file_are_refused(tmp_path, artifact):
    save_artifact(tmp_path / "model", artifact)
    (tmp_path / "model" / "extra.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"extra.bin: is not in the manifest"):
        load_artifact(tmp_path / "model")
    (tmp_path / "model" / "extra.bin").unlink()
    (tmp_path / "model" / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"weights.safetensors: is missing"):
        load_artifact(tmp_path / "model")


def test_another_form_is_refused(tmp_path, artifact):
    write_folder(tmp_path / "model", lambda new: (new / "network.json").write_text(json.dumps({"form": 99})), "model")
    with pytest.raises(InputError, match=r"network.json: form must be 1, is 99; train again"):
        load_artifact(tmp_path / "model")


def test_weights_of_another_network_are_refused(artifact):
    other = preset_shape("intent", 3, SHAPE.fields, width=16)
    with pytest.raises(InputError, match=r"weights.safetensors: not the weights of network.json \(.*\); train again"):
        Artifact(other, artifact.weights, CATALOGUE, VOCABULARY).network()


def test_files_of_the_wrong_kind_are_refused(tmp_path):
    (tmp_path / "no.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputError, match=r"no.safetensors: no safetensors file"):
        read_tensors(tmp_path / "no.safetensors")
    with pytest.raises(InputError, match=r"gone.safetensors: no safetensors file"):
        read_tensors(tmp_path / "gone.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=r"must hold categories_VC and published_V, holds x"):
        load_catalogue(tmp_path / "x.safetensors")
    (tmp_path / "v.json").write_text("[1]")
    with pytest.raises(InputError, match=r"v.json: must hold items and values"):
        load_vocabulary(tmp_path / "v.json")
    (tmp_path / "v.json").write_text("{")
    with pytest.raises(InputError, match=r"v.json: no JSON file"):
        load_vocabulary(tmp_path / "v.json")


def test_catalogue_and_vocabulary_come_back_alone(tmp_path):
    save_catalogue(tmp_path / "c", CATALOGUE)
    assert load_catalogue(tmp_path / "c").num_items == 3
    save_vocabulary(tmp_path / "v", VOCABULARY)
    assert load_vocabulary(tmp_path / "v") == VOCABULARY


def test_a_full_disk_is_an_error_of_the_system_and_others_stay_what_they_are(tmp_path, monkeypatch):
    def refuse(*_):
        raise SafetensorError(said)

    with monkeypatch.context() as patch:
        patch.setattr("intentrec.model.checkpoint.save_file", refuse)
        said = "Error while serializing: I/O error: No space left on device (os error 28)"  # as on a full disk
        with pytest.raises(OSError, match="No space left on device") as caught:
            write_tensors(tmp_path / "w", {})
        assert caught.value.errno == errno.ENOSPC
        said = "InvalidOffset"
        with pytest.raises(SafetensorError, match="InvalidOffset"):
            write_tensors(tmp_path / "w", {})
    with pytest.raises(FileNotFoundError):
        write_tensors(tmp_path / "none" / "w", {"w": torch.zeros(1)})
    write_tensors(tmp_path / "w", {"w": torch.arange(6).view(2, 3).T})  # not contiguous
    assert read_tensors(tmp_path / "w")["w"].tolist() == [[0, 3], [1, 4], [2, 5]]
