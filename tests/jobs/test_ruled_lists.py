"""Lists under rules: what every reader may see, what is counted, and what is not published."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from jobs.write_recommendations import STAGE
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.generated import NUM_USERS, SECOND_NIGHT, K
from tests.running import Flow
from tests.tables_oracle import rows_of, versions

from intentrec.cluster.ruling import Ruled
from intentrec.cluster.scoring import ScoringPlan
from intentrec.io import Warehouse
from intentrec.ledger import run_job
from intentrec.rules import Moment, Rules
from intentrec.tables import ITEMS, RECOMMENDATIONS, RULES, RUNS, SEGMENT_RECOMMENDATIONS, SIMILAR_ITEMS, USERS


def rule(name: str, field: str, value: str | None = None, **more: object) -> dict[str, object]:
    own = {"kind": name, "item_field": field, "item_value": value, **more}
    return {
        "run_date": SECOND_NIGHT,
        "rule": name,
        "source_file": "rules.json",
        "line": len(name),
        "run_id": "r",
        **own,
    }


RULES_OF_THE_NIGHT = [
    rule("exclude", "item_id", "i03"),
    rule("no gifts", "categories", "gift", kind="exclude", user_field="segment", user_value="new"),
    rule("complaint", "item_id", "i21", kind="exclude", user_field="user_id", user_value="u05"),
    rule("cap", "categories", user_field="segment", user_value="old", amount=4.0),  # some know two categories by heart
    rule("pin", "item_id", "i12", user_field="segment", user_value="old", amount=2.0),
    rule("boost", "categories", "fruit", amount=3.0),
]


def ruled(flow: Flow, spark: SparkSession, folder: Path, rules: list[dict[str, object]] = RULES_OF_THE_NIGHT) -> Flow:
    """Copy the nights and write the rules of the second one, as ingest_events would."""
    copy = flow.copied_to(folder)
    warehouse = Warehouse(spark, str(copy.warehouse), in_catalog=False)
    rows = [tuple(own.get(name) for name in RULES.schema.names) for own in rules]
    warehouse.create([RULES])
    warehouse.replace(RULES, spark.createDataFrame(rows, RULES.schema), run_date=SECOND_NIGHT)
    return copy


WITH_RULES = ("--set", "input.rules=[{path: rules.json, format: json}]", "--rebuild")  # ingest_events has not run again


def test_every_list_keeps_the_rules_and_what_they_take_away_is_counted(flow: Flow, spark, tmp_path: Path) -> None:
    copy = ruled(flow, spark, tmp_path / "copy")
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, *WITH_RULES)) == 0
    kinds = {row["item_id"]: row["categories"] for row in rows_of(copy.warehouse, ITEMS, run_date=SECOND_NIGHT)}
    gifts = {item for item, own in kinds.items() if "gift" in own}
    segments = {row["user_id"]: row["segment"] for row in rows_of(copy.warehouse, USERS, run_date=SECOND_NIGHT)}
    rows = rows_of(copy.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)
    assert len(rows) == NUM_USERS
    pinned = 0
    for row in rows:
        items = [entry["item_id"] for entry in row["items"]]
        assert len({*items}) == K
        assert "i03" not in items
        assert (
            segments[row["user_id"]] != "old"
            or max(Counter(kind for item in items for kind in kinds[item]).values()) <= 4
        )
        assert segments[row["user_id"]] != "new" or not gifts & {*items}
        assert row["user_id"] != "u05" or "i21" not in items
        found = [(entry["rank"], entry["item_id"]) for entry in row["items"] if entry["source"] == "pinned"]
        assert found in ([], [(2, "i12")])
        pinned += len(found)
    assert pinned
    for table, reader in ((SEGMENT_RECOMMENDATIONS, "segment"), (SIMILAR_ITEMS, "item_id")):
        for row in rows_of(copy.warehouse, table, run_date=SECOND_NIGHT):
            items = {entry["item_id"] for entry in row["items"]}
            assert "i03" not in items
            assert row[reader] == "old" or not gifts & items  # of all others anybody may be new
    run = max(rows_of(copy.warehouse, RUNS, stage=STAGE.name), key=lambda row: row["finished_at"])
    counters = {pair["key"]: pair["value"] for pair in run["counters"]}
    assert counters["rule_exclude:exclude"] == NUM_USERS
    assert counters["rule_exclude:no gifts"] == 10 * len(gifts)
    assert counters["rule_exclude:complaint"] == 1
    assert counters["rule_cap:cap"] > 0


def test_lists_that_break_a_rule_are_not_published(flow: Flow, spark, tmp_path: Path, capfd, monkeypatch) -> None:
    copy = ruled(flow, spark, tmp_path / "copy")
    before = versions(copy.warehouse)

    def forgetful(plan: ScoringPlan, histories: DataFrame, _: Moment) -> Ruled:
        told = histories.withColumn("audiences", F.array().cast("array<bigint>")).persist()  # nobody is told apart
        return Ruled(replace(plan, rules=Rules((), plan.allowed, plan.k)), told, {})

    monkeypatch.setattr("jobs.write_recommendations.apply_rules", forgetful)
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, *WITH_RULES)) == 5
    err = capfd.readouterr().err.strip()
    assert "\n" not in err
    assert "table recommendations_staged: audit of rule '" in err
    assert "lists, for example of 'u" in err
    assert versions(copy.warehouse)[RECOMMENDATIONS.name] == before[RECOMMENDATIONS.name]


def test_a_segment_that_nothing_can_be_shown_to_is_named(flow: Flow, spark, tmp_path: Path, capfd) -> None:
    """Every item is for the old or for the new, so nothing is for everybody."""
    rules = [
        rule("markets", "item_id", f"i{number:02d}", kind="only_for", user_field="segment", user_value=segment)
        for number in range(40)
        for segment in ("old", "new")
    ]
    copy = ruled(flow, spark, tmp_path / "copy", rules)
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, *WITH_RULES)) == 0
    found = {row["segment"] for row in rows_of(copy.warehouse, SEGMENT_RECOMMENDATIONS, run_date=SECOND_NIGHT)}
    assert found == {"old", "new"}
    told = f"table segment_recommendations: 1 segments have no list, all: there are fewer than {K} items"
    assert told in capfd.readouterr().out
