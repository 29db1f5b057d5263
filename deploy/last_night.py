"""The night of the day that ended last, for schedulers that cannot write a date into an argument.

    python deploy/last_night.py --config FILE [flags of jobs/nightly.py, but --run-date]

The day is that of the config, ``--set`` included: it ends at ``day_starts_at`` in ``timezone``.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from intentrec.config import Config, cutoff_of, load_config
from intentrec.errors import IntentrecError

NIGHTLY = Path(__file__).resolve().parents[1] / "jobs" / "nightly.py"


def last_day(config: Config, now: datetime) -> date:
    """Return the newest day whose end is not after ``now``, which is aware."""
    cutoff, day = cutoff_of(config), now.astimezone(UTC).date() + timedelta(days=1)
    while cutoff.end_of(day) > now:
        day -= timedelta(days=1)
    return day


def command(argv: Sequence[str], now: datetime) -> list[str]:
    """Return the flags of jobs/nightly.py.

    Raises:
        IntentrecError: the config is missing or wrong.
    """
    parser = argparse.ArgumentParser(prog="deploy/last_night.py", allow_abbrev=False)
    parser.add_argument("--config", type=Path, required=True, help="the YAML file; all other flags go to nightly.py")
    parser.add_argument("--set", action="extend", nargs="+", default=[], metavar="A.B=C", help="override a key")
    flags, others = parser.parse_known_args(argv)
    day = last_day(load_config(flags.config, flags.set), now)
    overrides = ["--set", *flags.set] if flags.set else []
    return ["--config", str(flags.config), "--run-date", day.isoformat(), *overrides, *others]


if __name__ == "__main__":
    try:
        flags = command(sys.argv[1:], datetime.now(UTC))
    except IntentrecError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(error.exit_code)
    sys.path.insert(0, str(NIGHTLY.parent))  # the night finds the other jobs beside itself
    sys.argv = [str(NIGHTLY), *flags]
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 the same Python, our own file
    import runpy

    runpy.run_path(str(NIGHTLY), run_name="__main__")  # spark-submit holds this process's way to Java
