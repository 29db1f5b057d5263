"""events -> sessions."""

from intentrec.sessions.bots import BotRules
from intentrec.sessions.building import exploded, sessionize, sessions_to_rebuild
from intentrec.sessions.layout import REBUILDING, AdaptiveGap, Built, Limits, compare_layout, settings_of
from intentrec.sessions.past import flagged_as_of
from intentrec.sessions.splitting import split

__all__ = [
    "REBUILDING",
    "AdaptiveGap",
    "BotRules",
    "Built",
    "Limits",
    "compare_layout",
    "exploded",
    "flagged_as_of",
    "sessionize",
    "sessions_to_rebuild",
    "settings_of",
    "split",
]
