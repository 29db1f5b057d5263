"""The vectorised splitter: sorted events in Arrow batches -> sessions in Arrow batches.

Shape letters: N events at hand, C chains, S sessions.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from intentrec.sessions.layout import AdaptiveGap, Limits

EVENT_FIELDS = ("occurred_at", "sequence", "event_id", "item_id", "action", "value", "context")
CLOCK_BACK, CUT_AT_END, CUT_AT_START = "clock_back", "cut_at_end", "cut_at_start"
INPUT = ("user_id", *EVENT_FIELDS)
HELD = ("chain_us", "held_id")  # what the first event of a stored session may carry
OUTPUT = (
    "user_id STRING, started_at TIMESTAMP, ended_at TIMESTAMP, num_events INT, events {events}, flags ARRAY<STRING>, "
    "chain_started_at TIMESTAMP, held_id STRING, twin STRING"
)

_Ints = np.ndarray[Any, np.dtype[np.int64]]
_Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(slots=True)
class _Open:
    """The session that the next batch may continue: its events, and how it began."""

    rows: Any
    chain_us: int
    cut_at_start: bool
    held_id: str | None
    twin: str | None


def split(batches: Iterable[Any], limits: Limits) -> Iterator[Any]:
    """Cut each user's events into sessions.

    A session ends where the next event comes more than ``gap_us`` after the last one, or more than the adaptive gap
    allows, or after an action of ``cut_after``. A run of events without such an end is a chain; a chain that is longer
    than ``max_us`` or holds more than ``max_events`` is cut from its start on, each session taking as many events as
    the limits allow, so that a later event never moves an earlier cut. An event that follows an equal one (user,
    instant, sequence, event_id) is dropped.

    Args:
        batches: RecordBatches of INPUT, sorted by user_id, occurred_at, sequence, event_id; a user's rows all in one
            stream. Those of HELD may follow: a first event of a user with ``held_id`` begins a session that keeps this
            id; with ``chain_us`` as well its session has been cut from an earlier one, of a chain that began at this
            instant.
        limits: gap and limits of a session.

    Yields:
        RecordBatches of OUTPUT, one row per session. ``twin`` is the first event's id where the session before began
        at the same instant, so that user and start alone do not tell the two apart; else null. ``flags`` are
        sorted: the rules of ``limits.bots`` that it breaks, then CLOCK_BACK, CUT_AT_END, CUT_AT_START.
        Memory is bounded by one batch and one session.
    """
    held: _Open | None = None
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        if held is not None:
            rows = pa.concat_tables([held.rows, rows])
        rows = _without_repeats(rows.combine_chunks())
        if rows.num_rows:
            sessions = _Sessions.of(rows, limits, held)
            if len(sessions.starts_S) > 1:
                yield sessions.closed()
            held = sessions.open()
    if held is not None:
        yield _Sessions.of(held.rows, limits, held).batch(1)


def _without_repeats(rows: Any) -> Any:
    """Drop an event that equals the one before it: it was in a stored session and was delivered as well."""
    if rows.num_rows < 2:
        return rows
    repeated_N = _same_as_before(rows, "occurred_at") & _same_as_before(rows, "event_id")
    repeated_N &= _same_as_before(rows, "user_id")
    if not repeated_N.any():
        return rows
    return rows.filter(pa.array(~np.concatenate(([False], repeated_N)))).combine_chunks()


def _same_as_before(rows: Any, name: str) -> _Flags:
    values = _values(rows, name)
    same: _Flags = pc.equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
    return same


def _values(rows: Any, name: str) -> Any:
    column = rows.column(name)
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


@dataclass(slots=True)
class _Sessions:
    """The sessions of the rows at hand; the last one may go on in the next batch."""

    rows: Any
    starts_S: _Ints
    chains_S: _Ints  # chain_us: start of each session's chain, microseconds
    forced_S: _Flags  # cut_at_start
    held: dict[int, str | None]  # session: the id it keeps
    twins: dict[int, str]  # session: id of its first event
    limits: Limits

    @classmethod
    def of(cls, rows: Any, limits: Limits, held: _Open | None) -> "_Sessions":
        """Find all boundaries at once; only chains beyond a limit, or with uneven pauses, are walked through."""
        times_N = _values(rows, "occurred_at").cast(pa.int64()).to_numpy()
        new_user_N = np.concatenate(([True], ~_same_as_before(rows, "user_id")))
        ends_N = np.concatenate(([True], np.diff(times_N) > limits.gap_us))
        if limits.cut_after:
            last = pc.is_in(_values(rows, "action"), value_set=pa.array(limits.cut_after))
            ends_N[1:] |= last.to_numpy(zero_copy_only=False)[:-1]
        starts_S, forced_S = _cut(times_N, np.flatnonzero(new_user_N | ends_N), limits)
        chain_of_S = np.cumsum(~forced_S) - 1
        chains_S = times_N[starts_S[~forced_S]][chain_of_S]
        sessions = cls(rows, starts_S, chains_S, forced_S, {}, {}, limits)
        sessions._name_twins(times_N, new_user_N)
        sessions._continue(held, new_user_N, chain_of_S)
        return sessions

    def _name_twins(self, times_N: _Ints, new_user_N: _Flags) -> None:
        same_S = np.concatenate(([False], np.diff(times_N[self.starts_S]) == 0)) & ~new_user_N[self.starts_S]
        ids = _values(self.rows, "event_id")
        self.twins = {int(session): ids[int(self.starts_S[session])].as_py() for session in np.flatnonzero(same_S)}

    def _continue(self, held: _Open | None, new_user_N: _Flags, chain_of_S: _Ints) -> None:
        """Give sessions that go on from earlier their chain and their id: the open one, and marked first events."""
        if HELD[0] in self.rows.column_names:
            ids = _values(self.rows, "held_id")
            marked_N = pc.is_valid(ids).to_numpy(zero_copy_only=False) & new_user_N
            for event in np.flatnonzero(marked_N):
                session = int(np.searchsorted(self.starts_S, event))
                began = _values(self.rows, "chain_us")[int(event)].as_py()
                if began is not None:
                    self._begin(session, chain_of_S, began, forced=True)
                self.held[session] = ids[int(event)].as_py()
        if held is not None:
            self._begin(0, chain_of_S, held.chain_us, forced=held.cut_at_start)
            self.held[0] = held.held_id
            self.twins.pop(0, None)
            if held.twin is not None:
                self.twins[0] = held.twin

    def _begin(self, session: int, chain_of_S: _Ints, chain_us: int, *, forced: bool) -> None:
        self.chains_S[chain_of_S == chain_of_S[session]] = chain_us
        self.forced_S[session] = forced

    def closed(self) -> Any:
        """Return all sessions but the last."""
        return self.batch(len(self.starts_S) - 1)

    def open(self) -> _Open:
        """Return the last session."""
        last = len(self.starts_S) - 1
        rows = self.rows.slice(int(self.starts_S[last])).combine_chunks()
        return _Open(
            rows, int(self.chains_S[last]), bool(self.forced_S[last]), self.held.get(last), self.twins.get(last)
        )

    def batch(self, count: int) -> Any:
        """Return the first ``count`` sessions as a RecordBatch; no copy is made of the events."""
        bounds = np.append(self.starts_S, self.rows.num_rows)[: count + 1]
        first, last = pa.array(bounds[:-1]), pa.array(bounds[1:] - 1)
        end = int(bounds[-1])
        fields = [_values(self.rows, name).slice(0, end) for name in EVENT_FIELDS]
        structs = pa.StructArray.from_arrays(fields, EVENT_FIELDS)
        events = pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), structs)
        times = _values(self.rows, "occurred_at")
        columns = {
            "user_id": _values(self.rows, "user_id").take(first),
            "started_at": times.take(first),
            "ended_at": times.take(last),
            "num_events": pa.array(np.diff(bounds), pa.int32()),
            "events": events,
            "flags": self._flags(bounds),
            "chain_started_at": pa.array(self.chains_S[:count], times.type),
            "held_id": _sparse(self.held, count),
            "twin": _sparse(self.twins, count),
        }
        return pa.RecordBatch.from_arrays([*columns.values()], [*columns])

    def _flags(self, bounds: _Ints) -> Any:
        """Return the flags of each session; few have any."""
        count = len(bounds) - 1
        flags: dict[int, list[str]] = {session: found for session, found in self._bots(bounds) if found}
        if self.limits.clock_back:
            falls = 1 + np.flatnonzero(np.diff(_values(self.rows, "sequence").to_numpy()) < 0)
            inside = falls[~np.isin(falls, bounds) & (falls < bounds[-1])]
            _add(flags, np.unique(np.searchsorted(bounds, inside) - 1), CLOCK_BACK)
        _add(flags, np.flatnonzero(self.forced_S[1 : count + 1]), CUT_AT_END)
        _add(flags, np.flatnonzero(self.forced_S[:count]), CUT_AT_START)
        sizes_S = np.zeros(count, np.int32)
        sizes_S[[*flags]] = [len(named) for named in flags.values()]
        names = [name for session in sorted(flags) for name in flags[session]]
        offsets = pa.array(np.append(0, np.cumsum(sizes_S)), pa.int32())
        return pa.ListArray.from_arrays(offsets, pa.array(names, pa.string()))

    def _bots(self, bounds: _Ints) -> Iterator[tuple[int, list[str]]]:
        """Go through the sessions with enough events for any rule, and name the rules that they break."""
        bots = self.limits.bots
        if bots is None or bots.least is None:
            return
        sizes_S = np.diff(bounds)
        times, items = _values(self.rows, "occurred_at").cast(pa.int64()), _values(self.rows, "item_id")
        for session in np.flatnonzero(sizes_S >= bots.least):
            first, size = int(bounds[session]), int(sizes_S[session])
            codes = items.slice(first, size).dictionary_encode().indices.fill_null(-1).to_numpy()
            yield int(session), bots.flags(times.slice(first, size).to_numpy(), codes.astype(np.int64))


def _add(flags: dict[int, list[str]], sessions: _Ints, name: str) -> None:
    for session in sessions:
        flags.setdefault(int(session), []).append(name)


def _sparse(values: dict[int, Any], count: int) -> Any:
    if not any(session < count and value is not None for session, value in values.items()):
        return pa.nulls(count, pa.string())
    return pa.array([values.get(session) for session in range(count)], pa.string())


def _cut(times_N: _Ints, heads_C: _Ints, limits: Limits) -> tuple[_Ints, _Flags]:
    """Return the first event of each session, and whether the session is forced: cut from the one before."""
    ends_C = np.append(heads_C[1:], len(times_N))
    walked_C = (ends_C - heads_C > limits.max_events) | (times_N[ends_C - 1] - times_N[heads_C] > limits.max_us)
    if limits.adaptive is not None:
        longest_C = np.maximum.reduceat(np.append(np.diff(times_N), 0), heads_C)  # with the pause after the chain's end
        walked_C |= longest_C > limits.adaptive.min_us
    extra = [
        (int(heads_C[chain]) + start, forced)
        for chain in np.flatnonzero(walked_C)
        for start, forced in _walk(times_N[heads_C[chain] : ends_C[chain]], limits)
    ]
    if not extra:
        return heads_C, np.zeros(len(heads_C), bool)
    starts = np.concatenate((heads_C, np.array([start for start, _ in extra], np.int64)))
    forced = np.concatenate((np.zeros(len(heads_C), bool), np.array([forced for _, forced in extra])))
    order = np.argsort(starts, kind="stable")
    return starts[order], forced[order]


def _walk(times: _Ints, limits: Limits) -> Iterator[tuple[int, bool]]:
    """Go from session to session of one chain: where each but the first starts, and whether it is forced.

    Greedy from the start, and each session looks at its own events only, so a start depends on earlier events alone.
    """
    pauses = np.diff(times)
    start = 0
    while True:
        beyond = int(np.searchsorted(times, times[start] + limits.max_us, side="right"))
        beyond = min(beyond, start + limits.max_events)
        found = _pause_beyond(times, pauses, start, min(beyond, len(pauses)), limits.adaptive)
        if found is None and beyond >= len(times):
            return
        start = beyond if found is None else found
        yield start, found is None


def _pause_beyond(times: _Ints, pauses: _Ints, start: int, last: int, gap: AdaptiveGap | None) -> int | None:
    """Return the first event, ``last`` at most, before which the session that begins at ``start`` pauses too long."""
    if gap is None or last < start + 2:
        return None  # before a first pause there is no rhythm to compare with
    events = np.arange(start + 2, last + 1)
    mean = (times[events - 1] - times[start]) / (events - 1 - start)
    long = pauses[events - 1] > np.maximum(gap.factor * mean, gap.min_us)
    return int(events[long.argmax()]) if long.any() else None
