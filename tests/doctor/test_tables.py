import re
from pathlib import Path

import pytest
from pyspark.sql.types import StructType
from tests.running import Flow

from intentrec.config import load_config
from intentrec.doctor import tables
from intentrec.doctor.tables import check_tables
from intentrec.io import Warehouse


def checked(spark, flow: Flow, *changes: str) -> list[tuple[str, str, str]]:
    config = load_config(flow.config, changes)
    warehouse = Warehouse(spark, str(flow.warehouse), in_catalog=False)
    return [(finding.level, finding.check, finding.found) for finding in check_tables(warehouse, config)]


def test_tables_of_two_nights_pass(spark, flow: Flow):
    found = checked(spark, flow)
    assert {level for level, _, _ in found} == {"PASS"}
    assert [check for _, check, _ in found] == ["tables", "tables", "row groups", "version"]


def test_more_ranks_than_row_groups_are_a_warning(spark, flow: Flow):
    found = checked(spark, flow, "training={workers: 900}")
    (said,) = (said for level, _, said in found if level == "WARN")
    assert re.fullmatch(r"\d+ of 2024-05-04 for 900 ranks: the others would read nothing", said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sessions.gap_minutes=31", "sessions.gap_minutes: is 31, but table sessions was built with 30"),
        ("input.events.0.context=[]", "input.events.0.context: is \\[\\], but table events was filled with"),
    ],
)
def test_a_config_that_the_tables_were_not_made_with_fails(spark, flow: Flow, change: str, said: str):
    if change.startswith("input"):  # the flow's config has one source, not a list of them
        change = "input.events={path: a, format: json, columns: {user_id: who, item_id: what, occurred_at: at, "
        change += "action: did, event_id: id}}"
    failed = [found for level, _, found in checked(spark, flow, change) if level == "FAIL"]
    assert len(failed) == 1
    assert re.match(said, failed[0])


def test_a_table_of_somebody_else_and_a_newer_code_are_told(spark, flow: Flow, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(tables, "__version__", "0.0.9")
    assert ("WARN", "version") in {(level, check) for level, check, _ in checked(spark, flow)}
    spark.range(3).write.format("delta").save(str(tmp_path / "events"))
    warehouse = Warehouse(spark, str(tmp_path), in_catalog=False)
    (found,) = check_tables(warehouse, load_config(flow.config))
    assert (found.level, "column event_id must be string, is missing" in found.found) == ("FAIL", True)
    nothing = Warehouse(spark, str(tmp_path / "none"), in_catalog=False)
    assert [finding.level for finding in check_tables(nothing, load_config(flow.config))] == ["PASS"]


def test_a_table_of_an_earlier_version_is_a_warning(spark, flow: Flow, tmp_path: Path):
    wanted = tables.RUNS.schema
    earlier = StructType([field for field in wanted if field.name != "message"])
    spark.createDataFrame([], earlier).write.format("delta").save(str(tmp_path / "runs"))
    (found,) = check_tables(Warehouse(spark, str(tmp_path), in_catalog=False), load_config(flow.config))
    assert (found.level, found.found.split(":")[0]) == ("WARN", "runs")
