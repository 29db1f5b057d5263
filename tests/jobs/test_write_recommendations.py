import html
import json
import re
from pathlib import Path

import pytest
from jobs import write_recommendations
from jobs.write_recommendations import STAGE
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from tests.generated import SECOND_NIGHT
from tests.running import Flow, nightly_module
from tests.tables_oracle import contents, rows_of, versions

from intentrec.gate import check_lists
from intentrec.io import Warehouse
from intentrec.ledger import PUBLISHED, run_job
from intentrec.tables import (
    HISTORIES,
    MODELS,
    RECOMMENDATIONS,
    RECOMMENDATIONS_STAGED,
    RUNS,
    SIMILAR_ITEMS,
    USER_INTENTS,
)


def published(flow: Flow) -> list[int]:
    """Return the versions of the tables that consumers read."""
    return [versions(flow.warehouse)[table.name] for table in PUBLISHED]


def test_the_job_alone_writes_lists_of_another_length(flow: Flow, tmp_path: Path) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    shorter = ("--set", "recommendations.k=3", "recommendations.similar_items=2")
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, *shorter)) == 0
    before = {row["user_id"]: row for row in rows_of(flow.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)}
    for row in rows_of(copy.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT):
        wanted = [entry["item_id"] for entry in before.pop(row["user_id"])["items"][:3]]
        assert [entry["item_id"] for entry in row["items"]] == wanted  # the same best first
    assert not before
    assert {len(row["items"]) for row in rows_of(copy.warehouse, SIMILAR_ITEMS, run_date=SECOND_NIGHT)} == {2}
    now, then = contents(copy.warehouse), contents(flow.warehouse)
    changed = {name for name in then if now[name] != then[name]}
    assert changed <= {
        "metrics", "recommendations", "recommendations_staged", "segment_recommendations", "similar_items",
    }  # fmt: skip


def test_lists_that_fail_their_checks_are_not_published(flow: Flow, tmp_path: Path, capfd) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    before = published(copy)
    # 28 items can be had in the end, and everybody has seen some of them.
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, "--set", "recommendations.k=28")) == 5
    err = capfd.readouterr().err.strip()
    assert "\n" not in err
    assert "40 of 40 users have fewer than 28 eligible items, wanted at most 0.1%" in err
    assert published(copy) == before
    assert contents(copy.warehouse)[RECOMMENDATIONS.name] == contents(flow.warehouse)[RECOMMENDATIONS.name]
    assert not rows_of(copy.warehouse, RECOMMENDATIONS_STAGED, run_date=SECOND_NIGHT)


def twice(items: Column) -> Column:
    """The first item stands in the second place as well."""
    first = F.get(items, F.lit(0))["item_id"]
    return F.transform(items, lambda item, place: F.when(place == 1, item.withField("item_id", first)).otherwise(item))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda lists: lists.withColumn("items", twice(F.col("items"))),
            "check distinct fails for 40 users, for example 'u00': wanted no item twice; the old lists stay",
        ),
        (
            lambda lists: lists.where(F.col("user_id") >= "u20"),
            "check every_user: 20 of 40 users have no list, for example 'u00', wanted the 0 that were counted as short",
        ),
    ],
    ids=["repeats", "half of the users"],
)
def test_forced_bad_lists_leave_the_old_ones_and_the_report_names_the_check(
    flow: Flow, tmp_path: Path, capfd, monkeypatch: pytest.MonkeyPatch, spoil, told: str
) -> None:
    copy, job = flow.copied_to(tmp_path / "copy"), nightly_module().write_recommendations
    before, ranked = published(copy), job.ranked_lists
    monkeypatch.setattr(job, "ranked_lists", lambda *given: spoil(ranked(*given)))
    assert copy.night(SECOND_NIGHT, "--only", "write_recommendations", "--rebuild") == 5
    err = capfd.readouterr().err.strip()
    assert told in err
    assert "\n" not in err
    assert published(copy) == before
    assert contents(copy.warehouse)[RECOMMENDATIONS.name] == contents(flow.warehouse)[RECOMMENDATIONS.name]
    report = copy.warehouse / "artifacts" / "reports" / f"{SECOND_NIGHT}"
    assert told in html.unescape((report / "report.html").read_text(encoding="utf-8"))
    assert told in json.loads((report / "summary.json").read_text(encoding="utf-8"))["warnings"][0]


def test_lists_beyond_a_limit_are_not_published_and_in_a_dry_run_they_are(flow: Flow, tmp_path: Path, capfd) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    before = published(copy)
    limit = ("--set", "recommendations.checks.max_overlap=0", "recommendations.checks.max_gini=0")
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, *limit)) == 5
    err = capfd.readouterr().err.strip()
    assert re.search(
        r"check max_gini: 0\.\d+, wanted at most 0 \(0\.\d+ beyond\); check max_overlap: 0\.\d+, wanted", err
    ), err
    assert published(copy) == before
    dry = (*limit, "recommendations.checks.mode=dry_run")
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, *dry, "--strict")) == 0
    assert "published all the same: recommendations.checks.mode is dry_run" in capfd.readouterr().out
    assert published(copy) == [version + 1 for version in before]
    assert contents(copy.warehouse) == contents(flow.warehouse)


