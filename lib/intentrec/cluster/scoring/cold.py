"""Users with few events: the model's scores, shrunk towards what is popular in their segment.

V items + 1 (0 is padding)   S segments of users, everybody the first   P pairs of a segment and an item
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from intentrec.baselines import log_popularity
from intentrec.cluster.judging import Indices
from intentrec.config import ColdStartConfig

_MOST_SEGMENTS = 50  # with scores of their own, the largest: 20 MB at 100,000 items
_ANY_WINDOW = 1  # hours; counts of one window alone do not fade


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """How users with few events are scored: lam * model + (1 - lam) * popularity of the segment, lam = n / (n + kappa).

    Attributes:
        events: a user with fewer is cold.
        shrink_events: kappa.
        segments: name -> row of ``popularity_SV``; row 0 is everybody's, and of whoever has no segment here.
        popularity_SV: float32, on the scale of the model's logits.
    """

    events: int
    shrink_events: float
    segments: Mapping[str, int]
    popularity_SV: NDArray[np.float32]


def cold_start_of(
    settings: ColdStartConfig, counted: DataFrame, counts_V: Indices, items: Sequence[str], weight: float
) -> ColdStart | None:
    """Collect the popularity of every segment; None where no user counts as cold.

    Args:
        settings: of the config.
        counted: one row per segment and eligible item with an event: segment, item_id, num_events.
        counts_V: events of every item in the same window, of all users.
        items: ids; place i holds the item of index i.
        weight: of log popularity beside the model's logits.
    """
    if not settings.events:
        return None
    rows = counted.toArrow()
    names = rows["segment"].to_pylist()
    events_P = rows["num_events"].to_numpy()
    totals: dict[str, int] = {}
    for name, events in zip(names, events_P.tolist(), strict=True):
        totals[name] = totals.get(name, 0) + events
    largest = sorted(totals, key=lambda name: (-totals[name], name))[:_MOST_SEGMENTS]
    segments = {name: row for row, name in enumerate(largest, 1)}
    counts_SV = np.zeros((1 + len(segments), len(items)), dtype=np.int64)
    counts_SV[0, : len(counts_V)] = counts_V
    index_of = {name: index for index, name in enumerate(items)}
    for name, item, events in zip(names, rows["item_id"].to_pylist(), events_P.tolist(), strict=True):
        if name in segments and item in index_of:
            counts_SV[segments[name], index_of[item]] = events
    popularity_SV = np.float32(weight) * np.stack([log_popularity({_ANY_WINDOW: own}, math.inf) for own in counts_SV])
    return ColdStart(
        events=settings.events, shrink_events=settings.shrink_events, segments=segments, popularity_SV=popularity_SV
    )
