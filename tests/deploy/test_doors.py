"""Files for other people's schedulers against the part of each published schema that we use, written down here.

Where `make doors` has installed the publishers' own packages, their models read the files as well.
"""

import json
import os
import re
import runpy
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from pyspark.sql import SparkSession
from tests.deploy.bundle_schema import Bundle, Job
from tests.running import ROOT, Flow

from intentrec.config import STAGES
from intentrec.config.keeping import ErasureConfig
from intentrec.doctor.packages import check_python

DATABRICKS, KUBERNETES = ROOT / "deploy" / "databricks", ROOT / "deploy" / "kubernetes"
JOBS = sorted((DATABRICKS / "resources").glob("*.job.yml"))
SCHEMAS = Path(os.environ.get("INTENTREC_SCHEMAS", ROOT / "build" / "doors" / "schemas" / "bin" / "python"))
PYTHON_OF_RUNTIME = {"17.3": "3.12"}  # Databricks' release notes, "System environment"
READ_JOBS = """
import json, sys, yaml
from databricks.bundles.jobs import Job
for file in sys.argv[1:]:
    for name, job in yaml.safe_load(open(file))["resources"]["jobs"].items():
        assert Job.from_dict(job).as_dict() == job, name
"""
READ_APPLICATIONS = """
import sys, yaml
from kubeflow_spark_api import models
for file in sys.argv[1:]:
    given = yaml.safe_load(open(file))
    read = getattr(models, "SparkV1beta2" + given["kind"]).from_dict(given).to_dict()
    missing = [(key, value) for key, value in given["spec"].items() if key not in read["spec"]]
    assert not missing, missing
"""


def bundle() -> Bundle:
    return Bundle.model_validate(yaml.safe_load((DATABRICKS / "databricks.yml").read_text()))


def jobs() -> dict[str, Job]:
    found: dict[str, Job] = {}
    for file in JOBS:
        for name, job in yaml.safe_load(file.read_text())["resources"]["jobs"].items():
            found[name] = Job.model_validate(job)
    return found


def test_the_bundle_has_a_trial_and_a_real_target_with_schemas_of_their_own():
    given = bundle()
    assert {name: target.mode for name, target in given.targets.items()} == {"dev": "development", "prod": "production"}
    assert given.targets["dev"].variables["schema"] != given.targets["prod"].variables["schema"]
    assert {"catalog", "schema", "run_date"} <= given.variables.keys()
    for place in (*given.sync["paths"], *(artifact.path for artifact in given.artifacts.values())):
        assert (DATABRICKS / place).resolve().is_relative_to(ROOT)
        assert (DATABRICKS / place).exists()


def test_every_variable_and_job_that_is_named_exists():
    text = "".join(file.read_text() for file in [DATABRICKS / "databricks.yml", *JOBS])
    assert set(re.findall(r"\$\{var\.(\w+)\}", text)) <= bundle().variables.keys()
    assert set(re.findall(r"\$\{resources\.jobs\.(\w+)\.id\}", text)) <= jobs().keys()


def test_the_jobs_are_the_night_its_training_and_the_upkeep():
    assert list(jobs()) == ["maintenance", "nightly", "training"]
    keys = {name: [task.task_key for task in job.tasks] for name, job in jobs().items()}
    assert keys["training"] == ["train_model", "evaluate_model"]
    night = [key for key in keys["nightly"] if key != "training"]
    assert [*night[:3], *keys["training"], *night[3:]] == list(STAGES)


@pytest.mark.parametrize("name", ["maintenance", "nightly", "training"])
def test_tasks_run_files_that_exist_on_clusters_that_exist_in_order(name: str):
    job, before = jobs()[name], None
    clusters = {cluster.job_cluster_key for cluster in job.job_clusters}
    for task in job.tasks:
        assert [needed.task_key for needed in task.depends_on] == ([before] if before else [])
        before = task.task_key
        if task.spark_python_task is None:
            assert task.run_job_task is not None
            continue
        assert task.job_cluster_key in clusters
        file = (DATABRICKS / "resources" / task.spark_python_task.python_file).resolve()
        assert file == ROOT / "jobs" / f"{task.task_key}.py"
        assert file.is_file()
        assert "--run-date={{job.parameters.run_date}}" in task.spark_python_task.parameters
        assert "warehouse=${var.catalog}.${var.schema}" in task.spark_python_task.parameters
        assert [library.whl for library in task.libraries] == ["../../../dist/*.whl"]


