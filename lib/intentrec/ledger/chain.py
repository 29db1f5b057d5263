"""Which run of a stage is built on which run of the stage before it: rows of a night that do not belong together."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from intentrec.config import STAGES
from intentrec.errors import InputError

_HALF = 32  # hexadecimal digits: what a stage sees of its own, then what it is built on


@dataclass(frozen=True, slots=True)
class Identity:
    """A stage that finished with this need not run again.

    Attributes:
        input_hash: of what the stage could see; its second half is that of the stage before it.
        config_hash: of the config values that the stage reads.
        code_version: of the package.
    """

    input_hash: str
    config_hash: str
    code_version: str

    def content(self) -> str:
        """Return a hash of all three: what a stage is that the next one is built on."""
        return _short(f"{self.input_hash}\n{self.config_hash}\n{self.code_version}")


def input_hash(fingerprint: str, before: Identity | None) -> str:
    """Hash what a stage can see: its own fingerprint, and how the stage before it last finished."""
    return _short(fingerprint) + (before.content() if before else _short(""))


def refuse_broken_chain(stage: str, finished: Mapping[str, Identity], run_date: date, code_version: str) -> None:
    """Compare all stages before one: each must have finished, with this code, built on what the one before it is now.

    So a stage that is run alone never reads a vocabulary, histories or a model that belong to other rows or other code.

    Args:
        stage: about to run.
        finished: what each stage last finished with for the run date.
        run_date: for the message.
        code_version: of the package that runs.

    Raises:
        InputError: a stage has not finished, was run by another version, or not since the one before it changed.
    """
    before: Identity | None = None
    for name in STAGES[: STAGES.index(stage)]:
        found = finished.get(name)
        if found is None:
            raise InputError(
                f"table runs: {name} has not finished for run date {run_date}, "
                f"wanted by {stage}; run it first, or jobs/nightly.py"
            )
        remedy = f"run jobs/nightly.py, or begin with --from {name}"
        if found.code_version != code_version:
            raise InputError(
                f"table runs: {name} of run date {run_date} was run by intentrec {found.code_version}, "
                f"wanted {code_version}, which {stage} is run by; {remedy}"
            )
        if before is not None and found.input_hash[_HALF:] != before.content():
            raise InputError(
                f"table runs: {name} of run date {run_date} was not run since the stage before it changed, "
                f"wanted by {stage}; {remedy}"
            )
        before = found


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HALF]
