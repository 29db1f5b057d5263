"""Who stays out is recognised by a keyed hash: by the user of a row, or in the text of one that could not be read."""

import hashlib
import hmac

import pytest
from chispa import assert_df_equality
from pyspark.sql import SparkSession

from intentrec.events import Erased, key_mark, keyed_hash, mark_erased

KEY = b"sixteen bytes or more"
ROWS = "kind STRING, raw STRING, user_id STRING"


def test_the_hash_is_hmac_sha256_under_the_key() -> None:
    assert keyed_hash(KEY, "Zoë") == hmac.new(KEY, "Zoë".encode(), hashlib.sha256).hexdigest()
    assert keyed_hash(KEY + b"x", "Zoë") != keyed_hash(KEY, "Zoë")
    assert key_mark(KEY) not in keyed_hash(KEY, "Zoë")
    assert key_mark(KEY) != key_mark(KEY + b"x")
    assert KEY.decode() not in repr(Erased.of(KEY, ["ann"]))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"who": "ann", broken', True),
        ("ann;tea;2024", True),
        ("1,ann@home", False),
        ("mary-ann,tea", False),
        ("wer=ann&was=tea", True),
        ("joanna|tea", False),
        ('{"who": "b;\\u00e4 b"', True),
        ("7;b;ä b;tea", True),
        ("b, tea", False),
        ("uid=ann_2024&x=1", True),
        ("", False),
    ],
)
def test_a_text_names_a_user_between_quotes_or_separators(text: str, named: bool) -> None:
    assert Erased.of(KEY, ["ann", "b;ä b"]).named_in(text) is named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("+3.88% to the best baseline popularity_72h (wanted at least 0), at 5, of 12.5 %", False),
        ("user 5 complained", True),
        ("User 5\nhistory: tea", True),
        ("user_id: '5' stands twice", True),
        ("column item must be a number, is '12.5'", True),
        ("user 55 complained", False),
        ("user-5 complained", True),
        ("no tea for ann", True),
        ("joanna complained of 5", False),
        ("for b;5, tea", True),
    ],
)
def test_numbers_in_prose_are_users_where_users_are_spoken_of(text: str, named: bool) -> None:
    assert Erased.of(KEY, ["ann", "5", "12.5", "0", "b;5"]).named_in_prose(text) is named


def test_rows_of_erased_users_are_marked_by_user_and_unreadable_ones_by_their_text(spark: SparkSession) -> None:
    rows = [
        ("row", None, "ann"),
        ("row", '{"friend": "ann"}', "bob"),
        ("row", '{"who": "ann", broken', None),
        ("row", '{"who": "bob", broken', None),
        ("file", None, None),
        ("known", None, "ann"),
    ]
    marked = mark_erased(spark.createDataFrame(rows, ROWS), Erased(KEY, frozenset({keyed_hash(KEY, "ann")})))
    kinds = ["erased", "row", "erased", "row", "file", "known"]
    wanted = spark.createDataFrame([(kind, *row[1:]) for kind, row in zip(kinds, rows, strict=True)], ROWS)
    assert_df_equality(marked, wanted, ignore_row_order=True, ignore_nullable=True)


def test_without_an_erased_user_rows_are_not_looked_at(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("row", None, "ann")], ROWS)
    assert mark_erased(rows, None) is rows
    assert mark_erased(rows, Erased(KEY, frozenset())) is rows
