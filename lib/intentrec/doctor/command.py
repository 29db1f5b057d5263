"""From the doctor's flags to its exit code."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from intentrec.doctor.display import show
from intentrec.doctor.examination import examine
from intentrec.doctor.findings import exit_code_of
from intentrec.errors import ConfigError, IntentrecError, SetupError
from intentrec.ledger.command import JobParser, day_of, translated
from intentrec.starter import config_page, suggest, write_gap_plot

_PLOT = Path("session_gaps.png")


def run_doctor(argv: Sequence[str] | None = None) -> int:
    """Examine, or suggest a config; return the exit code: 0, 2 or 7 by what fails, 3 for logs that cannot be read."""
    flags = _parser().parse_args(argv)
    try:
        if flags.suggest_config is not None:
            _suggest(flags.suggest_config, flags.out)
            return 0
        if flags.config is None or flags.out is not None:
            raise ConfigError("jobs/doctor.py: wanted --config FILE, or --suggest-config GLOB [--out FILE]; see --help")
        findings = examine(flags.config, flags.set, flags.run_date or datetime.now(UTC).date())
    except IntentrecError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    except Exception as error:
        known = translated(error)
        if known is None:
            raise
        print(" ".join(str(known).split()), file=sys.stderr)
        return known.exit_code
    show(findings, Console())
    return exit_code_of(findings)


def _suggest(pattern: str, out: Path | None) -> None:
    """Write the config to ``out`` and its plot beside it; without ``out`` to standard output, the plot to here."""
    if out is not None and out.exists():
        raise ConfigError(f"--out {out}: is there already and is left as it is; name another file")
    found = suggest(pattern)
    page, plot = config_page(found), _PLOT if out is None else out.with_suffix(".gaps.png")
    try:
        plot.parent.mkdir(parents=True, exist_ok=True)
        write_gap_plot(found.gap, plot)
        if out is not None:
            out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SetupError(
            f"{error.filename}: cannot be written: {error.strerror}; name another place with --out"
        ) from None
    if out is None:
        print(page, end="")
    place = out or "the file that you make of it"
    print(f"pauses and the gap: {plot}", file=sys.stderr)
    print(f"next: python jobs/doctor.py --config {place} --run-date {found.run_date}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = JobParser(
        prog="jobs/doctor.py",
        allow_abbrev=False,
        description="Check all that a night needs before a cluster is paid for; or propose a config for raw logs.",
    )
    parser.add_argument("--config", type=Path, help="the YAML file to examine, see deploy/conf/reference.yaml")
    parser.add_argument("--run-date", type=day_of, metavar="YYYY-MM-DD", help="default: today, UTC")
    parser.add_argument("--set", action="extend", nargs="+", default=[], metavar="A.B=C", help="override a key")
    parser.add_argument("--suggest-config", metavar="GLOB", help="read a sample of these logs, print a complete config")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the suggested config there, its plot beside it")
    return parser
