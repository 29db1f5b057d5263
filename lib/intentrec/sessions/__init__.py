"""events -> sessions."""

from intentrec.sessions.building import exploded, sessionize, sessions_to_rebuild
from intentrec.sessions.layout import REBUILDING, Built, Limits, compare_layout, settings_of
from intentrec.sessions.splitting import split

__all__ = [
    "REBUILDING",
    "Built",
    "Limits",
    "compare_layout",
    "exploded",
    "sessionize",
    "sessions_to_rebuild",
    "settings_of",
    "split",
]
