"""Judged users -> the segments that a challenger must not fall in.

U users   R rows, one per user and day
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from intentrec.cluster.judging import JudgedDay
from intentrec.gate import Members

_EDGES = (1, 3, 10, 30)  # events where a class of histories begins; the first are the cold users


def segments_of(days: Sequence[JudgedDay], segment_of: Mapping[str, str]) -> dict[str, Members]:
    """Sort the judged users by the length of their history, and by the segment that ``users`` gives them.

    Args:
        days: judged days.
        segment_of: user_id -> users.segment; users without one are missing.

    Returns:
        Name -> members [U], users in the order of ``Judgement.deciding_U``; names without a member are left out.
        ``cold`` are users of 1 or 2 events, then come ``history: 3-9``, ``history: 10-29`` and ``history: 30+``, then
        ``segment: NAME`` by name. A user's history is that before the first day that judges him.
    """
    users_R = np.concatenate([day.users.users_U for day in days])
    length_R = np.array([len(items) for day in days for items in day.users.histories.items])
    ids_R = [name for day in days for name in ([None] * len(day.users) if day.users.ids is None else day.users.ids)]
    first_U = np.unique(users_R, return_index=True)[1]
    length_U = length_R[first_U] if len(first_U) else np.zeros(0, np.int64)
    found = {_history(start, end): (length_U >= start) & (length_U < end) for start, end in pairwise((*_EDGES, np.inf))}
    named_U = [ids_R[row] for row in first_U.tolist()]
    segment_U = np.array([None if name is None else segment_of.get(name) for name in named_U], dtype=object)
    for name in sorted({*segment_U} - {None}):
        found[f"segment: {name}"] = segment_U == name
    return {name: own_U for name, own_U in found.items() if own_U.any()}


def _history(start: float, end: float) -> str:
    if start == _EDGES[0]:
        return "cold"
    return f"history: {start}+" if end == np.inf else f"history: {start}-{end - 1}"
