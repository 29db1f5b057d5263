"""What may stand in a condition, and how it is written."""

from datetime import UTC, date, datetime

import pytest

from intentrec.io.conditions import condition


def test_dates_integers_and_plain_words_are_written_as_sql() -> None:
    assert condition({"run_date": date(2024, 1, 31)}) == "run_date IN (DATE'2024-01-31')"
    assert condition({"length_bucket": -8}) == "length_bucket IN (-8)"
    assert condition({"run_id": "20240131-0a.b:c_d"}) == "run_id IN ('20240131-0a.b:c_d')"


def test_several_values_are_alternatives_and_several_columns_must_all_match() -> None:
    wanted = {"run_date": [date(2024, 1, 1), date(2024, 1, 2)], "split": ("train",)}
    assert condition(wanted) == "run_date IN (DATE'2024-01-01', DATE'2024-01-02') AND split IN ('train')"


def test_no_value_is_never_turned_into_a_condition() -> None:
    with pytest.raises(AssertionError, match="nothing to do"):
        condition({"run_date": []})


@pytest.mark.parametrize(
    "value",
    [
        "x' OR 'a' = 'a", "x\\", "", "two words", "café", "a;b", "DATE'2024-01-01'", "a\n",
        True, 1.5, None, b"a", datetime(2024, 1, 1, tzinfo=UTC),
    ],
)  # fmt: skip
def test_anything_else_is_refused_so_that_nothing_is_injected(value: object) -> None:
    with pytest.raises(ValueError, match="must be a date, an integer or a plain word, is ") as caught:
        condition({"split": value})  # type: ignore[dict-item]
    assert repr(value) in str(caught.value)
    with pytest.raises(ValueError):
        condition({"split": ["train", value]})  # type: ignore[list-item]


def test_every_row_is_never_meant_by_leaving_the_condition_out() -> None:
    with pytest.raises(AssertionError, match=r"say so with empty\(\)"):
        condition({})
