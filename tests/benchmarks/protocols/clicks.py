"""P4 and P5: a raw click log by the day. Hourly: the last click of every session; nightly: what is opened next day."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from intentrec.baselines import NeighbourRules, Sequences, SessionNeighbours, Source
from intentrec.cluster.judging import JudgedDay, JudgedUsers
from intentrec.examples.arrays import EventArrays
from intentrec.metrics import Relevant
from protocols.folders import DAY_S, Integers, Log
from protocols.rivals import pair_sources
from protocols.rounds import Round, events_of, histories_of, numbers_of, one_answer, some_of, window_counts
from protocols.settings import QualityConfig
from protocols.visits import day_files

HOUR_S = 3600
_SESSION_LENGTH = 20
_NEWEST_DAYS = 3  # of sessions in which pairs are counted: what follows an article changes by the day
_FIRST_HOURS = 6  # of the end of the log's first day: what is chosen by, where there is no day before it to learn from
_NEIGHBOURS = NeighbourRules(recent=500, fading=0.0, by_length=True, idf=False)


class Clicks:
    """A log by sessions, in the order of their starts, and what is known of it at any moment.

    Known is what was clicked before: of a session under way, its first clicks.
    """

    def __init__(self, folder: Path, config: QualityConfig) -> None:
        """Read all days."""
        self.log, self.bounds = day_files(folder)
        self.config = config
        log = self.log
        begins = np.flatnonzero(np.diff(log.session_N, prepend=-1))
        ends = np.append(begins[1:], len(log.item_N))
        order = np.argsort(log.start_N[begins], kind="stable")
        self.begin_S, self.end_S, self.start_S = begins[order], ends[order], log.start_N[begins[order]]
        lengths = self.end_S - self.begin_S
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(self.begin_S - offsets[:-1], lengths) + np.arange(offsets[-1])
        self.offsets, self.items_E, self.times_E = offsets, log.item_N[places], log.time_N[places]
        self.user_begin = np.flatnonzero(np.diff(log.sequence_N, prepend=-1))
        opened = np.unique(log.session_N * (len(log.items) + 1) + log.item_N, return_index=True)[1]
        again_N = np.ones(len(log.item_N), bool)
        again_N[opened] = False
        self.first_again = int(log.time_N[again_N].min(initial=np.iinfo(np.int64).max))

    def known_items(self, moment: int) -> int:
        """Return the greatest item of those that had been clicked before."""
        log = self.log
        return int(log.item_N[(log.start_N < moment) & (log.time_N < moment)].max(initial=0))

    def past(self, moment: int, days: int | None = None) -> Sequences:
        """Return what had been clicked before, by sessions; ``days``: of those alone that started so short before."""
        first = 0 if days is None else np.searchsorted(self.start_S, moment - days * DAY_S)
        bounds = self.offsets[first : np.searchsorted(self.start_S, moment) + 1]
        part = slice(bounds[0], bounds[-1])
        is_past_E = self.times_E[part] < moment
        return Sequences(np.append(0, np.cumsum(is_past_E))[bounds - bounds[0]], self.items_E[part][is_past_E])

    def day(self, moment: int, users: JudgedUsers, model_at: int | None = None) -> JudgedDay:
        """Return lists that are made at a moment, UTC seconds, by a model that knows the items of ``model_at``."""
        log, num_known = self.log, self.known_items(moment)
        num_items = num_known if model_at is None else self.known_items(model_at)
        earlier_N = log.start_N < moment
        hours = self.config.protocol.popularity_hours
        counts = window_counts(log.item_N[earlier_N], log.time_N[earlier_N], moment, hours, num_items + 1)
        sources: dict[str, Source] = {
            **pair_sources(self.past(moment, _NEWEST_DAYS), num_items, ("markov", "counts_5"), itself=False),
            "vsknn": SessionNeighbours.of(self.past(moment), num_items, _NEIGHBOURS),
        }
        numbers_V = np.arange(num_items + 1)
        users = _known_to(users, num_items)
        return JudgedDay(users, counts, (numbers_V > 0) & (numbers_V <= num_known), sources)

    def between(self, since: int, until: int, context_s: int = 0) -> EventArrays:
        """Return events of sessions that started in a span as targets, those ``context_s`` before it as context.

        Clicks at its end or later are left out, though their session started before it.
        """
        log = self.log
        chosen_N = (log.start_N >= since - context_s) & (log.start_N < until) & (log.time_N < until)
        weights_N = (log.start_N >= since).astype(np.float32)
        return events_of(log, chosen_N, weights_N)

    def last_clicks(self, since: int, until: int, wanted: int | None, clicked: int | None = None) -> JudgedUsers:
        """Return the last click of every session of two or more that starts in a span, cut to its first 20 clicks.

        Lists leave out what the session has opened, unless sessions before are known to open things again.

        ``clicked``: only what was clicked before this moment, UTC seconds, is there.
        """
        low, high = np.searchsorted(self.start_S, [since, until])
        begin, end = self.begin_S[low:high], self.end_S[low:high]
        if clicked is not None:
            num_past_N = np.append(0, np.cumsum(self.log.time_N < clicked))
            end = begin + num_past_N[end] - num_past_N[begin]  # clicks of a session are in the order of time
        stop = np.minimum(end, begin + _SESSION_LENGTH) - 1
        begin, stop = begin[stop > begin], stop[stop > begin]
        some = some_of(len(stop), wanted, seed=since % 1000)
        begin, stop = begin[some], stop[some]
        seen = [self.log.item_N[slice(*span)] for span in zip(begin.tolist(), stop.tolist(), strict=True)]
        if self.config.protocol.history_sessions:
            begin = self.user_begin[np.searchsorted(self.user_begin, begin, side="right") - 1]
        begin = np.maximum(begin, stop - self.config.examples.history_length)
        histories = histories_of(self.log, begin, stop, self.log.time_N[stop])
        left_out = seen if since <= self.first_again else None
        return replace(one_answer(histories, self.log.item_N[stop], left_out), current=seen)

    def next_day(self, since: int, until: int, wanted: int | None, clicked: int | None = None) -> JudgedUsers:
        """Return users with a history before a day, and what they open in its sessions and had not opened before.

        ``clicked``: only what was clicked before this moment, UTC seconds, is there.
        """
        log = self.log
        past_N = (log.start_N < since) & (log.time_N < since)
        day_N = (log.start_N >= since) & (log.start_N < until)
        if clicked is not None:
            day_N &= log.time_N < clicked
        size = len(log.items) + 1
        opened = np.unique(log.sequence_N[past_N] * size + log.item_N[past_N])
        chosen = np.setdiff1d(np.unique(log.sequence_N[day_N] * size + log.item_N[day_N]), opened)
        users = np.intersect1d(np.unique(chosen // size), np.unique(opened // size))
        users = users[some_of(len(users), wanted, seed=since % 1000)]
        chosen = chosen[np.isin(chosen // size, users)]
        relevant = Relevant(np.append(np.searchsorted(chosen // size, users), len(chosen)), chosen % size)
        opened = opened[np.isin(opened // size, users)]
        seen = np.split(opened % size, np.searchsorted(opened // size, users)[1:])[: len(users)]
        events = events_of(log, past_N & np.isin(log.sequence_N, users))
        stop = events.offsets[1:]
        start = np.maximum(events.offsets[:-1], stop - self.config.examples.history_length)
        part = Log(
            users, events.items_N, events.times_N, (), True, users, events.times_N, events.features_CN
        )  # one sequence per user, in the order of users
        return JudgedUsers(users, histories_of(part, start, stop), seen, relevant)


def _known_to(users: JudgedUsers, num_items: int) -> JudgedUsers:
    """Leave the items that came later out of what lists may not repeat and neighbours are looked up by."""

    def known(of_users: Sequence[Integers]) -> list[Integers]:
        return [own[own <= num_items] for own in of_users]

    return replace(users, seen=known(users.seen), current=None if users.current is None else known(users.current))


def hourly(folder: Path, config: QualityConfig) -> Iterator[Round]:
    """Yield a round for every hour of the last four days: fitted on the hour before, trained on through it."""
    clicks = Clicks(folder, config)
    first, end = int(clicks.bounds[max(1, len(clicks.bounds) - 5)]), int(clicks.bounds[-1])
    starts = range(first, end, HOUR_S)
    wanted = range(len(starts)) if config.protocol.rounds is None else config.protocol.rounds
    given, learnt = 0, 0
    for number in sorted(set(wanted) & set(range(len(starts)))):
        now = starts[number]
        before = now - HOUR_S
        asked = clicks.last_clicks(now, min(now + HOUR_S, end), config.protocol.test_lists)
        if not len(asked):
            continue  # what was clicked since is learnt before the next window that has lists
        # The first prior is fitted on a model of the day before; from the second window on it is an hour old.
        fresh, due = not given, given < 2 or number % config.protocol.fit_every == 0
        users = clicks.last_clicks(before, now, config.protocol.validation_lists, clicked=now)
        since = min(now - config.protocol.replay_hours * HOUR_S, learnt or now)
        yield Round(
            name=f"window_{number:03d}",
            numbers=numbers_of(clicks.log, clicks.known_items(now), now),
            learn=clicks.between(before - _days(config, clicks), before) if fresh else None,
            check=clicks.between(before, now, DAY_S) if fresh else None,
            more=clicks.between(since, now, DAY_S),
            trying=[clicks.day(before, users, now if fresh else None)],
            fits=due,
            judged=[clicks.day(now, asked)],
            timed=True,
        )
        given, learnt = given + 1, now


def nightly(folder: Path, config: QualityConfig) -> Iterator[Round]:
    """Yield a round for each of the last two days: fitted on the day before, trained on through its newest hours."""
    clicks = Clicks(folder, config)
    fresh = True
    for number in range(max(1, len(clicks.bounds) - 3), len(clicks.bounds) - 1):
        now, end = (int(bound) for bound in clicks.bounds[number : number + 2])
        before = now - (DAY_S if number > 1 else _FIRST_HOURS * HOUR_S)
        asked = clicks.next_day(now, end, config.protocol.test_lists)
        if not len(asked):
            continue
        users = clicks.next_day(before, now, config.protocol.validation_lists, clicked=now)
        yield Round(
            name=f"day_{number:02d}",
            numbers=numbers_of(clicks.log, clicks.known_items(now), now),
            learn=clicks.between(before - _days(config, clicks), before) if fresh else None,
            check=clicks.between(before, now, DAY_S) if fresh else None,
            more=clicks.between(max(before, now - config.protocol.replay_hours * HOUR_S), now, DAY_S),
            trying=[clicks.day(before, users, now if fresh else None)],
            judged=[clicks.day(now, asked)],
            test=clicks.between(now, end, DAY_S),
            timed=True,
        )
        fresh = False


def _days(config: QualityConfig, clicks: Clicks) -> int:
    return (config.protocol.learn_days or len(clicks.bounds)) * DAY_S
