"""What METRICS and GATE_DECISIONS call the baselines."""

_POPULARITY, _DECAYED, _TRANSITIONS = "popularity_", "decayed_popularity_", "transitions_"


def popularity_name(hours: int) -> str:
    """Name the popularity of a window."""
    return f"{_POPULARITY}{hours}h"


def window_of(name: str) -> int:
    """Return the hours of the window that ``popularity_name`` named."""
    return int(name.removeprefix(_POPULARITY).removesuffix("h"))


def decayed_name(half_life_hours: float) -> str:
    """Name the popularity that fades."""
    return f"{_DECAYED}{half_life_hours:g}h"


def transitions_name(reach: int) -> str:
    """Name what follows within so many events of each of the user's last so many."""
    return f"{_TRANSITIONS}{reach}"


def reach_of(name: str) -> int:
    """Return the events that ``transitions_name`` named."""
    return int(name.removeprefix(_TRANSITIONS))


TRANSITIONS = transitions_name(1)  # the baseline: what came directly after the last item


def is_baseline(name: str) -> bool:
    """Return whether a recommender in METRICS is a baseline; the others are models, named by their id, a hash."""
    return name == TRANSITIONS or name.startswith((_POPULARITY, _DECAYED))