def test_the_init_script_is_named_by_every_cluster_and_is_sound_bash():
    for job in jobs().values():
        for cluster in job.job_clusters:
            (script,) = cluster.new_cluster.init_scripts
            assert script.workspace.destination.endswith("deploy/databricks/horovod_init.sh")
    script = DATABRICKS / "horovod_init.sh"
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    pins = dict(re.findall(r"\b(numpy|pyarrow|torch|petastorm|horovod)==([\d.]+\d)", script.read_text()))
    locked = (ROOT / "deploy" / "requirements.lock").read_text()
    assert pins.keys() == {"numpy", "pyarrow", "torch", "petastorm", "horovod"}
    assert all(f"\n{name}=={version} " in locked for name, version in pins.items())


@pytest.mark.skipif(not SCHEMAS.exists(), reason="no publishers' models: `make doors` installs them")
@pytest.mark.parametrize(
    ("program", "files"),
    [(READ_JOBS, JOBS), (READ_APPLICATIONS, sorted(KUBERNETES.glob("*.yaml")))],
    ids=["databricks", "kubernetes"],
)
def test_the_publishers_models_read_our_files(program: str, files: list[Path]):
    command = [str(SCHEMAS), "-c", program, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr


def applications() -> dict[str, Any]:
    return {file.stem: yaml.safe_load(file.read_text()) for file in sorted(KUBERNETES.glob("*.yaml"))}


@pytest.mark.parametrize("name", ["backfill", "nightly"])
def test_pods_run_as_nobody_special_and_a_night_never_meets_itself(name: str):
    given = applications()[name]
    assert given["apiVersion"] == "sparkoperator.k8s.io/v1beta2"
    spec = given["spec"]
    if given["kind"] == "ScheduledSparkApplication":
        assert spec["concurrencyPolicy"] == "Forbid"
        spec = spec["template"]
    assert (spec["type"], spec["mode"]) == ("Python", "cluster")
    assert not spec["image"].endswith("latest")
    for role in ("driver", "executor"):
        assert spec[role]["podSecurityContext"]["runAsNonRoot"] is True
        assert spec[role]["podSecurityContext"]["runAsUser"] == 185
        assert spec[role]["securityContext"]["allowPrivilegeEscalation"] is False
        assert spec[role]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    file = spec["mainApplicationFile"].removeprefix("local:///opt/intentrec/")
    assert (ROOT / file).is_file()


def test_the_image_has_pinned_bases_a_user_of_its_own_and_copies_what_exists():
    text = (ROOT / "deploy" / "docker" / "Dockerfile").read_text().replace("\\\n", " ")
    stages = re.findall(r"^FROM (\S+) AS (\w+)", text, re.MULTILINE)
    assert [name for _, name in stages] == ["spark", "cpu", "cuda", "image"]
    for base, _ in stages[:3]:
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*", base), base
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    assert users == ["185"]
    for line in re.findall(r"^COPY --chown=\S+ (.+)$", text, re.MULTILINE):
        assert all((ROOT / source).exists() for source in line.split()[:-1]), line
    assert "ADD " not in text


def test_the_timer_starts_the_service_which_runs_a_file_that_exists():
    folder = ROOT / "deploy" / "systemd"
    service = (folder / "intentrec.service").read_text()
    file = re.search(r"^ExecStart=\S+python (\S+) --config", service, re.MULTILINE)
    assert file
    assert (ROOT / file[1]).is_file()
    assert "RestartPreventExitStatus=2 3 5 6\n" in service  # 7 is tried again: a storage may be back by then
    assert "Persistent=true" in (folder / "intentrec.timer").read_text()


def test_a_night_that_fails_twice_is_not_tried_a_third_time_and_the_next_one_starts():
    service = (ROOT / "deploy" / "systemd" / "intentrec.service").read_text()
    values = dict(re.findall(r"^(\w+)=(.+)$", service, re.MULTILINE))
    hours = {"h": 1.0, "min": 1 / 60}
    limit, tried, pause = (
        float(number) * hours[unit]
        for name in ("StartLimitIntervalSec", "TimeoutStartSec", "RestartSec")
        for number, unit in re.findall(r"^(\d+)(h|min)$", values[name])
    )
    assert values["StartLimitBurst"] == "2"
    assert 2 * (tried + pause) < limit < 24 - 5 / 60  # the timer's RandomizedDelaySec


def test_a_night_filled_in_is_started_as_the_schedule_starts_its_own():
    given = applications()
    backfill, nightly = given["backfill"]["spec"], given["nightly"]["spec"]["template"]
    place = backfill["arguments"].index("--run-date")
    assert [*backfill["arguments"][:place], *backfill["arguments"][place + 2 :]] == nightly["arguments"]
    for part in ("sparkConf", "sparkVersion", "image", "volumes", "driver", "executor"):
        assert backfill[part] == nightly[part], part


def test_every_door_has_a_place_for_the_key_of_erased_users_and_opens_without_it():
    name = ErasureConfig().key_variable
    service = (ROOT / "deploy" / "systemd" / "intentrec.service").read_text()
    assert re.search(rf"^# {name}=.*\nEnvironmentFile=-/etc/intentrec/env$", service, re.MULTILINE)
    for application in applications().values():
        spec = application["spec"].get("template", application["spec"])
        (variable,) = [variable for variable in spec["driver"]["env"] if variable["name"] == name]
        assert variable["valueFrom"]["secretKeyRef"]["optional"] is True
    (tables,) = [cluster.new_cluster for cluster in jobs()["nightly"].job_clusters]
    assert tables.spark_env_vars == {name: "${var.erasure_key}"}
    assert "secrets/" not in bundle().variables["erasure_key"].default  # one that is not there stops the cluster


def test_the_wheel_can_be_installed_on_the_runtime_of_the_bundle():
    runtime = re.match(r"(\d+\.\d+)\.x-", bundle().variables["spark_version"].default)
    assert runtime is not None
    python = PYTHON_OF_RUNTIME[runtime[1]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert SpecifierSet(project["requires-python"]).contains(f"{python}.0")
    assert check_python((*map(int, python.split(".")), 0)).level != "FAIL"
    assert f"Python {python}" in bundle().variables["spark_version"].description


def test_the_tools_of_make_doors_are_pinned():
    lines = [line for line in (ROOT / "deploy" / "doors.txt").read_text().splitlines() if not line.startswith("#")]
    assert json.dumps([line.split(":")[0] for line in lines]) == '["airflow", "schemas"]'
    assert all("==" in package or package == "pyyaml" for line in lines for package in line.split(":")[1].split())


def test_a_job_file_runs_as_a_python_task_does_inside_a_session_that_is_active_and_stays_so(
    spark: SparkSession, flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    own = flow.copied_to(tmp_path / "copy")
    file = str(ROOT / "jobs" / "build_sessions.py")
    # what the platform makes of the task's parameters: one string each
    monkeypatch.setattr("sys.argv", [file, f"--config={own.config}", "--run-date=2024-05-04", "--set", "model.width=8"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(file, run_name="__main__")
    assert ended.value.code == 0
    assert "build_sessions skipped: already finished" in capfd.readouterr().out
    assert spark.range(3).count() == 3


def test_the_images_cuda_is_that_of_the_locked_torch() -> None:
    image = re.search(r"^FROM nvidia/cuda:(\d+)", (ROOT / "deploy/docker/Dockerfile").read_text(), re.MULTILINE)
    lock = re.search(r"^nvidia-nccl-cu(\d+)==", (ROOT / "deploy/requirements.lock").read_text(), re.MULTILINE)
    assert image is not None
    assert lock is not None
    assert image[1] == lock[1]
