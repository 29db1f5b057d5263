"""A table that an earlier version made takes rows that only this version knows."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from intentrec.io import Warehouse
from intentrec.io.checks import renew_checks
from intentrec.tables import GATE_DECISIONS

EARLIER = replace(GATE_DECISIONS, checks={"verdicts": "verdict IN ('promoted', 'refused', 'pinned', 'demoted')"})


def test_a_check_of_an_earlier_version_is_replaced_by_todays(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(spark, str(tmp_path), in_catalog=False)

    def append(verdict: str) -> None:
        row = (date(2024, 5, 1), "m1", verdict, None, None, [], "because", "r", datetime(2024, 5, 2, tzinfo=UTC))
        warehouse.append(GATE_DECISIONS, spark.createDataFrame([row], GATE_DECISIONS.schema))

    warehouse.create([EARLIER])
    append("promoted")
    with pytest.raises(Exception, match=r"CONSTRAINT|TASK_WRITE_FAILED"):
        append("withdrawn")
    warehouse.create([GATE_DECISIONS])  # of itself this changes no check
    renew_checks(warehouse, GATE_DECISIONS)
    append("withdrawn")
    with pytest.raises(Exception, match=r"CONSTRAINT|TASK_WRITE_FAILED"):
        append("sold")
    version = warehouse.version(GATE_DECISIONS)
    renew_checks(warehouse, GATE_DECISIONS)
    assert warehouse.version(GATE_DECISIONS) == version  # they are today's already
    assert warehouse.read(GATE_DECISIONS).count() == 2
