"""P3: for every period, train on all before it, test every position of its sessions; a warm start after the first."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from intentrec.cluster.judging import JudgedUsers
from protocols.figures import ASIDE
from protocols.folders import Integers, Log, period_files
from protocols.rounds import Round, events_of, histories_of, numbers_of, one_answer, some_of
from protocols.session_prefixes import SessionDays, prefixes
from protocols.settings import QualityConfig


def rounds(folder: Path, config: QualityConfig) -> Iterator[Round]:
    """Yield a round for every period after the first with a session; where asked for, one from nothing beside it."""
    log, period_N = period_files(folder)
    days = SessionDays(log, config)
    first_of = [int(log.sequence_N[place]) for place in np.searchsorted(period_N, np.arange(1, period_N[-1] + 1))]
    begins = [0, *first_of, int(log.sequence_N[-1]) + 1]
    later = range(int(period_N[0]) + 1, int(period_N[-1]) + 1)
    wanted = later if config.protocol.rounds is None else config.protocol.rounds
    warm = False
    for period in sorted(set(wanted) & set(later)):
        one = _round(log, days, begins[period - 1 : period + 2], config)
        name = f"period_{period:02d}"
        if warm and period in config.protocol.full_at:
            yield replace(one, name=f"{name}{ASIDE}", aside=True)
        yield replace(_newest_only(one, log, begins[period - 1], begins[period]) if warm else one, name=name, warm=warm)
        warm = True


def _round(log: Log, days: SessionDays, bounds: list[int], config: QualityConfig) -> Round:
    """Return the round that tests sessions from ``bounds[1]`` up to ``bounds[2]``."""
    begin, end, last = bounds
    past_N = log.sequence_N < end
    num_items = int(log.item_N[past_N].max())
    first = end - max(1, round((end - begin) * config.protocol.validation_share))
    early_N = log.sequence_N < first
    check_N = past_N & ~early_N
    starts, answers = prefixes(events_of(log, check_N), int(check_N.argmax()))
    some = some_of(len(answers), config.protocol.validation_lists, seed=2)
    length = config.examples.history_length
    start, stop = np.maximum(starts[some], answers[some] - length), answers[some]
    trying = one_answer(histories_of(log, start, stop), log.item_N[stop])
    test_N = (log.sequence_N >= end) & (log.sequence_N < last) & (log.item_N <= num_items)
    return Round(
        name="",
        numbers=numbers_of(log, num_items),
        learn=events_of(log, early_N),
        check=events_of(log, check_N),
        more=events_of(log, past_N),
        trying=[days.at(first, trying, num_items)],
        judged=[days.at(end, _tests(log, np.flatnonzero(test_N), config), num_items)],
        timed=log.timed,
    )


def _newest_only(one: Round, log: Log, begin: int, end: int) -> Round:
    """Return the round of a warm start: its last pass is over the newest period alone."""
    return replace(one, more=events_of(log, (log.sequence_N >= begin) & (log.sequence_N < end)))


def _tests(log: Log, places: Integers, config: QualityConfig) -> JudgedUsers:
    """Return every position but the first of the sessions that are left when unknown items are gone."""
    part = events_of(log, np.isin(np.arange(len(log.item_N)), places))
    starts, answers = prefixes(part, 0)
    some = some_of(len(answers), config.protocol.test_lists, seed=1)
    length = config.examples.history_length
    known = replace(log, item_N=part.items_N, time_N=part.times_N, feature_CN=part.features_CN)
    start, stop = np.maximum(starts[some], answers[some] - length), answers[some]
    return one_answer(histories_of(known, start, stop), known.item_N[stop])
