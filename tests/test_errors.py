"""The exit codes are a contract with schedulers."""

import pytest

from intentrec import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError, 2),
        (errors.InputError, 3),
        (errors.SchemaError, 3),
        (errors.TrainingError, 4),
        (errors.GateError, 5),
        (errors.PublishError, 6),
        (errors.SetupError, 7),
    ],
)
def test_each_error_carries_its_exit_code(error: type[errors.IntentrecError], code: int) -> None:
    assert error("what, where, wanted, do").exit_code == code


def test_the_parent_itself_has_no_exit_code() -> None:
    assert not hasattr(errors.IntentrecError("x"), "exit_code")


def test_every_error_is_in_the_table_above() -> None:
    known = {
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.IntentrecError)
    }
    assert len(known) == 8
