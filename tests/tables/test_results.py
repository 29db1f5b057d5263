"""The tables that consumers read, by name."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from intentrec.tables import GATE_DECISIONS, RECOMMENDATIONS, RECOMMENDATIONS_STAGED, RUNS, USER_INTENTS

ENTRY = (
    "struct<rank:int,item_id:string,score:double,source:string,intent:string,because_item_id:string,propensity:double>"
)


def test_a_list_is_an_array_of_entries(spark: SparkSession) -> None:
    assert RECOMMENDATIONS.schema["items"].dataType.simpleString() == f"array<{ENTRY}>"


def test_staged_lists_have_the_shape_of_published_ones(spark: SparkSession) -> None:
    assert RECOMMENDATIONS_STAGED.schema == RECOMMENDATIONS.schema


@pytest.mark.parametrize(("ranks", "holds"), [([1, 2, 3], True), ([1], True), ([0, 1], False), ([1, 3], False)])
def test_the_check_of_ranks_refuses_ranks_outside_the_list(spark: SparkSession, ranks: list[int], holds: bool) -> None:
    rows = spark.createDataFrame([([(rank,) for rank in ranks],)], "items ARRAY<STRUCT<rank: INT>>")
    assert rows.select(F.expr(RECOMMENDATIONS.checks["ranks"])).first()[0] is holds


def test_a_verdict_is_one_of_six() -> None:
    told = "verdict IN ('promoted', 'refused', 'pinned', 'demoted', 'withdrawn', 'lifted')"
    assert GATE_DECISIONS.checks["verdicts"] == told


def test_intents_and_runs_carry_what_consumers_rely_on(spark: SparkSession) -> None:
    assert {"heads", "head_weights", "primary_head", "embedding"} <= {column.name for column in USER_INTENTS.schema}
    wanted = {"run_id", "run_date", "stage", "status", "inputs", "outputs", "config_hash", "code_version", "counters"}
    assert wanted <= {column.name for column in RUNS.schema}
