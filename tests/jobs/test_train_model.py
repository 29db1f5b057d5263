import hashlib
import re
from pathlib import Path

import pytest
from jobs import evaluate_model, write_recommendations
from jobs.train_model import STAGE
from tests.generated import FIRST_NIGHT, SECOND_NIGHT
from tests.running import Flow
from tests.tables_oracle import contents, rows_of

from intentrec.ledger import run_job
from intentrec.tables import EXAMPLES, METRICS, MODELS, USER_INTENTS


def test_the_ledger_holds_the_checksum_of_every_file_of_a_model(flow: Flow) -> None:
    for model in rows_of(flow.warehouse, MODELS):
        folder = Path(model["artifact_path"])
        found = {
            path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size) for path in folder.iterdir()
        }
        assert {file["name"]: (file["sha256"], file["bytes"]) for file in model["files"]} == found
        assert any(name.endswith(".safetensors") for name in found)


@pytest.mark.parametrize("night", [FIRST_NIGHT, SECOND_NIGHT])
def test_the_curve_and_the_fit_of_the_prior_are_in_metrics(flow: Flow, night) -> None:
    rows = rows_of(flow.warehouse, METRICS, run_date=night, stage="train_model")
    losses = {row["step"]: row["value"] for row in rows if (row["segment"], row["metric"]) == ("all", "train_loss")}
    assert set(losses) == {1, 2}
    assert losses[2] < losses[1]
    assert {row["segment"] for row in rows if row["metric"] == "validation_accuracy"} >= {"action", "category"}
    fitted = {row["metric"]: row["value"] for row in rows if row["metric"].startswith("prior_")}
    assert fitted["prior_half_life_hours"] in (3, 12, 36)
    assert fitted["prior_weight"] >= 0


def test_another_setting_gives_another_model_that_starts_from_the_same_champion(flow: Flow, tmp_path) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, "--set", "training.learning_rate=0.02")) == 0
    (changed,) = [row for row in rows_of(copy.warehouse, MODELS) if '"learning_rate":0.02' in row["config"]]
    (first,) = rows_of(flow.warehouse, MODELS, run_date=SECOND_NIGHT, kind="challenger")
    assert changed["files"] != first["files"]
    assert changed["warm_started_from"] == first["warm_started_from"]
    assert len(rows_of(copy.warehouse, MODELS)) == 5  # the four of the two nights stay


def test_a_night_may_have_a_head_for_items_that_are_met_together(flow: Flow, tmp_path) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    for stage in (STAGE, evaluate_model.STAGE, write_recommendations.STAGE):
        assert run_job(stage, argv=copy.arguments(SECOND_NIGHT, "--set", "model.clusters=2")) == 0
    heads = {
        intent["head"]
        for row in rows_of(copy.warehouse, USER_INTENTS, run_date=SECOND_NIGHT)
        for intent in row["heads"]
    }
    assert "cluster" in heads


def test_two_ranks_on_spark_read_every_row_once_and_leave_one_model(flow: Flow, tmp_path) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    ranks = ("--set", "training.workers=2", "training.launcher=spark")
    done = copy.process(SECOND_NIGHT, *ranks, job="train_model")
    assert done.returncode == 0, done.stderr
    said = dict(re.findall(r"rank (\d) pid (\d+) on cpu: \d+ files, \d+ rows an epoch", done.stdout))
    assert set(said) == {"0", "1"}
    assert said["0"] != said["1"]
    num_rows = len(rows_of(copy.warehouse, EXAMPLES, run_date=SECOND_NIGHT, split="train"))
    assert f"all ranks: {num_rows} rows an epoch, table examples: {num_rows}" in done.stdout
    new = [row for row in rows_of(copy.warehouse, MODELS, kind="challenger") if '"workers":2' in row["config"]]
    assert len(new) == 1
    assert Path(new[0]["artifact_path"]).is_dir()


def test_more_ranks_than_task_slots_are_refused(flow: Flow, tmp_path, capfd: pytest.CaptureFixture[str]) -> None:
    copy = flow.copied_to(tmp_path / "copy")
    ranks = ("--set", "training.workers=64", "training.launcher=spark")
    assert run_job(STAGE, argv=copy.arguments(SECOND_NIGHT, *ranks)) == 7
    err = capfd.readouterr().err.strip()
    assert err.startswith("training.workers: 64 ranks need as many task slots, Spark has 2")
    assert "\n" not in err
    assert contents(copy.warehouse) == contents(flow.warehouse)
