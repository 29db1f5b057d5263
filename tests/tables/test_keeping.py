"""The tables of erasures keep no id longer than the erasure takes."""

from pyspark.sql import SparkSession

from intentrec.tables import ALL, ERASED_USERS, ERASURE_REQUESTS


def test_who_was_erased_is_kept_as_a_hash_alone(spark: SparkSession) -> None:
    assert "user_id" not in ERASED_USERS.schema.names
    assert ERASED_USERS.key == ("user_hash",)


def test_requests_need_nothing_but_the_id(spark: SparkSession) -> None:
    assert [column.name for column in ERASURE_REQUESTS.schema if not column.nullable] == ["user_id"]
    assert {ERASED_USERS, ERASURE_REQUESTS} <= set(ALL)
