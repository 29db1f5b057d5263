"""The vectorised splitter: sorted events in Arrow batches -> sessions in Arrow batches.

Shape letters: N events at hand, C chains, S sessions.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from intentrec.sessions.layout import Limits

EVENT_FIELDS = ("occurred_at", "sequence", "event_id", "item_id", "action", "value", "context")
INPUT = ("user_id", *EVENT_FIELDS, "chain_us", "held_id")
OUTPUT = (
    "user_id STRING, started_at TIMESTAMP, ended_at TIMESTAMP, num_events INT, events {events}, "
    "cut_at_start BOOLEAN, cut_at_end BOOLEAN, chain_us BIGINT, held_id STRING, twin STRING"
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

    A session ends where the next event comes more than ``gap_us`` after the last one. A run of events without
    such a pause is a chain; a chain that is longer than ``max_us`` or holds more than ``max_events`` is cut from
    its start on, each session taking as many events as the limits allow, so that a later event never moves an
    earlier cut. An event that follows an equal one (user, instant, sequence, event_id) is dropped.

    Args:
        batches: RecordBatches of INPUT, sorted by user_id, occurred_at, sequence, event_id; a user's rows all in one
            stream. A first event of a user with ``chain_us`` continues a chain that began at this instant: its
            session has been cut from an earlier one and keeps the id ``held_id``.
        limits: gap and limits of a session.

    Yields:
        RecordBatches of OUTPUT, one row per session. ``twin`` is the first event's id where the session before
        was cut at the same instant as it began, so that user and start alone do not tell the two apart; else null.
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

    @classmethod
    def of(cls, rows: Any, limits: Limits, held: _Open | None) -> "_Sessions":
        """Find all boundaries at once; only chains beyond a limit are walked through."""
        times_N = _values(rows, "occurred_at").cast(pa.int64()).to_numpy()
        new_user_N = np.concatenate(([True], ~_same_as_before(rows, "user_id")))
        pauses_N = np.concatenate(([True], np.diff(times_N) > limits.gap_us))
        heads_C = np.flatnonzero(new_user_N | pauses_N)
        starts_S, chain_of_S = _cut(times_N, heads_C, limits)
        chains_S = times_N[heads_C][chain_of_S]
        forced_S = np.concatenate(([False], chain_of_S[1:] == chain_of_S[:-1]))
        sessions = cls(rows, starts_S, chains_S, forced_S, {}, {})
        sessions._name_twins(times_N)
        sessions._continue(held, new_user_N, chain_of_S)
        return sessions

    def _name_twins(self, times_N: _Ints) -> None:
        same_S = np.concatenate(([False], np.diff(times_N[self.starts_S]) == 0)) & self.forced_S
        ids = _values(self.rows, "event_id")
        self.twins = {int(session): ids[int(self.starts_S[session])].as_py() for session in np.flatnonzero(same_S)}

    def _continue(self, held: _Open | None, new_user_N: _Flags, chain_of_S: _Ints) -> None:
        """Give sessions that go on from earlier the chain they belong to: the open one, and marked first events."""
        chain_us = _values(self.rows, "chain_us")
        if chain_us.null_count < len(chain_us):
            marked_N = pc.is_valid(chain_us).to_numpy(zero_copy_only=False) & new_user_N
            for event in np.flatnonzero(marked_N):
                session = int(np.searchsorted(self.starts_S, event))
                began, id_ = chain_us[int(event)].as_py(), _values(self.rows, "held_id")[int(event)].as_py()
                self._begin(session, chain_of_S, began, forced=True)
                self.held[session] = id_
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
        forced_after = np.append(self.forced_S, False)[1 : count + 1]
        columns = {
            "user_id": _values(self.rows, "user_id").take(first),
            "started_at": times.take(first),
            "ended_at": times.take(last),
            "num_events": pa.array(np.diff(bounds), pa.int32()),
            "events": events,
            "cut_at_start": pa.array(self.forced_S[:count]),
            "cut_at_end": pa.array(forced_after),
            "chain_us": pa.array(self.chains_S[:count], pa.int64()),
            "held_id": _sparse(self.held, count),
            "twin": _sparse(self.twins, count),
        }
        return pa.RecordBatch.from_arrays([*columns.values()], [*columns])


def _sparse(values: dict[int, Any], count: int) -> Any:
    if not any(session < count and value is not None for session, value in values.items()):
        return pa.nulls(count, pa.string())
    return pa.array([values.get(session) for session in range(count)], pa.string())


def _cut(times_N: _Ints, heads_C: _Ints, limits: Limits) -> tuple[_Ints, _Ints]:
    """Return the first event of each session, and the chain of each session."""
    ends_C = np.append(heads_C[1:], len(times_N))
    too_long_C = (ends_C - heads_C > limits.max_events) | (times_N[ends_C - 1] - times_N[heads_C] > limits.max_us)
    extra = [
        (cut, chain)
        for chain in np.flatnonzero(too_long_C)
        for cut in _forced_cuts(times_N[heads_C[chain] : ends_C[chain]], int(heads_C[chain]), limits)
    ]
    numbers_C = np.arange(len(heads_C))
    if not extra:
        return heads_C, numbers_C
    cuts = np.array(extra, np.int64)
    starts = np.concatenate((heads_C, cuts[:, 0]))
    order = np.argsort(starts, kind="stable")
    return starts[order], np.concatenate((numbers_C, cuts[:, 1]))[order]


def _forced_cuts(times: _Ints, offset: int, limits: Limits) -> Iterator[int]:
    """Walk from cut to cut: greedy from the start, so it depends on earlier events only."""
    start = 0
    while True:
        beyond = int(np.searchsorted(times, times[start] + limits.max_us, side="right"))
        start = min(beyond, start + limits.max_events)
        if start >= len(times):
            return
        yield offset + start
