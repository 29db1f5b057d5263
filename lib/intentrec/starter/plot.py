"""The histogram of pauses, with the proposed gap, as a PNG file."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from intentrec.starter.gaps import Gap

_TICKS = {"1 s": 1, "10 s": 10, "1 min": 60, "10 min": 600, "1 h": 3600, "6 h": 21_600, "1 d": 86_400, "7 d": 604_800}


def write_gap_plot(gap: Gap, file: Path) -> None:
    """Draw the pauses on a logarithmic axis, the smoothed line, and the gap."""
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9.0}):
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.bar(gap.edges_s[:-1], gap.counts, np.diff(gap.edges_s), align="edge", color="#c5d3de", label="pauses")
        centres_s = np.sqrt(gap.edges_s[:-1] * gap.edges_s[1:])
        axes.plot(centres_s, np.maximum(gap.smooth, 0.1), color="#1b6ca8", label="smoothed")
        said = f"{gap.minutes} min: " + ("the valley" if gap.valley else "the usual one, no valley was found")
        axes.axvline(gap.minutes * 60, color="#d1495b", label=said)
        axes.set_xscale("log")
        axes.set_yscale("log")  # the valley is a hundredth of the peak
        axes.set_ylim(0.5, 3 * max(1.0, gap.counts.max()))
        axes.set_xticks(list(_TICKS.values()), labels=list(_TICKS))
        axes.minorticks_off()
        axes.set_xlim(1, gap.edges_s[-1])
        axes.set_xlabel("pause between two events of one user")
        axes.set_ylabel("number of pauses")
        axes.set_title(f"{gap.num_pauses:,} pauses of a second or more", loc="left")
        axes.legend(frameon=False, loc="upper right", ncols=3)
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
