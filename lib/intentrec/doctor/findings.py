"""What an examination finds: one line a check, with what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from intentrec.errors import ConfigError, SetupError

Level = Literal["PASS", "WARN", "FAIL"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    Attributes:
        check: its name.
        level: FAIL: a night would fail; WARN: it may, or it is slower or other than wished; PASS.
        found: what is there.
        remedy: what to do; empty for PASS.
        exit_code: of a FAIL: 2 for the config, 7 for the environment.
    """

    check: str
    level: Level
    found: str
    remedy: str = ""
    exit_code: int = SetupError.exit_code


def passed(check: str, found: str) -> Finding:
    """Return a PASS."""
    return Finding(check, "PASS", found)


def warned(check: str, found: str, remedy: str) -> Finding:
    """Return a WARN."""
    return Finding(check, "WARN", found, remedy)


def failed(check: str, found: str, remedy: str) -> Finding:
    """Return a FAIL of the environment: exit code 7."""
    return Finding(check, "FAIL", found, remedy)


def misconfigured(check: str, found: str, remedy: str) -> Finding:
    """Return a FAIL of the config: exit code 2."""
    return Finding(check, "FAIL", found, remedy, ConfigError.exit_code)


def exit_code_of(findings: Sequence[Finding]) -> int:
    """Return 0 without a FAIL, 7 if the environment has one, else 2."""
    return max((finding.exit_code for finding in findings if finding.level == "FAIL"), default=0)
