"""The page of all keys is current, complete and says what the defaults are."""

from pathlib import Path
from typing import Any

import yaml

from intentrec.config import Config
from intentrec.config.reference import reference_page

COMMITTED = Path(__file__).resolve().parents[2] / "deploy" / "conf" / "reference.yaml"


def keys(values: Any, prefix: str = "") -> set[str]:
    if not isinstance(values, dict):
        return set()
    return {f"{prefix}{name}" for name in values} | {
        key for name, below in values.items() for key in keys(below, f"{prefix}{name}.")
    }


def test_the_committed_page_is_the_one_that_the_sections_make() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == reference_page(), "run `make pages`"


def test_the_page_shows_every_key_of_a_full_config() -> None:
    shown = yaml.safe_load(reference_page())
    full = Config.model_validate(shown).model_dump(mode="json")
    assert keys(full) - {"input.events"} == keys(shown) - {"input.events"}
    assert keys(full["input"]["events"][0]) >= keys(shown["input"]["events"][0])
    assert set(full["input"]["events"][0]) == set(shown["input"]["events"][0])


def test_the_values_shown_are_the_defaults() -> None:
    shown = yaml.safe_load(reference_page())
    least = {
        "warehouse": shown["warehouse"],
        "input": {key: shown["input"][key] for key in ("events", "items", "users", "rules")},
    }
    assert Config.model_validate(shown) == Config.model_validate(least)


def test_a_key_is_explained_with_its_choices_bounds_and_whether_it_is_required() -> None:
    page = reference_page()
    assert "# folder, or catalog.schema, that holds the tables; required\nwarehouse: " in page
    assert (
        "  # longest pause inside a session; a pause of exactly this does not split; above 0\n  gap_minutes: 30\n"
        in page
    )
    assert "  # share of activations; at least 0; below 1\n  dropout: 0.2\n" in page
    assert "disabled: promote without judging; one of enforce, dry_run, disabled\n    mode: " in page
    assert "of the rows of a run; above it nothing is published, exit 3; at least 0; at most 1\n" in page


def test_no_line_is_longer_than_the_page() -> None:
    assert max(map(len, reference_page().splitlines())) <= 128
