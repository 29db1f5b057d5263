"""P2: every prefix of every test session, all items ranked, repeats allowed; the latest tenth of sessions chooses."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from intentrec.baselines import NeighbourRules, Sequences
from intentrec.cluster.judging import JudgedDay, JudgedUsers
from intentrec.examples.arrays import EventArrays
from intentrec.model.inference import Histories
from protocols.folders import Integers, Log, session_lines
from protocols.rivals import PAIRS, neighbours, pair_sources
from protocols.rounds import Round, events_of, histories_of, numbers_of, one_answer, some_of, window_counts
from protocols.settings import QualityConfig


def rounds(folder: Path, config: QualityConfig) -> Iterator[Round]:
    """Yield the one round."""
    log, tests = session_lines(folder)
    numbers = numbers_of(log, len(log.items))
    num_sessions = int(log.sequence_N[-1]) + 1
    first = num_sessions - max(1, round(num_sessions * config.protocol.validation_share))
    is_early_N = log.sequence_N < first
    learn, check, everything = events_of(log, is_early_N), events_of(log, ~is_early_N), events_of(log)
    days = SessionDays(log, config)
    prefix_start, answer = prefixes(check, int((~is_early_N).argmax()))
    some = some_of(len(answer), config.protocol.validation_lists, seed=2)
    length = config.examples.history_length
    start, stop = np.maximum(prefix_start[some], answer[some] - length), answer[some]
    trying = days.at(first, one_answer(histories_of(log, start, stop), log.item_N[stop]))
    judged = days.at(num_sessions, _tests(log, tests, config))
    yield Round("all", numbers, learn, check, everything, [trying], [judged], timed=log.timed)


class SessionDays:
    """What is known when so many sessions have ended: counts of every item, and evidence."""

    def __init__(self, log: Log, config: QualityConfig) -> None:
        """``log``: one sequence a session, in the order of time."""
        self.log, self.config = log, config
        whole = events_of(log)
        self.sessions = Sequences(whole.offsets, whole.items_N)

    def at(self, num_sessions: int, users: JudgedUsers, num_items: int | None = None) -> JudgedDay:
        """Return lists that are made after the first ``num_sessions``, of items up to ``num_items``.

        Windows of popularity end with the last of these sessions; what others click after it is not counted.
        """
        log, past = self.log, self.sessions.first(num_sessions)
        num_items = len(log.items) if num_items is None else num_items
        size = int(past.offsets[-1])
        until = int(log.time_N[size - 1]) + 1
        hours = self.config.protocol.popularity_hours
        counts = window_counts(log.item_N[:size], log.time_N[:size], until, hours, num_items + 1)
        sources = pair_sources(past, num_items, tuple(PAIRS), itself=True)
        if self.config.protocol.neighbours:
            sources |= neighbours(past, num_items, NeighbourRules())
        return JudgedDay(users, counts, np.arange(num_items + 1) > 0, sources)


def prefixes(events: EventArrays, first: int) -> tuple[Integers, Integers]:
    """Return for every event but the first of its sequence where the sequence starts, and where the event stands.

    Args:
        events: some sequences of a log.
        first: where they begin in the log.
    """
    lengths = np.diff(events.offsets)
    starts = np.repeat(events.offsets[:-1], lengths)
    places = np.arange(events.offsets[-1])
    later = places > starts
    return starts[later] + first, places[later] + first


def _tests(log: Log, tests: Sequence[tuple[list[str], str]], config: QualityConfig) -> JudgedUsers:
    """Return the tests of the file; an unknown label counts, and no list can hold it."""
    index = {name: item for item, name in enumerate(log.items, 1)}
    some = some_of(len(tests), config.protocol.test_lists, seed=1)
    length, unknown = config.examples.history_length, len(log.items) + 1
    items = [np.array([index.get(name, 0) for name in tests[row][0][-length:]], dtype=np.int64) for row in some]
    times = [int(log.time_N[-1]) + 1 + np.arange(len(own)) for own in items]
    nothing = np.zeros(0, np.int64)
    answer = np.array([index.get(tests[row][1], unknown) for row in some], dtype=np.int64)
    return one_answer(Histories(items, times, [nothing] * len(items)), answer)
