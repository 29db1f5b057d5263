"""What the sessions table was built with and up to where."""

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

from intentrec.config import AdaptiveGapConfig, Config, SessionsConfig
from intentrec.errors import ConfigError
from intentrec.sessions.bots import BotRules

REBUILDING = "rebuilding"  # remembered while all rows are replaced; nothing is built on top of it
_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class AdaptiveGap:
    """A pause above ``factor`` mean pauses of the session so far ends it, but none up to ``min_us`` microseconds."""

    factor: float
    min_us: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a session ends, and what is told of it.

    Attributes:
        gap_us: longest pause inside a session, microseconds.
        max_us: longest time from a session's first event to its last, microseconds.
        max_events: most events in a session.
        cut_after: actions whose event is the last of its session.
        adaptive: a gap within ``gap_us`` that follows the session; None: ``gap_us`` alone.
        bots: rules for the flags; None: no flags.
        clock_back: whether a session is flagged in which sequence falls.
    """

    gap_us: int
    max_us: int
    max_events: int
    cut_after: tuple[str, ...] = ()
    adaptive: AdaptiveGap | None = None
    bots: BotRules | None = None
    clock_back: bool = False

    @classmethod
    def of(cls, config: SessionsConfig) -> Self:
        """Return the limits of the config's section."""
        own = config.adaptive_gap
        return cls(
            gap_us=config.gap_minutes * _MINUTE // _MICROSECOND,
            max_us=config.max_hours * _HOUR // _MICROSECOND,
            max_events=config.max_events,
            cut_after=tuple(sorted(set(config.cut_after))),
            adaptive=None if own.factor is None else AdaptiveGap(own.factor, own.min_minutes * _MINUTE // _MICROSECOND),
            bots=BotRules.of(config.bots),
            clock_back=config.flag_clock_back,
        )


@dataclass(frozen=True, slots=True)
class Built:
    """What is remembered with the table: enough to build the next night on top of it.

    Attributes:
        settings: key of the config: value, of everything that a row depends on.
        until: the newest run date; the table holds the sessions of all events before its end.
        events_version: version of EVENTS that was read.
        generation: of EVENTS; another one means that rows went away, so nothing can be built on top.
    """

    settings: dict[str, int | str]
    until: date
    events_version: int
    generation: int

    @classmethod
    def from_text(cls, text: str | None) -> Self | None:
        """Read what ``text`` wrote; None for a table that was never finished."""
        if text is None or text == REBUILDING:
            return None
        values = json.loads(text)
        until = date.fromisoformat(values["until"])
        return cls(values["settings"], until, values["events_version"], values["generation"])

    def text(self) -> str:
        """Return JSON."""
        values = {
            "settings": self.settings,
            "until": self.until.isoformat(),
            "events_version": self.events_version,
            "generation": self.generation,
        }
        return json.dumps(values, sort_keys=True)


def settings_of(config: Config) -> dict[str, int | str]:
    """Return the config values under which old and new rows agree."""
    section = config.sessions
    return {
        "timezone": config.timezone,
        "day_starts_at": config.day_starts_at,
        "sessions.gap_minutes": section.gap_minutes,
        "sessions.max_hours": section.max_hours,
        "sessions.max_events": section.max_events,
        "sessions.cut_after": ", ".join(sorted(set(section.cut_after))),
        "sessions.adaptive_gap": _told(section.adaptive_gap),
        "sessions.flag_clock_back": section.flag_clock_back,
        "sessions.bots": BotRules.of(section.bots).text(),
    }


def _told(gap: AdaptiveGapConfig) -> str:
    return "none" if gap.factor is None else f"factor {gap.factor}, min_minutes {gap.min_minutes}"


def compare_layout(built: Built, settings: dict[str, int | str]) -> None:
    """Refuse limits under which new sessions would not agree with those in the table.

    Raises:
        ConfigError: names the key and both values.
    """
    for key, value in settings.items():
        if built.settings.get(key) != value:
            raise ConfigError(
                f"{key}: is {value}, but table sessions was built with {built.settings.get(key)}; "
                "restore it, or run build_sessions with --rebuild to build all sessions again"
            )
