"""P1: train on s[:-2], choose on s[-2], test on s[-1] with s[:-1] as input; what a user has had is not listed again."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from intentrec.baselines import NeighbourRules, Sequences
from intentrec.cluster.judging import JudgedDay, JudgedUsers
from protocols.folders import rated_items
from protocols.rivals import PAIRS, factors, neighbours, pair_sources
from protocols.rounds import Round, events_of, histories_of, numbers_of, one_answer, some_of
from protocols.settings import QualityConfig


def rounds(folder: Path, config: QualityConfig) -> Iterator[Round]:
    """Yield the one round."""
    log = rated_items(folder, config.examples.max_categories)
    num_items = len(log.items)
    start_U = np.flatnonzero(np.diff(log.sequence_N, prepend=-1))
    stop_U = np.append(start_U[1:], len(log.item_N))
    from_end_N = np.repeat(stop_U, stop_U - start_U) - np.arange(len(log.item_N))
    start_U, stop_U = (bound[stop_U - start_U >= 3] for bound in (start_U, stop_U))  # the others have nothing to judge
    numbers, train_N = numbers_of(log, num_items), from_end_N > 2
    train = events_of(log, train_N)
    past = Sequences(train.offsets, train.items_N)
    counts = {1: np.bincount(train.items_N, minlength=num_items + 1)}
    # A user's latest 10 events find his neighbours: all of them, 165 on average, take a minute for each 1,000 users.
    index = neighbours(past, num_items, NeighbourRules(last=10), tuned=False) if config.protocol.neighbours else {}
    index |= factors(past, num_items) if config.protocol.factors else {}
    sources = {**pair_sources(past, num_items, tuple(PAIRS), itself=False), **index}
    length = config.examples.history_length

    def users(before_end: int, wanted: int | None) -> JudgedUsers:
        some = some_of(len(start_U), wanted, seed=before_end)
        stop = stop_U[some] - before_end
        seen = [log.item_N[slice(*span)] for span in zip(start_U[some].tolist(), stop.tolist(), strict=True)]
        return one_answer(histories_of(log, np.maximum(start_U[some], stop - length), stop), log.item_N[stop], seen)

    trying = JudgedDay(users(2, config.protocol.validation_lists), counts, numbers.eligible, sources)
    judged = JudgedDay(users(1, None), counts, numbers.eligible, sources)
    check = events_of(log, from_end_N > 1, (from_end_N == 2).astype(np.float32))
    test = events_of(log, None, (from_end_N == 1).astype(np.float32))
    yield Round("all", numbers, train, check, None, [trying], [judged], test, timed=log.timed)
