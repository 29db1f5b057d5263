"""What no person does: named rules over the events of one session.

Shape letters: N events of the session, in their order.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from intentrec.config import BotsConfig
from intentrec.tables import BOT_FLAG

_HOUR_US = 3_600_000_000
_SECOND_US = 1_000_000

_Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class BotRules:
    """Thresholds, in the config's words; None switches a rule off.

    Each looks at one session alone: a flag never changes because of what other users do, or of what is delivered for
    other sessions.

    Attributes:
        events_per_hour: fewest events within less than 60 minutes.
        events_per_session: fewest events.
        distinct_items: fewest different items.
        equal_pauses: least share of one and the same pause, in whole seconds, among the pauses that are not 0.
        one_item: least share of one item among the events.
        min_events: sessions with fewer events are not judged by the two shares.
    """

    events_per_hour: int | None
    events_per_session: int | None
    distinct_items: int | None
    equal_pauses: float | None
    one_item: float | None
    min_events: int

    @classmethod
    def of(cls, config: BotsConfig) -> Self:
        """Return the thresholds of the config's section."""
        return cls(**config.model_dump())

    @property
    def least(self) -> int | None:
        """Fewest events of a session that any rule can flag; None: all rules are off."""
        counts = [self.events_per_hour, self.events_per_session, self.distinct_items]
        counts += [self.min_events for share in (self.equal_pauses, self.one_item) if share is not None]
        return min((count for count in counts if count is not None), default=None)

    def text(self) -> str:
        """Return the thresholds in one line."""
        return ", ".join(f"{rule} {threshold}" for rule, threshold in asdict(self).items())

    def flags(self, times_N: _Ints, items_N: _Ints) -> list[str]:
        """Name the rules that a session breaks, sorted.

        Args:
            times_N: microseconds, ascending.
            items_N: codes of the items, below 0: none.
        """
        broken = {
            "distinct_items": _reaches(len(np.unique(items_N[items_N >= 0])), self.distinct_items),
            "equal_pauses": self._judges_share(times_N) and _reaches(_most_equal_pauses(times_N), self.equal_pauses),
            "events_per_hour": self.events_per_hour is not None and _crowded(times_N, self.events_per_hour),
            "events_per_session": _reaches(len(times_N), self.events_per_session),
            "one_item": self._judges_share(times_N) and _reaches(_most_of_one_item(items_N), self.one_item),
        }
        return [BOT_FLAG + rule for rule, found in broken.items() if found]

    def _judges_share(self, times_N: _Ints) -> bool:
        return len(times_N) >= self.min_events


def _reaches(value: float, threshold: float | None) -> bool:
    return threshold is not None and value >= threshold


def _crowded(times_N: _Ints, events: int) -> bool:
    if len(times_N) < events:
        return False
    spans = times_N[events - 1 :] - times_N[: len(times_N) - events + 1]
    return bool((spans < _HOUR_US).any())


def _most_equal_pauses(times_N: _Ints) -> float:
    """Return the share of the most frequent pause among all pauses; events of one instant are no rhythm."""
    pauses = np.diff(times_N) // _SECOND_US
    waited = pauses[pauses > 0]
    if not len(waited):
        return 0.0
    return float(np.unique(waited, return_counts=True)[1].max() / len(pauses))


def _most_of_one_item(items_N: _Ints) -> float:
    known = items_N[items_N >= 0]
    return float(np.bincount(known).max() / len(items_N)) if len(known) else 0.0
