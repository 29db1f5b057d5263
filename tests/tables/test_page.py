"""TABLES.md is current and says what a consumer has to know."""

from pathlib import Path

from pyspark.sql import SparkSession

from intentrec.tables import ALL, Table
from intentrec.tables.page import tables_page
from intentrec.tables.usage import CHANGES

COMMITTED = Path(__file__).resolve().parents[2] / "TABLES.md"


def test_the_committed_page_is_the_one_that_the_declarations_make(spark: SparkSession) -> None:
    assert COMMITTED.read_text(encoding="utf-8") == tables_page(), "run `make pages`"


def test_every_table_and_column_stands_on_the_page(spark: SparkSession) -> None:
    page = tables_page()
    for table in ALL:
        section = page.split(f"\n## {table.name}\n")[1].split("\n## ")[0]
        assert section.count("\n| ") == len(table.schema) + 1  # and the head


def test_a_table_is_described_with_its_columns_checks_and_properties(spark: SparkSession) -> None:
    clicks = Table(
        name="clicks",
        row="click",
        writer="a_job",
        key=("user_id", "day"),
        partition=("day",),
        provenance=("run_id",),
        checks={"short": "size(user_id) < 9"},
        properties={"delta.x": "true"},
        columns="user_id STRING NOT NULL COMMENT 'a|b', day DATE NOT NULL COMMENT 'UTC', run_id STRING COMMENT 'who'",
    )
    assert (
        tables_page((clicks,))
        .removesuffix(f"\n{CHANGES}")
        .endswith(
            "| [clicks](#clicks) | click | user_id, day | day | a_job |\n"
            "\n"
            "## clicks\n"
            "One row per click. Written by a_job.\n"
            "\n"
            "| column | type | null | meaning |\n"
            "|---|---|---|---|\n"
            "| user_id | `string` | no | a\\|b |\n"
            "| day | `date` | no | UTC |\n"
            "| *run_id* | `string` | yes | who |\n"
            "\n"
            "- CHECK short: `size(user_id) < 9`\n"
            "- property `delta.x` = `true`\n"
        )
    )
