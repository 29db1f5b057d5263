"""Horovod or petastorm is not installed: exit code 7 and one line."""

from pathlib import Path

import pytest
from tests.generated import SECOND_NIGHT
from tests.tables_oracle import contents

BLOCK = """\
import sys


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{package}":
            raise ModuleNotFoundError("No module named '{package}'", name=name)


sys.meta_path.insert(0, Blocked())
"""


@pytest.mark.parametrize(
    ("package", "flags"),
    [
        ("horovod", ("training.workers=2", "training.launcher=spark")),
        ("horovod", ("training.workers=2", "training.launcher=local")),
        ("petastorm", ()),
    ],
)
def test_a_missing_package_is_named_in_one_line(copy_before, tmp_path: Path, package: str, flags) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(BLOCK.format(package=package))
    copy = copy_before("train_model")
    held = contents(copy.warehouse)
    done = copy.process(
        SECOND_NIGHT, "--from", "train_model", "--set", "training.seed=2", *flags, PYTHONPATH=str(blocked)
    )
    assert done.returncode == 7, done.stdout + done.stderr
    said = [line for line in done.stderr.splitlines() if package in line]
    assert len(said) == 1, done.stderr
    assert said[0].startswith(f"{package} cannot be imported")
    assert "Traceback" not in done.stderr
    assert contents(copy.warehouse) == held
    print(f"\nwithout {package}: exit code 7: {said[0]}")


def test_one_worker_needs_no_horovod(copy_before, undisturbed, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(BLOCK.format(package="horovod"))
    copy = copy_before("train_model")
    done = copy.process(SECOND_NIGHT, PYTHONPATH=str(blocked))
    assert done.returncode == 0, done.stderr
    assert contents(copy.warehouse) == undisturbed
