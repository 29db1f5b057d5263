"""Raw logs that nobody has described -> a complete config to start with."""

from intentrec.starter.gaps import find_gap
from intentrec.starter.page import config_page
from intentrec.starter.plot import write_gap_plot
from intentrec.starter.suggesting import Suggestion, suggest

__all__ = ["Suggestion", "config_page", "find_gap", "suggest", "write_gap_plot"]
