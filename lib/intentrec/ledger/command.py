"""From the flags of a job to its exit code."""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from intentrec.config import STAGES, load_config
from intentrec.errors import ConfigError, GateError, IntentrecError, PublishError, SetupError
from intentrec.ledger.run import Command, Run, Stage, log_to_terminal, open_run

# What the JVM and the system say, and what it means here; the first match wins.
_CAUSES: tuple[tuple[tuple[str, ...], type[IntentrecError], str], ...] = (
    (("No space left on device", "Disk quota exceeded"), SetupError, "free disk space, then run again"),
    (
        ("OutOfMemoryError", "Cannot allocate memory"),
        SetupError,
        "give spark.conf spark.driver.memory more, then run again",
    ),
    (("Permission denied", "AccessDeniedException", "Read-only file system"), SetupError, "make the place writable"),
    (
        (
            "DELTA_CONCURRENT",
            "ConcurrentAppendException",
            "ConcurrentModificationException",
            "ProtocolChangedException",
        ),
        PublishError,
        "another writer changed the table; run again",
    ),
    (
        ("Connection refused", "Answer from Java side is empty", "Error while sending"),
        SetupError,
        "the JVM died; run again",
    ),
)


def run_job(*stages: Stage, argv: Sequence[str] | None = None, after: Callable[[Run], None] | None = None) -> int:
    """Run the stages with the flags every job has; return the exit code (argparse itself exits with 2).

    Args:
        stages: in order.
        argv: the flags; None reads the command line.
        after: called once when all stages have ended well, before the lock is given back.
    """
    flags = _parser(stages).parse_args(argv)
    log_to_terminal()
    try:
        command = _command(flags)
        with open_run(command) as run:
            for stage in _chosen(stages, command):
                run.execute(stage)
            run.record_skips()
            if after is not None:
                after(run)
            if command.strict and run.refusals:
                raise GateError("; ".join(run.refusals))
    except IntentrecError as error:
        return _report(error, error, flags.debug)
    except Exception as error:  # noqa: BLE001 what the system caused gets its exit code, what we caused its trace
        known = _translate(error)
        if known is None:
            raise
        return _report(known, error, flags.debug)
    return 0


def _parser(stages: Sequence[Stage]) -> argparse.ArgumentParser:
    nightly = len(stages) > 1
    name = "nightly" if nightly else stages[0].name
    parser = argparse.ArgumentParser(prog=f"jobs/{name}.py", allow_abbrev=False)
    parser.add_argument("--config", type=Path, required=True, help="the YAML file, see deploy/conf/reference.yaml")
    parser.add_argument(
        "--run-date", type=_run_date, required=True, metavar="YYYY-MM-DD", help="sees all events before its end"
    )
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="A.B=C", help="override a key; the later wins"
    )
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    parser.add_argument("--strict", action="store_true", help="exit 5 where the gate refuses the challenger")
    parser.add_argument(
        "--rebuild", action="store_true", help="run although finished; allow a changed gap, time zone or mapping"
    )
    if nightly:
        parser.add_argument("--from", dest="first", choices=STAGES, help="begin with this stage")
        parser.add_argument("--only", choices=STAGES, help="run this stage alone")
    if any(stage.name == "ingest_events" for stage in stages) and not nightly:
        parser.add_argument("--replay-quarantine", action="store_true", help="read files with rejected rows once more")
    return parser


def _run_date(text: str) -> date:
    try:
        return date.fromisoformat(text) if len(text) == len("YYYY-MM-DD") else date.fromisoformat("")
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be YYYY-MM-DD, is {text!r}") from None


def _command(flags: argparse.Namespace) -> Command:
    given = vars(flags)
    return Command(
        config=load_config(flags.config, flags.set),
        run_date=flags.run_date,
        strict=flags.strict,
        rebuild=flags.rebuild,
        replay_quarantine=given.get("replay_quarantine", False),
        first=given.get("first"),
        only=given.get("only"),
    )


def _chosen(stages: Sequence[Stage], command: Command) -> Sequence[Stage]:
    if command.first and command.only:
        raise ConfigError(f"--from {command.first} and --only {command.only} exclude each other, give one")
    if command.only:
        return [stage for stage in stages if stage.name == command.only]
    names = [stage.name for stage in stages]
    return stages[names.index(command.first) :] if command.first else stages


def _translate(error: BaseException) -> IntentrecError | None:
    text = f"{type(error).__name__}: {error}"
    for words, kind, remedy in _CAUSES:
        for word in words:
            if word in text:
                line = next((line.strip() for line in text.splitlines() if word in line), word)
                return kind(f"{line[:300]}. What to do: {remedy}")
    return None


def _report(error: IntentrecError, cause: BaseException, debug: bool) -> int:
    if debug:
        traceback.print_exception(cause, file=sys.stderr)
    print(" ".join(str(error).split()), file=sys.stderr)
    return error.exit_code
