"""Every query of TABLES.md runs as it stands on the tables of two nights."""

from pyspark.sql import SparkSession
from tests.running import Flow

from intentrec import tables
from intentrec.io import Warehouse
from intentrec.tables.page import tables_page
from intentrec.tables.usage import CHANGES, usage_of

EMPTY = {"erasure_requests", "rules"}


def test_every_query_runs_and_names_the_columns_of_its_table(spark: SparkSession, flow: Flow) -> None:
    warehouse = Warehouse(spark, str(flow.warehouse), in_catalog=False)
    for table in tables.ALL:
        there = warehouse.exists(table)  # those of an erasure are made by the first one
        rows = warehouse.read(table) if there else spark.createDataFrame([], table.schema)
        rows.createOrReplaceTempView(table.name)
    try:
        for table in tables.ALL:
            usage = usage_of(table)
            if usage is not None:
                rows = spark.sql(usage.query.replace("2024-05-01", "2024-05-04"))
                assert table.name in EMPTY or rows.limit(1).count() == 1, usage.query
    finally:
        for table in tables.ALL:
            spark.catalog.dropTempView(table.name)


def test_every_table_of_the_flow_has_a_query_and_the_page_tells_how_schemas_change(spark: SparkSession) -> None:
    page = tables_page()
    for table in tables.ALL:
        usage = usage_of(table)
        if usage is not None:
            section = page.split(f"\n## {table.name}\n")[1].split("\n## ")[0]
            assert f"```sql\n{usage.query}\n```" in section
            assert f"Fresh: {usage.fresh}." in section
    assert page.endswith(CHANGES)
    assert usage_of(tables.RECOMMENDATIONS) is not None
