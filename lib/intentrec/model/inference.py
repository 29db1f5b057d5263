"""A trained model applied to histories of any length.

B histories   L events   C columns of features   D width   Q queries of a history   V items + 1   H heads
N labels of a head   K items
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intentrec.model.checkpoint import Artifact
from intentrec.model.steps import mixed_precision

_EVENTS = 16384  # slots encoded at once
_SLACK = 1.25  # a history is padded to at most this share of its own length
_ROWS = 8  # a batch has a multiple of so many rows: products of other shapes differ in their last bits


@dataclass(frozen=True, slots=True)
class Histories:
    """Users to encode, one entry of each sequence per user, oldest event first, not padded.

    Attributes:
        items: int item indices; 0 is an event without a known item.
        times: int64 UTC seconds since 1970.
        features: int value indices, one column after the other, each as long as the items.
    """

    items: Sequence[NDArray[Any]]
    times: Sequence[NDArray[Any]]
    features: Sequence[NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the model says of the event after each history.

    Attributes:
        queries_BQD: float32; dot products with item vectors are scores, the greatest of Q where there are several.
        intents_BD: float32, Z; 0 without heads.
        alpha_BH: float32 shares of the heads, in the order of ``heads``; they sum to 1.
        heads: head -> float32 [B, N] probabilities, calibrated where the model holds how; the network itself
            goes on from those it was trained with. A head that no event of the training had a label for says nothing.
    """

    queries_BQD: Tensor
    intents_BD: Tensor
    alpha_BH: Tensor
    heads: dict[str, Tensor]


