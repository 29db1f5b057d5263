"""What METRICS and GATE_DECISIONS call the baselines."""

TRANSITIONS = "transitions_1"
_POPULARITY, _DECAYED = "popularity_", "decayed_popularity_"


def popularity_name(hours: int) -> str:
    """Name the popularity of a window."""
    return f"{_POPULARITY}{hours}h"


def window_of(name: str) -> int:
    """Return the hours of the window that ``popularity_name`` named."""
    return int(name.removeprefix(_POPULARITY).removesuffix("h"))


def decayed_name(half_life_hours: float) -> str:
    """Name the popularity that fades."""
    return f"{_DECAYED}{half_life_hours:g}h"


def is_baseline(name: str) -> bool:
    """Return whether a recommender in METRICS is a baseline; the others are models, named by their id, a hash."""
    return name == TRANSITIONS or name.startswith((_POPULARITY, _DECAYED))
