"""Errors a user can meet. Each class carries the exit code of the job that raises it."""


class IntentrecError(Exception):
    """Parent of the errors below; never raised itself."""

    exit_code: int


class ConfigError(IntentrecError):
    """The command line or the YAML file is wrong."""

    exit_code = 2


class InputError(IntentrecError):
    """A table or file is refused; nothing was published."""

    exit_code = 3


class SchemaError(InputError):
    """A table lacks a column or has another type."""


class TrainingError(IntentrecError):
    """Training failed: a non-finite loss, a dead or stalled rank. Safe to run again."""

    exit_code = 4


class GateError(IntentrecError):
    """The gate or the lists' own checks refused; the old lists are kept."""

    exit_code = 5


class PublishError(IntentrecError):
    """A commit lost the race, or another run holds the lock."""

    exit_code = 6


class SetupError(IntentrecError):
    """The environment is wrong: versions, jars, ports, slots, disk, permissions."""

    exit_code = 7
