"""Models on disk: safetensors, JSON and a manifest. Nothing in them can run.

V items + 1   C categories kept per item
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from intentrec.errors import InputError
from intentrec.metrics import Calibration
from intentrec.model.intents import label_names
from intentrec.model.manifest import verify_folder, write_folder
from intentrec.model.network import IntentNetwork
from intentrec.model.shape import Catalogue, NetworkShape

_WEIGHTS, _CATALOGUE = "weights.safetensors", "catalogue.safetensors"
_VOCABULARY, _NETWORK = "vocabulary.json", "network.json"
CALIBRATIONS = "calibrations"  # in the facts: head -> how its chances are changed before people read them
_SYSTEM_ERROR = re.compile(r"os error (\d+)")
_FORM = 1  # raised when an older reader could not read what is written now


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Names of what the network knows by number.

    Attributes:
        items: name of item 1, 2, ...
        values: of each field, the name of value 1, 2, ...
    """

    items: tuple[str, ...]
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained model and all that is needed to apply it.

    Attributes:
        shape: of the network.
        weights: its parameters by name, float32 on the CPU.
        catalogue: categories and first events of the items.
        vocabulary: names of items and feature values.
        facts: what its maker recorded beside it (JSON values): ``label_counts`` holds each head's label frequencies in
            the training rows, ``calibrations`` how a head's chances are changed before people read them.
    """

    shape: NetworkShape
    weights: dict[str, Tensor]
    catalogue: Catalogue
    vocabulary: Vocabulary
    facts: dict[str, Any] = field(default_factory=dict)

    def network(self, device: torch.device | str = "cpu") -> IntentNetwork:
        """Return the network with these weights, ready to predict (no dropout).

        Raises:
            InputError: the weights are not those of the shape.
        """
        network = IntentNetwork(self.shape, self.catalogue)
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            text = " ".join(str(error).split())
            raise InputError(f"{_WEIGHTS}: not the weights of {_NETWORK} ({text[:300]}); train again") from None
        return network.to(device).eval()

    def labels(self) -> dict[str, tuple[str, ...]]:
        """Return the names of every head's labels."""
        return label_names(self.shape, self.vocabulary.values)

    def calibrations(self) -> dict[str, Calibration]:
        """Return how the chances of heads are changed before people read them; a head that is left out says its own."""
        kept = self.facts.get(CALIBRATIONS, {})
        return {head: Calibration(**{**own, "base_rates": tuple(own["base_rates"])}) for head, own in kept.items()}


def save_artifact(folder: Path, artifact: Artifact) -> tuple[tuple[str, str, int], ...]:
    """Write a model; a folder of this name is replaced in one rename.

    Returns:
        (name, sha256, bytes) of every file.
    """

    def write(new: Path) -> None:
        write_tensors(new / _WEIGHTS, artifact.weights)
        save_catalogue(new / _CATALOGUE, artifact.catalogue)
        save_vocabulary(new / _VOCABULARY, artifact.vocabulary)
        _write_json(new / _NETWORK, {"form": _FORM, "shape": artifact.shape.as_dict(), "facts": artifact.facts})

    return write_folder(folder, write, "model")


def load_artifact(folder: Path, expected: Sequence[tuple[str, str, int]] | None = None) -> Artifact:
    """Read a model after comparing every file with its SHA-256.

    Args:
        folder: what ``save_artifact`` wrote.
        expected: what it returned, as kept in ``models``; None: the folder's own manifest is believed.

    Raises:
        InputError: a file is missing, too much or changed, or is no part of a model.
    """
    verify_folder(folder, expected)
    values = _read_json(folder / _NETWORK)
    if values.get("form") != _FORM:
        raise InputError(f"{folder / _NETWORK}: form must be {_FORM}, is {values.get('form')}; train again")
    return Artifact(
        shape=NetworkShape.from_dict(values["shape"]),
        weights=read_tensors(folder / _WEIGHTS),
        catalogue=load_catalogue(folder / _CATALOGUE),
        vocabulary=load_vocabulary(folder / _VOCABULARY),
        facts=values["facts"],
    )


def save_catalogue(path: Path, catalogue: Catalogue) -> None:
    """Write a catalogue as safetensors."""
    tensors = {"categories_VC": catalogue.categories_VC, "published_V": catalogue.published_V}
    if catalogue.clusters_V is not None:
        tensors["clusters_V"] = catalogue.clusters_V
    write_tensors(path, tensors)


def load_catalogue(path: Path) -> Catalogue:
    """Read a catalogue.

    Raises:
        InputError: the file is missing or is no catalogue.
    """
    tensors = read_tensors(path)
    if set(tensors) - {"clusters_V"} != {"categories_VC", "published_V"}:
        raise InputError(f"{path}: must hold categories_VC and published_V, holds {', '.join(sorted(tensors))}")
    return Catalogue(**tensors)


def save_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Write the names as JSON."""
    _write_json(path, {"items": vocabulary.items, "values": vocabulary.values})


def load_vocabulary(path: Path) -> Vocabulary:
    """Read the names.

    Raises:
        InputError: the file is missing or is no vocabulary.
    """
    values = _read_json(path)
    try:
        named = {name: tuple(names) for name, names in values["values"].items()}
        return Vocabulary(tuple(values["items"]), named)
    except (KeyError, AttributeError, TypeError):
        raise InputError(f"{path}: must hold items and values; train again") from None


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file.

    Raises:
        OSError: as of any file; safetensors itself tells the system's errors as an error of its own.
    """
    try:
        save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    except SafetensorError as error:
        number = _SYSTEM_ERROR.search(str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        InputError: it is missing or is none.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: no safetensors file ({' '.join(str(error).split())}); train again") from None


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, sort_keys=True, ensure_ascii=False), encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no JSON file ({' '.join(str(error).split())}); train again") from None
    return values if isinstance(values, dict) else {}