def test_a_model_file_with_one_changed_byte_publishes_nothing(flow: Flow, tmp_path: Path, capfd) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    (serving,) = {row["model_id"] for row in rows_of(flow.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)}
    (model,) = rows_of(flow.warehouse, MODELS, model_id=serving)
    weights = next(entry["name"] for entry in model["files"] if entry["name"].endswith(".safetensors"))
    file = copy.folder / Path(model["artifact_path"]).relative_to(flow.folder) / weights
    sound = file.read_bytes()
    middle = len(sound) // 2
    file.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, "--rebuild")) == 3
    err = capfd.readouterr().err.strip()
    assert "\n" not in err
    assert weights in err
    assert contents(copy.warehouse) == contents(flow.warehouse)


def test_intents_are_those_of_the_model_that_serves(flow: Flow) -> None:
    lists = {row["user_id"]: row["model_id"] for row in rows_of(flow.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)}
    intents = {row["user_id"]: row["model_id"] for row in rows_of(flow.warehouse, USER_INTENTS, run_date=SECOND_NIGHT)}
    assert intents == lists


def counters_of(copy: Flow) -> dict[str, int]:
    """Return what the job counted when it last finished."""
    done = rows_of(copy.warehouse, RUNS, stage=STAGE.name, status="finished", run_date=SECOND_NIGHT)
    return {pair["key"]: pair["value"] for pair in max(done, key=lambda row: row["finished_at"])["counters"]}


def test_only_users_whose_history_changed_are_scored_and_the_tables_are_those_of_a_full_run(
    spark: SparkSession, flow: Flow, tmp_path: Path
) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    lists = rows_of(copy.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)
    filled = {row["user_id"] for row in lists if any(entry["source"] == "fallback" for entry in row["items"])}
    warehouse = Warehouse(spark, str(copy.warehouse), in_catalog=False)
    rows = warehouse.read(HISTORIES).where(F.col("run_date") == F.lit(SECOND_NIGHT))
    users = sorted(row["user_id"] for row in lists)
    changed, unseen = F.col("user_id").isin(users[:2]), F.col("user_id") == users[2]
    earlier = F.transform("times", lambda time: time - 7)
    rows = rows.withColumn("items", F.when(changed, F.reverse("items")).otherwise(F.col("items")))
    rows = rows.withColumn("times", F.when(changed, earlier).otherwise(F.col("times")))
    rows = rows.withColumn("seen", F.when(unseen, F.slice("seen", 1, 1)).otherwise(F.col("seen")))
    warehouse.replace(HISTORIES, spark.createDataFrame(rows.collect(), HISTORIES.schema), run_date=SECOND_NIGHT)
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, "--set", "recommendations.incremental=true")) == 0
    assert counters_of(copy)["reused"] == len(set(users) - filled - set(users[:3])) > 0
    found = contents(copy.warehouse)
    assert found["recommendations"] != contents(flow.warehouse)["recommendations"]
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, "--rebuild")) == 0
    assert counters_of(copy)["reused"] == 0
    assert contents(copy.warehouse) == found


def test_policies_and_the_mix_for_cold_users_change_lists_that_still_pass_their_checks(
    flow: Flow, tmp_path: Path
) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    wanted = ("policies={diversity: 2.0, popularity_offset: 0.2, explore_places: 2, new_item_share: 0.2}",
              "cold_start.events=1000")  # fmt: skip
    arguments = copy.arguments(SECOND_NIGHT, "--set", *(f"recommendations.{each}" for each in wanted))
    assert run_job(STAGE, argv=arguments) == 0
    before = {row["user_id"]: row["items"] for row in rows_of(flow.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)}
    lists = {row["user_id"]: row["items"] for row in rows_of(copy.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)}
    assert lists.keys() == before.keys()
    drawn = [entry for items in lists.values() for entry in items if entry["source"] == "explore"]
    assert drawn
    assert all(entry["propensity"] is not None and entry["rank"] > 3 for entry in drawn)
    firsts = [[entry["item_id"] for entry in items[:3]] for items in (lists[user] for user in sorted(lists))]
    assert firsts != [[entry["item_id"] for entry in before[user][:3]] for user in sorted(before)]
    assert run_job(STAGE, argv=[*arguments, "--rebuild"]) == 0
    again = {row["user_id"]: row["items"] for row in rows_of(copy.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)}
    assert again == lists


def test_places_for_new_items_may_hold_a_greater_score_than_the_place_before(
    flow: Flow, tmp_path: Path, monkeypatch
) -> None:
    checked = []

    def told(inputs, k, num_short, rules):
        checked.append(inputs.reordered)
        return check_lists(inputs, k, num_short, rules=rules)

    monkeypatch.setattr(write_recommendations, "check_lists", told)
    copy = flow.copied_to(tmp_path / "copy")
    share = ("--set", "recommendations.policies.new_item_share=0.2")
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, *share)) == 0
    assert checked == [True]