class Scorer:
    """A model loaded once, applied many times."""

    def __init__(self, artifact: Artifact, device: torch.device | str = "cpu") -> None:
        """Build the network and the item vectors.

        Raises:
            InputError: the weights are not those of the shape.
        """
        self.device = torch.device(device)
        self.shape = artifact.shape
        self.network = artifact.network(self.device).requires_grad_(False)
        self.labels = artifact.labels()
        self._calibrations = artifact.calibrations()
        counts = artifact.facts.get("label_counts", {})
        self.heads = tuple(head for head in self.shape.heads if sum(counts.get(head, (1.0,))) > 0)
        with torch.inference_mode():
            self._vectors = self.network.items.whole()
            self.items_VD = self._vectors.vectors_UD.cpu()
            self.bias_V = None if self._vectors.bias_U is None else self._vectors.bias_U.cpu()

    def encode(self, histories: Histories) -> Encoded:
        """Encode every history, in the order given; histories of like length share a batch.

        What a history is padded to depends on its own length alone, so other histories change no bit of the answer.

        Raises:
            ValueError: a history has no event, or arrays of different lengths.
        """
        lengths_B = _checked_lengths(histories, self.shape.num_columns)
        rows, heads = len(lengths_B), len(self.shape.heads)
        learnt = [self.shape.heads.index(head) for head in self.heads]
        queries_BQD = torch.zeros(rows, self.shape.num_queries, self.shape.width)
        intents_BD = torch.zeros(rows, self.shape.width)
        alpha_BH = torch.zeros(rows, heads)
        chances = {head: torch.zeros(rows, len(self.labels[head])) for head in self.heads}
        with torch.inference_mode(), mixed_precision(self.device):
            for chosen in _alike(lengths_B):
                said = self.network.of_last(*self._padded(histories, chosen), self._vectors)
                where, own = torch.from_numpy(chosen), slice(0, len(chosen))
                queries_BQD[where] = said.queries_BLQD[own, 0].float().cpu()
                intents_BD[where] = said.intents_BLD[own, 0].float().cpu()
                alpha_BH[where] = said.alpha_BLH[own, 0].float().cpu()
                for head, chances_BN in chances.items():
                    chances_BN[where] = self._chances(head, said.head_logits[head][own, 0].float().cpu())
        if len(learnt) < heads:
            alpha_BH = alpha_BH[:, learnt]
            alpha_BH /= alpha_BH.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        return Encoded(queries_BQD, intents_BD, alpha_BH, chances)

    def _chances(self, head: str, logits_BN: Tensor) -> Tensor:
        """Return float32 [B, N], calibrated as ``metrics.calibrated`` does it."""
        own = self._calibrations.get(head)
        if own is None:
            return logits_BN.softmax(dim=-1)
        said_BN = (logits_BN / own.temperature).softmax(dim=-1)
        if not own.base_share:
            return said_BN
        return (1 - own.base_share) * said_BN + own.base_share * torch.tensor(own.base_rates)

    def nearest(self, items_BK: Tensor, past: Sequence[NDArray[Any]]) -> Tensor:
        """Return for each item of a list the past item nearest to it by the cosine of their vectors.

        Args:
            items_BK: int64 recommended items, 0 for none.
            past: per row the items to choose from, in any order; 0 is passed over.

        Returns:
            int64 [B, K] past items, the latest of equals; 0 where there is none to name.
        """
        nearest_BK = torch.zeros_like(items_BK)
        for row, items in enumerate(past):
            known = torch.from_numpy(items[items > 0][::-1].astype(np.int64))
            if len(known):
                cosines = self._directions(items_BK[row]) @ self._directions(known).T
                nearest_BK[row] = known[cosines.argmax(dim=1)]
        return nearest_BK.masked_fill(items_BK == 0, 0)

    def _directions(self, items_N: Tensor) -> Tensor:
        return torch.nn.functional.normalize(self.items_VD[items_N], dim=1)

    def _padded(self, histories: Histories, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        length = _padded_length(max(len(histories.items[row]) for row in chosen))
        chosen = np.concatenate([chosen, np.repeat(chosen[-1:], -len(chosen) % _ROWS)])
        items_BL = np.zeros((len(chosen), length), np.int64)
        times_BL = np.zeros_like(items_BL)
        features_BCL = np.zeros((len(chosen), self.shape.num_columns, length), np.int64)
        for at, row in enumerate(chosen):
            own = len(histories.items[row])
            items_BL[at, length - own :] = histories.items[row]
            times_BL[at, length - own :] = histories.times[row]
            features_BCL[at, :, length - own :] = np.asarray(histories.features[row]).reshape(-1, own)
        items, times, features = (torch.from_numpy(a).to(self.device) for a in (items_BL, times_BL, features_BCL))
        return items, times, features


def _alike(lengths_B: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield rows that are encoded together: padded to the same length, at most _EVENTS slots."""
    padded_B = np.array([_padded_length(length) for length in lengths_B.tolist()], dtype=np.int64)
    for length in np.unique(padded_B).tolist():
        rows = np.flatnonzero(padded_B == length)
        at_once = max(_ROWS, _EVENTS // length // _ROWS * _ROWS)
        for start in range(0, len(rows), at_once):
            yield rows[start : start + at_once]


@lru_cache(maxsize=4096)
def _padded_length(length: int) -> int:
    """Return the least step of 1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, ... that is not below ``length``.

    Steps are multiples of 8 so that every row begins where the processor's vectors do; else its place in the batch
    would show in the last bits.
    """
    step = 1
    while step < length:
        step = step * 2 if step < 8 else step + max(8, int(step * _SLACK / 8) * 8 - step)
    return step


def _checked_lengths(histories: Histories, columns: int) -> NDArray[np.int64]:
    lengths_B = np.array([len(row) for row in histories.items], dtype=np.int64)
    for name, rows, share in (("times", histories.times, 1), ("features", histories.features, columns)):
        own_B = np.array([len(row) for row in rows], dtype=np.int64)
        wrong_B = own_B != share * lengths_B
        if wrong_B.any():
            raise ValueError(f"histories: {name} of row {int(wrong_B.argmax())} must have {share} entries per event")
    if len(lengths_B) and lengths_B.min() == 0:
        raise ValueError(f"histories: row {int(lengths_B.argmin())} has no event")
    return lengths_B
