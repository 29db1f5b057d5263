import pytest
from pydantic import ValidationError

from intentrec.config import SessionsConfig
from intentrec.config.section import known_timezone


def test_a_loaded_value_never_changes() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        SessionsConfig().gap_minutes = 10


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        SessionsConfig.model_validate({"gap": 10})


def test_a_time_zone_is_known_by_its_full_name() -> None:
    assert known_timezone("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(ValueError, match="'CEST' is no IANA time zone, wanted a name such as Europe/Berlin"):
        known_timezone("CEST")
