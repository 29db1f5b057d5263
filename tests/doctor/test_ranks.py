import pytest

from intentrec.config import Config, SparkConfig
from intentrec.doctor import ranks
from intentrec.doctor.ranks import check_horovod, check_slots, slots_of


def config(**training):
    source = {"path": "a", "format": "csv", "columns": {"user_id": "u", "occurred_at": "t"}}
    spark = training.pop("spark", {"master": "local[2]"})
    return Config.model_validate({"warehouse": "w", "input": {"events": source}, "training": training, "spark": spark})


@pytest.mark.parametrize(
    ("spark", "slots"),
    [
        ({"master": "local"}, 1),
        ({"master": "local[3]"}, 3),
        ({"master": "local[*]"}, 8),
        ({"master": "local[4,2]"}, 4),
        ({"master": "local-cluster[2, 3, 1024]"}, 6),
        ({"master": "yarn"}, None),
        ({"master": "yarn", "conf": {"spark.executor.instances": 5, "spark.executor.cores": 2}}, 10),
    ],
)
def test_slots_follow_from_the_master_and_the_executors(spark, slots):
    assert slots_of(SparkConfig.model_validate(spark), num_cores=8) == slots


def levels(found):
    return [(finding.level, finding.exit_code if finding.level == "FAIL" else 0) for finding in found]


def test_ranks_are_compared_with_slots_or_cores(monkeypatch, tmp_path):
    monkeypatch.setattr(ranks.os, "sched_getaffinity", lambda _: {0, 1})
    assert levels(check_slots(config(workers=1, launcher="single"), {})) == [("PASS", 0)]
    assert levels(check_slots(config(workers=2), {})) == [("PASS", 0)]
    assert levels(check_slots(config(workers=3), {})) == [("FAIL", 2)]
    assert levels(check_slots(config(workers=3, spark={"master": "yarn"}), {})) == [("WARN", 0)]
    assert levels(check_slots(config(workers=3), {"PYSPARK_GATEWAY_PORT": "1"})) == [("WARN", 0)]
    assert levels(check_slots(config(workers=3, spark={"master": "local[9]"}), {})) == [("WARN", 0)]
    assert levels(check_slots(config(workers=3, launcher="local"), {})) == [("PASS", 0), ("WARN", 0)]
    monkeypatch.setattr(ranks.sys, "executable", str(tmp_path / "python"))
    assert levels(check_slots(config(workers=2, launcher="local"), {})) == [("FAIL", 7)]


@pytest.mark.parametrize(
    ("status", "said", "level"),
    [
        (0, "warning\nTrue False False", "PASS"),
        (0, "True True True", "PASS"),
        (0, "False False False", "FAIL"),
        (0, "True False True", "WARN"),
        (0, "", "FAIL"),
        (139, "", "FAIL"),
    ],
)
def test_horovods_build_is_judged_by_what_it_says(status, said, level):
    assert check_horovod(2, lambda: (status, said)).level == level


def test_one_rank_needs_no_horovod():
    assert check_horovod(1).found == "training.workers 1 needs none"
