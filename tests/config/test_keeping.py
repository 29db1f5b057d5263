"""What keeps a warehouse: the key's place, and how long what is kept."""

from pathlib import Path

import pytest
from tests.ledger.nights import write_config

from intentrec.config import load_config
from intentrec.errors import ConfigError


def test_the_key_is_in_the_environment_and_old_versions_go_at_once_unless_the_config_says_otherwise(
    tmp_path: Path,
) -> None:
    config = load_config(write_config(tmp_path))
    assert (config.erasure.key_variable, config.erasure.key_file) == ("INTENTREC_ERASURE_KEY", None)
    assert (config.erasure.retention_hours, config.maintenance.retention_hours) == (0, 168)
    assert config.maintenance.keep_days == {}


def test_a_key_file_lies_beside_the_config(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path), ["erasure.key_file=secret/key"])
    assert config.erasure.key_file == str(tmp_path / "secret" / "key")


@pytest.mark.parametrize(
    "override", ["maintenance.keep_days.events=0", "erasure.retention_hours=-1", "maintenance.run_date_days=0"]
)
def test_times_are_not_below_their_bounds(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match=override.partition("=")[0]):
        load_config(write_config(tmp_path), [override])
