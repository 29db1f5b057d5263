"""Checkpoints of a training: one folder per epoch, from the newest intact one it goes on as if never stopped."""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from intentrec.errors import InputError
from intentrec.model.checkpoint import read_tensors, write_tensors
from intentrec.model.job import EpochFigures, HeadFigures
from intentrec.model.manifest import verify_folder, write_folder

_KEPT = 2  # the newest and, in case it turns out broken, the one before


@dataclass(slots=True)
class Progress:
    """Where a training stands at the end of an epoch.

    Attributes:
        epoch: passes finished.
        steps: of the optimiser.
        figures: of every epoch.
        best_epoch: with the lowest validation loss; without validation the last.
        label_counts: head -> frequency of each label in the training rows.
        warm_started: whether it began from an older model.
        threads: that rank 0 computed with since it was started; None: unknown.
    """

    epoch: int = 0
    steps: int = 0
    figures: list[EpochFigures] = field(default_factory=list)
    best_epoch: int = 0
    label_counts: dict[str, list[float]] = field(default_factory=dict)
    warm_started: bool = False
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint as read back; ``best`` are the weights of the best epoch so far."""

    progress: Progress
    weights: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    best: dict[str, Tensor]


def save_checkpoint(folder: Path, fingerprint: str, saved: Saved) -> None:
    """Write the checkpoint of an epoch, then remove all but it and the one before.

    Later ones are broken or another training's: this one has just come to its epoch. Were they kept as the newest two,
    every checkpoint of this training would be removed in their place.

    Args:
        folder: of all checkpoints of one training.
        fingerprint: of the training it belongs to.
        saved: what must come back.
    """

    def write(new: Path) -> None:
        write_tensors(new / "weights.safetensors", saved.weights)
        write_tensors(new / "optimiser.safetensors", saved.optimiser)
        write_tensors(new / "best.safetensors", saved.best)
        state = {"fingerprint": fingerprint, "progress": asdict(saved.progress)}
        (new / "state.json").write_text(json.dumps(state))

    epoch = saved.progress.epoch
    write_folder(folder / _name(epoch), write, "checkpoint")
    kept = {_name(number) for number in range(epoch - _KEPT + 1, epoch + 1)}
    for other in folder.iterdir():
        if other.name not in kept:
            shutil.rmtree(other, ignore_errors=True)


def load_newest(folder: Path, fingerprint: str, threads: int | None = None) -> tuple[Saved | None, tuple[str, ...]]:
    """Return the newest intact checkpoint of this training, and why newer ones were passed over.

    A broken checkpoint is never an error: the one before is used, at worst none. Nor are other ``threads`` than it was
    written with, but they are noted: products are then summed in another order, and the end is not bit-equal.
    """
    notes = []
    for path in sorted(folder.glob("epoch_*"), reverse=True):
        try:
            verify_folder(path)
            state = json.loads((path / "state.json").read_text())
            if state["fingerprint"] != fingerprint:
                notes.append(f"{path}: belongs to another training, not used")
                continue
            tensors = [read_tensors(path / f"{name}.safetensors") for name in ("weights", "optimiser", "best")]
        except (InputError, ValueError, KeyError) as error:
            notes.append(f"checkpoint not used: {error}")
            continue
        except OSError as error:  # a disk that cannot read a block, a folder of somebody else's
            notes.append(f"checkpoint not used: {error.filename or path}: {error.strerror}")
            continue
        saved = Saved(_progress(state["progress"]), *tensors)
        before, saved.progress.threads = saved.progress.threads, threads
        if None not in (before, threads) and before != threads:
            notes.append(
                f"{path}: goes on with {threads} threads a rank, had {before}; the weights are not bit by bit those of "
                "a training that was not stopped"
            )
        return saved, tuple(notes)
    return None, tuple(notes)


def _name(epoch: int) -> str:
    return f"epoch_{epoch:04d}"


def _progress(values: dict[str, Any]) -> Progress:
    figures = [
        EpochFigures(**{**epoch, "heads": {name: HeadFigures(**head) for name, head in epoch["heads"].items()}})
        for epoch in values["figures"]
    ]
    return Progress(**{**values, "figures": figures})
