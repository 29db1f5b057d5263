"""What must hold for every table that is declared; the tables up to what the model reads, by name."""

import pytest
from pyspark.sql import SparkSession

from intentrec.tables import ALL, EVENTS, EVENTS_QUARANTINE, EXAMPLES, INGESTED_FILES, ITEMS, SESSIONS, Table

every_table = pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)


def test_the_tables_stand_in_flow_order() -> None:
    flow = """
        events events_quarantine ingested_files items users rules sessions vocabulary feature_vocabulary examples
        histories models gate_decisions metrics recommendations_staged user_intents segment_recommendations
        similar_items recommendations runs erasure_requests erased_users
    """
    assert [table.name for table in ALL] == flow.split()


@every_table
def test_key_partition_and_provenance_are_columns(spark: SparkSession, table: Table) -> None:
    names = {column.name for column in table.schema}
    assert {*table.key, *table.partition, *table.provenance} <= names


@every_table
def test_every_column_has_a_comment_and_no_map(spark: SparkSession, table: Table) -> None:
    for column in table.schema:
        assert column.metadata.get("comment"), f"{table.name}.{column.name} has no comment"
        assert "map<" not in column.dataType.simpleString(), "Spark cannot compare, hash or order a MAP"


@every_table
def test_partition_columns_are_never_null(spark: SparkSession, table: Table) -> None:
    nullable = {column.name for column in table.schema if column.nullable}
    assert not nullable & set(table.partition)


@every_table
def test_a_column_that_tells_the_run_or_the_time_of_writing_is_provenance(spark: SparkSession, table: Table) -> None:
    told = {column.name for column in table.schema} & {"run_id", "ingested_at", "created_at", "decided_at"}
    assert told <= set(table.provenance)


def test_a_quarantined_row_is_the_same_whichever_night_reads_it() -> None:
    assert "run_date" in EVENTS_QUARANTINE.provenance


def test_the_tables_of_the_log_carry_what_consumers_rely_on(spark: SparkSession) -> None:
    wanted = {
        "event_id",
        "user_id",
        "item_id",
        "action",
        "occurred_at",
        "sequence",
        "value",
        "context",
        "source_file",
        "event_date",
    }
    assert wanted <= {column.name for column in EVENTS.schema}
    assert {"item_id", "title", "categories", "published_at", "available"} <= {column.name for column in ITEMS.schema}
    assert SESSIONS.partition == ("session_date",)


def test_the_books_of_a_file_must_balance() -> None:
    assert INGESTED_FILES.checks == {"books_balance": "rows_read = rows_accepted + rows_duplicate + rows_quarantined"}


def test_examples_can_be_read_without_spark() -> None:
    assert EXAMPLES.properties["delta.enableDeletionVectors"] == "false"
    assert EXAMPLES.partition == ("run_date", "split", "length_bucket")
