"""What is trained, on what and how: plain values that travel to the ranks as JSON, and what they bring back."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from intentrec.errors import InputError
from intentrec.model.batches import Shard
from intentrec.model.manifest import MANIFEST, file_sha256
from intentrec.model.shape import NetworkShape

_ENDINGS = ("max_skipped_steps", "time_limit_minutes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to train.

    Attributes:
        epochs: most passes over the examples.
        warm_epochs: the same where training goes on from the weights of another model; None: as epochs.
        patience: epochs without a better validation loss before training stops; read only with validation rows.
        rate_falls: times that the learning rate falls in place of that, and the best weights are gone on from.
        keep_rate: whether a warm start begins with the learning rate that the older model ended with.
        stop_by: what of the validation rows chooses the epoch: loss, or ndcg (of the next item, the first ten places).
        time_limit_minutes: after which training stops in order, at the end of a step, and keeps the best weights;
            None: never. What comes out then depends on how fast the machine was.
        learning_rate: of Adam after the warm-up. The global batch does not grow with ranks, so neither should this.
        warmup_steps: steps over which the learning rate rises from 0.
        events_per_batch: slots of all ranks together, padding included.
        intent_weight: of the sum of intent losses beside the item loss.
        target_days: the item to predict is any one of so many days ahead; None: the next one.
        loss: of the item: full (softmax over all), sampled (over some), or gbce (each drawn item by itself).
        negatives: items that a step draws for the sampled losses.
        mixed_negatives: whether half of them are drawn by how often an item is a target.
        gbce_calibration: t of gbce; 0: plain binary cross-entropy, 1: probabilities as of all items.
        contrast_weight: of drawing events together that lead to the same item; 0: none.
        transition_weight: of teaching item vectors what follows what; 0: none.
        precision: of the network and of the item loss' gradients: float32, bfloat16, or auto
            (bfloat16 on a GPU that multiplies it).
        sparse_gradients: whether a sampled loss moves only the item rows that a step needs.
        clip_norm: greatest norm of all gradients together.
        max_skipped_steps: steps in a row with a non-finite loss or gradient before training fails.
        seed: of every random number.
        threads: of one rank; None: this machine's cores over the ranks on it.
        read_timeout_s: seconds to wait for rows.
    """

    epochs: int = 10
    warm_epochs: int | None = None
    patience: int = 2
    rate_falls: int = 0
    keep_rate: bool = False
    stop_by: str = "loss"
    time_limit_minutes: float | None = None
    learning_rate: float = 0.001
    warmup_steps: int = 50
    events_per_batch: int = 8192
    intent_weight: float = 0.3
    target_days: float | None = None
    loss: str = "full"
    negatives: int = 512
    mixed_negatives: bool = False
    gbce_calibration: float = 0.75
    contrast_weight: float = 0.0
    transition_weight: float = 0.0
    precision: str = "auto"
    sparse_gradients: bool = True
    clip_norm: float = 1.0
    max_skipped_steps: int = 10
    seed: int = 1
    threads: int | None = None
    read_timeout_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """One training, the same on every rank.

    Attributes:
        train: shards whose rows are learnt from; one per split and bucket.
        validation: shards that choose the epoch; none: the last epoch is kept.
        shape: of the network.
        settings: how to train.
        catalogue: file with the catalogue (``checkpoint.save_catalogue``).
        vocabulary: file with the names of items and of feature values (``checkpoint.save_vocabulary``).
        output: folder of the finished artifact; replaced.
        checkpoints: folder of the checkpoints; emptied when training has finished.
        warm_start: folder of an artifact whose weights are trained on; None: from nothing.
    """

    train: tuple[Shard, ...]
    validation: tuple[Shard, ...] = ()
    shape: NetworkShape
    settings: Settings = Settings()
    catalogue: str
    vocabulary: str
    output: str
    checkpoints: str
    warm_start: str | None = None

    def to_json(self) -> str:
        """Return the job as JSON text, keys sorted."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "TrainingJob":
        """Read what ``to_json`` wrote."""
        values = json.loads(text)
        return cls(
            **{
                **values,
                "train": _shards(values["train"]),
                "validation": _shards(values["validation"]),
                "shape": NetworkShape.from_dict(values["shape"]),
                "settings": Settings(**values["settings"]),
            }
        )

    def fingerprint(self) -> str:
        """Return a SHA-256 of all that decides the weights; a checkpoint continues only the training it belongs to.

        A model to start from counts by its files: one that was ended by the clock comes out otherwise the next time.
        """
        values = asdict(self)
        if self.warm_start is not None:
            values["warm_start"] = file_sha256(Path(self.warm_start) / MANIFEST)
        for place in ("output", "checkpoints"):
            del values[place]
        for setting in ("threads", "read_timeout_s", "epochs", "warm_epochs", *_ENDINGS):
            del values["settings"][setting]  # they decide when training ends, not what a step does
        if not self.settings.rate_falls:
            del values["settings"]["patience"]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def check_sizes(job: TrainingJob, num_items: int, num_names: int) -> None:
    """Refuse files that do not belong to one job.

    Args:
        job: what is trained.
        num_items: in its catalogue.
        num_names: in its vocabulary.

    Raises:
        InputError: one of them is not the number of items of the network.
    """
    for place, size in ((job.catalogue, num_items), (job.vocabulary, num_names)):
        if size != job.shape.num_items:
            raise InputError(f"{place}: has {size} items, the network {job.shape.num_items}; run build_examples again")


def _shards(values: list[Mapping[str, Any]]) -> tuple[Shard, ...]:
    return tuple(Shard(**{**shard, "files": tuple(shard["files"])}) for shard in values)


@dataclass(frozen=True, slots=True)
class HeadFigures:
    """How good one head is on a split, over targets with a label, each counting 1.

    Attributes:
        accuracy: share whose most likely label is a true one.
        majority_share: the same for always naming the label most frequent in training.
        nll: mean of -ln p, nats; over the true labels of an event where it has several.
        num_events: targets with a label.
    """

    accuracy: float
    majority_share: float
    nll: float
    num_events: int


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """One pass over the examples.

    Attributes:
        epoch: from 1.
        train_loss: term (item, or a head) -> mean over the weight of all ranks; with dropout, as seen while learning.
        validation_loss: mean item loss; None without validation rows.
        heads: on the validation rows.
        rows: read by all ranks.
        skipped_steps: left out because of a non-finite loss or gradient.
        seconds: of the epoch, its validation included.
        validation_ndcg: of the next item among all, the first ten places; None where nobody asks for it.
    """

    epoch: int
    train_loss: dict[str, float]
    validation_loss: float | None
    heads: dict[str, HeadFigures]
    rows: int
    skipped_steps: int
    seconds: float
    validation_ndcg: float | None = None

    def badness(self, by: str) -> tuple[float, float] | None:
        """Return what chooses the epoch, less being better, and then its loss; None where nothing could be judged.

        By lists several epochs may be equally bad: of a large catalogue the first ones find nothing.
        """
        if self.validation_loss is None:
            return None
        by_lists = by == "ndcg" and self.validation_ndcg is not None
        return -(self.validation_ndcg or 0.0) if by_lists else 0.0, self.validation_loss


@dataclass(frozen=True, slots=True)
class RankFigures:
    """What one rank did; rows are those of one epoch of training."""

    rank: int
    pid: int
    device: str
    files: int
    rows: int


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished training; equal on all ranks.

    Attributes:
        files: of the artifact: (name, sha256, bytes).
        epochs: figures of every epoch, also of those before a resumption.
        best_epoch: whose weights were kept.
        ranks: by rank.
        weights_sha256: of the weights, equal on all ranks.
        warm_started: whether the weights of ``warm_start`` were trained on.
        resumed_after: epoch of the checkpoint that training went on from; 0: none.
        notes: what was skipped on the way, and why.
    """

    files: tuple[tuple[str, str, int], ...]
    epochs: tuple[EpochFigures, ...]
    best_epoch: int
    ranks: tuple[RankFigures, ...]
    weights_sha256: str
    warm_started: bool
    resumed_after: int
    notes: tuple[str, ...] = field(default=())
