"""One training and what it is judged on; every protocol is a row of these.

N events   U lists   V items + 1   K categories of an item
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from intentrec.cluster.catalogue import Numbers
from intentrec.cluster.judging import JudgedDay, JudgedUsers
from intentrec.examples.arrays import EventArrays
from intentrec.metrics import Relevant
from intentrec.model.checkpoint import Vocabulary
from intentrec.model.inference import Histories
from intentrec.model.shape import Catalogue
from protocols.folders import Integers, Log


@dataclass(frozen=True)
class Round:
    """What one model learns from, chooses by and is judged on.

    Attributes:
        name: of the round, and of its files.
        numbers: items known to the model.
        learn: events to learn from; None: the last round's model is taken as it is.
        check: events that choose the epoch; None: the last epoch is kept.
        more: events that the chosen model is trained on through, once; None: it is judged as chosen.
        trying: lists that the baselines are tuned on, and the prior is fitted on and centred by.
        fits: whether the prior is fitted; False: the last round's weights are kept.
        judged: lists of the test.
        test: events whose labels the intent heads are judged by; None: they are not.
        warm: whether it may go on from the last round's weights.
        aside: for comparison only: no later round goes on from it, and no mean holds it.
        timed: whether the times are real.
        notes: figures of the data.
    """

    name: str
    numbers: Numbers
    learn: EventArrays | None
    check: EventArrays | None
    more: EventArrays | None
    trying: Sequence[JudgedDay]
    judged: Sequence[JudgedDay]
    test: EventArrays | None = None
    fits: bool = True
    warm: bool = False
    aside: bool = False
    timed: bool = False
    notes: dict[str, float] = field(default_factory=dict)


def numbers_of(log: Log, num_items: int, until: int | None = None) -> Numbers:
    """Return what a model of the first ``num_items`` items knows of them, at ``until``, UTC seconds, if there is one.

    Clicks weeks after their session started, as the news log has them, would make the log as old as the latest.
    """
    first_V = np.full(len(log.items) + 1, np.iinfo(np.int64).max if until is None else until)
    np.minimum.at(first_V, log.item_N, log.time_N)
    first_V = first_V[: num_items + 1].copy()
    first_V[0] = 0
    categories_VK = log.categories_VK[: num_items + 1] if log.categories_VK.size else np.zeros((num_items + 1, 0), int)
    return Numbers(
        vocabulary=Vocabulary(log.items[:num_items], dict(log.values)),
        fields=log.fields,
        catalogue=Catalogue(torch.from_numpy(categories_VK.astype(np.int64)), torch.from_numpy(first_V)),
        first_seen_V=first_V,
        eligible=np.arange(num_items + 1) > 0,
    )


def events_of(
    log: Log, chosen_N: NDArray[np.bool_] | None = None, weights_N: NDArray[np.floating] | None = None
) -> EventArrays:
    """Return some events as arrays, sequence after sequence; without weights all of them are targets."""
    chosen = np.arange(len(log.item_N)) if chosen_N is None else np.flatnonzero(chosen_N)
    owners = log.sequence_N[chosen]
    begins = np.flatnonzero(np.diff(owners, prepend=-1))
    weights = np.ones(len(chosen)) if weights_N is None else weights_N[chosen]
    return EventArrays(
        offsets=np.append(begins, len(chosen)).astype(np.int64),
        items_N=log.item_N[chosen],
        times_N=log.time_N[chosen],
        weights_N=weights.astype(np.float32),
        features_CN=log.feature_CN[:, chosen],
    )


def has_targets(events: EventArrays) -> bool:
    """Return whether there is anything to learn: an event of some weight that follows another of its sequence."""
    wanted_N = events.weights_N > 0
    wanted_N[events.offsets[:-1]] = False
    return bool(wanted_N.any())


def histories_of(log: Log, start_U: Integers, stop_U: Integers, until_U: Integers | None = None) -> Histories:
    """Return the events from each start up to its stop as histories; ``until_U``: without later ones, UTC seconds."""
    spans = [np.arange(*span) for span in zip(start_U.tolist(), stop_U.tolist(), strict=True)]
    if until_U is not None:
        spans = [span[log.time_N[span] <= until] for span, until in zip(spans, until_U.tolist(), strict=True)]
    return Histories(
        [log.item_N[span] for span in spans],
        [log.time_N[span] for span in spans],
        [log.feature_CN[:, span].ravel() for span in spans],
    )


def one_answer(histories: Histories, answer_U: Integers, seen: list[Integers] | None = None) -> JudgedUsers:
    """Return users who chose one item each; without ``seen`` lists may repeat what they know."""
    nothing = np.zeros(0, np.int64)
    relevant = Relevant(np.arange(len(answer_U) + 1), answer_U)
    return JudgedUsers(np.arange(len(answer_U)), histories, seen or [nothing] * len(answer_U), relevant)


def some_of(num: int, wanted: int | None, seed: int) -> Integers:
    """Return at most ``wanted`` places of ``num``, ascending, drawn with a seed that no model knows."""
    if wanted is None or wanted >= num:
        return np.arange(num)
    return np.sort(np.random.default_rng(seed).choice(num, wanted, replace=False))


def window_counts(
    items_N: Integers, time_N: Integers, until: int, hours: Sequence[int], size: int
) -> dict[int, Integers]:
    """Count every item's events in windows that end at ``until``, UTC seconds; an event at it is not counted."""
    before = time_N < until
    items_N, time_N = items_N[before], time_N[before]
    return {length: np.bincount(items_N[time_N >= until - 3600 * length], minlength=size) for length in hours}
