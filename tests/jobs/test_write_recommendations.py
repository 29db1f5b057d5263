from pathlib import Path

from jobs.write_recommendations import STAGE
from tests.generated import SECOND_NIGHT
from tests.running import Flow
from tests.tables_oracle import contents, rows_of, versions

from intentrec.ledger import run_job
from intentrec.tables import MODELS, RECOMMENDATIONS, RECOMMENDATIONS_STAGED, SIMILAR_ITEMS, USER_INTENTS


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
    assert changed <= {"recommendations", "recommendations_staged", "segment_recommendations", "similar_items"}


def test_lists_that_fail_their_checks_are_not_published(flow: Flow, tmp_path: Path, capfd) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    before = versions(copy.warehouse)
    # 28 items can be had in the end, and everybody has seen some of them.
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, "--set", "recommendations.k=28")) == 5
    err = capfd.readouterr().err.strip()
    assert "\n" not in err
    assert "40 of 40 users have fewer than 28 eligible items, wanted at most 0.1%" in err
    assert versions(copy.warehouse)[RECOMMENDATIONS.name] == before[RECOMMENDATIONS.name]
    assert contents(copy.warehouse)[RECOMMENDATIONS.name] == contents(flow.warehouse)[RECOMMENDATIONS.name]
    assert not rows_of(copy.warehouse, RECOMMENDATIONS_STAGED, run_date=SECOND_NIGHT)


def test_a_model_file_with_one_changed_byte_publishes_nothing(flow: Flow, tmp_path: Path, capfd) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    (serving,) = {row["model_id"] for row in rows_of(flow.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)}
    (model,) = rows_of(flow.warehouse, MODELS, model_id=serving)
    weights = next(entry["name"] for entry in model["files"] if entry["name"].endswith(".safetensors"))
    file = Path(model["artifact_path"], weights)
    sound = file.read_bytes()
    middle = len(sound) // 2
    file.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
    try:
        assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, "--rebuild")) == 3
    finally:
        file.write_bytes(sound)
    err = capfd.readouterr().err.strip()
    assert "\n" not in err
    assert weights in err
    assert contents(copy.warehouse) == contents(flow.warehouse)


def test_intents_are_those_of_the_model_that_serves(flow: Flow) -> None:
    lists = {row["user_id"]: row["model_id"] for row in rows_of(flow.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)}
    intents = {row["user_id"]: row["model_id"] for row in rows_of(flow.warehouse, USER_INTENTS, run_date=SECOND_NIGHT)}
    assert intents == lists
