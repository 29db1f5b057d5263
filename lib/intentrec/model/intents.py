"""What each intent head predicts: labels of the next event, and their names.

B rows   L events, left-padded   C columns of features   K labels kept per event (-1: none)   V items + 1
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from intentrec.model.shape import ACTION, CATEGORIES, Catalogue, NetworkShape

_HOUR_S, _DAY_S = 3600, 86400
_AGES = (
    (_HOUR_S, "under 1 hour"),
    (6 * _HOUR_S, "1 to 6 hours"),
    (_DAY_S, "6 to 24 hours"),
    (7 * _DAY_S, "1 to 7 days"),
    (30 * _DAY_S, "7 to 30 days"),
    (90 * _DAY_S, "30 to 90 days"),
    (365 * _DAY_S, "90 to 365 days"),
)
_OLDEST = "over 365 days"
NUM_AGES = len(_AGES) + 1
_NOVELTY = ("continue", "discover")


def age_buckets(age_s: Tensor) -> Tensor:
    """Return int64 buckets of item age in seconds; an age of exactly a bound belongs to the older bucket."""
    bounds = torch.tensor([bound for bound, _ in _AGES], device=age_s.device)
    return torch.bucketize(age_s, bounds, right=True)


def head_sizes(shape: NetworkShape) -> dict[str, int]:
    """Return the number of labels of every head of ``shape``, in its order."""
    action = shape.field(ACTION)
    sizes = {
        ACTION: action.num_values if action else 0,
        "category": shape.num_categories,
        "novelty": len(_NOVELTY),
        "item_age": NUM_AGES,
        "cluster": shape.clusters,
    }
    return {head: sizes[head] for head in shape.heads}


def label_names(shape: NetworkShape, values: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the names of every head's labels.

    Args:
        shape: of the network.
        values: of each field, the value of index 1, 2, ... as in ``feature_vocabulary``.
    """
    names = {
        ACTION: tuple(values.get(ACTION, ())),
        "category": tuple(values.get(CATEGORIES, ())),
        "novelty": _NOVELTY,
        "item_age": (*(name for _, name in _AGES), _OLDEST),
        "cluster": tuple(f"cluster {number}" for number in range(1, shape.clusters + 1)),
    }
    return {head: names[head] for head in shape.heads}


def intent_labels(
    shape: NetworkShape, catalogue: Catalogue, items_BL: Tensor, times_BL: Tensor, features_BCL: Tensor
) -> dict[str, Tensor]:
    """Return what each head should say after every event: the labels of the event that follows.

    Returns:
        head -> int64 [B, L, K] label indices, -1 where there is none: after the last event, after padding, and
        where the next event's item is unknown to a head that needs it. K > 1 for several true labels.
    """
    labels = {}
    for head in shape.heads:
        if head == ACTION:
            own_BLK = features_BCL[:, shape.columns_of(ACTION)].transpose(1, 2) - 1
        elif head == "category":
            own_BLK = catalogue.categories_VC[items_BL] - 1
        elif head == "cluster":
            assert catalogue.clusters_V is not None  # a training finds them before its first step
            own_BLK = catalogue.clusters_V[items_BL][..., None] - 1
        elif head == "novelty":
            own_BLK = _novelty(items_BL, catalogue.categories_VC[:, 0] if shape.num_categories else None)[..., None]
        else:
            ages_BL = age_buckets(times_BL - catalogue.published_V[items_BL])
            unknown_BL = (items_BL == 0) | (times_BL < _ages_known_since(catalogue))
            own_BLK = ages_BL.masked_fill(unknown_BL, -1)[..., None]
        labels[head] = _of_next(own_BLK, times_BL)
    return labels


def _ages_known_since(catalogue: Catalogue) -> Tensor:
    """Return the second since which an item's age is a label.

    Where ages count from an item's first event, none is older than the log: in its first days everything is new, and
    what is learnt there of ages is wrong ever after. An event counts once the log is as old as the oldest label that
    occurs in its last quarter; a label that had just begun to occur would leave nothing to learn from, as the log's
    last days are held out.
    """
    published = catalogue.published_V[1:]
    begins, ends = published.min(), published.max()
    bounds = torch.tensor([0, *(bound for bound, _ in _AGES)], device=published.device)
    return begins + bounds.take(age_buckets((ends - begins) * 3 // 4))  # an index would wait for the GPU in every step


def _novelty(items_BL: Tensor, kind_V: Tensor | None) -> Tensor:
    """Return 1 where the event's main category (without categories: its item) is new in the row, 0 if not; -1: none."""
    kinds_BL = items_BL if kind_V is None else kind_V[items_BL]
    length = items_BL.shape[1]
    earlier_LL = torch.ones(length, length, dtype=torch.bool, device=items_BL.device).tril(-1)
    seen_BL = ((kinds_BL[:, :, None] == kinds_BL[:, None, :]) & earlier_LL).any(dim=2)
    return (~seen_BL).long().masked_fill(kinds_BL == 0, -1)


def _of_next(own_BLK: Tensor, times_BL: Tensor) -> Tensor:
    """Move labels from the event they describe to the event before it, where they are predicted."""
    labels_BLK = torch.full_like(own_BLK, -1)
    both_BL = (times_BL[:, 1:] != 0) & (times_BL[:, :-1] != 0)
    labels_BLK[:, :-1] = own_BLK[:, 1:].masked_fill(~both_BL[..., None], -1)
    return labels_BLK
