"""From the flags of a job to its exit code."""

import argparse
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import NoReturn

from py4j.protocol import Py4JError, Py4JNetworkError

from intentrec.config import STAGES, load_config
from intentrec.errors import ConfigError, GateError, IntentrecError, PublishError, SetupError
from intentrec.ledger.opening import log_to_terminal, open_run
from intentrec.ledger.run import Command, Run, Stage

# What the JVM and the system say, and what it means here; the first match wins.
_CAUSES: tuple[tuple[tuple[str, ...], type[IntentrecError], str], ...] = (
    (("No space left on device", "Disk quota exceeded"), SetupError, "free disk space, then run again"),
    (
        ("OutOfMemoryError", "Cannot allocate memory"),
        SetupError,
        "give spark.conf spark.driver.memory more, then run again",
    ),
    (
        ("Permission denied", "AccessDeniedException", "Operation not permitted", "Read-only file system"),
        SetupError,
        "make the place writable for this user, then run again",
    ),
    (
        ("DELTA_CONCURRENT", "DELTA_METADATA_CHANGED", "DELTA_PROTOCOL_CHANGED", "ConcurrentModificationException"),
        PublishError,
        "another writer changed the table; run again",
    ),
    (
        ("stopped SparkContext", "SparkContext was shut down"),
        SetupError,
        "Spark ended; see above why, then run again",
    ),
    (
        ("Connection refused", "UnknownHostException"),
        SetupError,
        "check that the storage, metastore or cluster it names is up, then run again",
    ),
)


def run_job(
    *stages: Stage,
    argv: Sequence[str] | None = None,
    after: Callable[[Run], None] | None = None,
    reproduce: Callable[[Sequence[Stage], Command, str], None] | None = None,
) -> int:
    """Run the stages with the flags every job has; return the exit code (argparse itself exits with 2).

    Args:
        stages: in order.
        argv: the flags; None reads the command line.
        after: called once when all stages have ended well or the lists were refused, before the lock is given back.
        reproduce: called instead of the stages, with a run id, where the flag --reproduce names one.
    """
    parser = _parser(stages)
    if reproduce is not None:
        parser.add_argument(
            "--reproduce", metavar="RUN_ID", help="build that run's night again from the versions it found, and compare"
        )
    flags = parser.parse_args(argv)
    if reproduce is not None and flags.reproduce is not None:
        return guarded(lambda: reproduce(stages, command_of(flags), flags.reproduce), flags.debug)
    return guarded(lambda: _run(stages, command_of(flags), after), flags.debug)


def guarded(action: Callable[[], None], debug: bool) -> int:
    """Do it; return 0, or the exit code of the error that ended it, of which one line is printed."""
    try:
        with log_to_terminal():
            action()
    except IntentrecError as error:
        return _report(error, error, debug)
    except Exception as error:
        known = translated(error)
        if known is None:
            raise
        return _report(known, error, debug)
    return 0


def _run(stages: Sequence[Stage], command: Command, after: Callable[[Run], None] | None) -> None:
    with open_run(command) as run:
        try:
            for stage in _chosen(stages, command):
                run.execute(stage)
        except GateError:
            if after is not None:
                with suppress(Exception):  # what refused is what the user must read
                    after(run)
            raise
        run.record_skips()
        if after is not None:
            after(run)
        if command.strict and run.refusals:
            raise GateError("; ".join(run.refusals))


def _parser(stages: Sequence[Stage]) -> argparse.ArgumentParser:
    nightly = len(stages) > 1
    name = "nightly" if nightly else stages[0].name
    parser = parser_of(name)
    parser.add_argument("--strict", action="store_true", help="exit 5 where the gate refuses the challenger")
    parser.add_argument(
        "--rebuild", action="store_true", help="run although finished; allow a changed gap, time zone or mapping"
    )
    if nightly:
        part = parser.add_mutually_exclusive_group()
        part.add_argument("--from", dest="first", choices=STAGES, help="begin with this stage")
        part.add_argument("--only", choices=STAGES, help="run this stage alone")
    if any(stage.name == "ingest_events" for stage in stages) and not nightly:
        parser.add_argument("--replay-quarantine", action="store_true", help="read files with rejected rows once more")
    return parser


def parser_of(name: str, description: str | None = None) -> "JobParser":
    """Return a parser with the flags that every job has."""
    parser = JobParser(prog=f"jobs/{name}.py", description=description, allow_abbrev=False)
    parser.add_argument("--config", type=Path, required=True, help="the YAML file, see deploy/conf/reference.yaml")
    parser.add_argument(
        "--run-date", type=day_of, required=True, metavar="YYYY-MM-DD", help="sees all events before its end"
    )
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="A.B=C", help="override a key; the later wins"
    )
    parser.add_argument("--debug", action="store_true", help="show the trace of an error, that of a rank too")
    return parser


class JobParser(argparse.ArgumentParser):
    """argparse writes the usage, many lines long, before its error: one line says it."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and one line that names the flag."""
        self.exit(ConfigError.exit_code, f"{self.prog}: {message}; see --help\n")


def day_of(text: str) -> date:
    """Read a run date.

    Raises:
        ArgumentTypeError: it is no day written as YYYY-MM-DD.
    """
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):  # fromisoformat alone takes weeks too: 2024-W01-1
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a day as YYYY-MM-DD, is {text!r}") from None


def command_of(flags: argparse.Namespace) -> Command:
    """Load the config that the flags name, and return it with them.

    Raises:
        ConfigError: a key is unknown or its value is refused.
    """
    given = vars(flags)
    return Command(
        config=load_config(flags.config, flags.set),
        run_date=flags.run_date,
        strict=given.get("strict", False),
        rebuild=given.get("rebuild", False),
        debug=flags.debug,
        replay_quarantine=given.get("replay_quarantine", False),
        first=given.get("first"),
        only=given.get("only"),
    )


def _chosen(stages: Sequence[Stage], command: Command) -> Sequence[Stage]:
    if command.only:
        return [stage for stage in stages if stage.name == command.only]
    names = [stage.name for stage in stages]
    return stages[names.index(command.first) :] if command.first else stages


def translated(error: BaseException) -> IntentrecError | None:
    """Return what an error of the system means; None for one that we caused."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, Py4JNetworkError | ConnectionRefusedError) or (
        type(error) is Py4JError and "Trace:" not in text
    ):
        # py4j says no more than this once the other end is silent; a Java exception would bring its trace.
        return SetupError(
            f"the Java process died: {text.splitlines()[0][:300]}. Out of memory is the usual cause: give spark.conf "
            "spark.driver.memory more, or other processes less, then run again"
        )
    for words, kind, remedy in _CAUSES:
        for word in words:
            if word in text:
                line = next(line.strip() for line in text.splitlines() if word in line)
                return kind(f"{line[:300]}. What to do: {remedy}")
    return None


def _report(error: IntentrecError, cause: BaseException, debug: bool) -> int:
    if debug:
        traceback.print_exception(cause, file=sys.stderr)
    print(" ".join(str(error).split()), file=sys.stderr)
    return error.exit_code
