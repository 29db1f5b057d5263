"""The DAGs are read by a real Airflow where `make doors` has installed one; their text is checked everywhere."""

import ast
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.running import ROOT

from intentrec.config import STAGES

DAGS = ROOT / "deploy" / "airflow"
TEXT = (DAGS / "intentrec_dags.py").read_text()
AIRFLOW = Path(os.environ.get("INTENTREC_AIRFLOW", ROOT / "build" / "doors" / "airflow" / "bin" / "python"))
READ = """
import json, sys
from airflow.models.dagbag import DagBag
bag = DagBag(sys.argv[1], include_examples=False)
dags = {
    name: {
        "tasks": [[task.task_id, sorted(task.downstream_task_ids), task.bash_command] for task in dag.tasks],
        "runs": dag.max_active_runs, "catchup": dag.catchup, "retries": [task.retries for task in dag.tasks],
    }
    for name, dag in bag.dags.items()
}
print(json.dumps({"errors": {str(k): str(v) for k, v in bag.import_errors.items()}, "dags": dags}))
"""


def test_the_stages_are_those_of_the_night():
    assigned = {
        target.id: ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(TEXT))
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name) and target.id == "STAGES"
    }
    assert assigned == {"STAGES": STAGES}
    for job in (*STAGES, "nightly"):
        assert (ROOT / "jobs" / f"{job}.py").exists()


def test_a_run_date_is_the_start_of_the_interval_and_nothing_is_pasted_without_quotes():
    assert "--run-date {{ data_interval_start | ds }}" in TEXT
    assert re.findall(r"\{\{(.*?)\}\}", TEXT) == [" data_interval_start | ds "]


@pytest.mark.skipif(not AIRFLOW.exists(), reason="no Airflow: `make doors` installs one")
def test_airflow_reads_both_dags_and_finds_one_task_a_stage_in_order(tmp_path: Path):
    environment = {
        **os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "PYTHONPATH": "",
    }  # fmt: skip
    done = subprocess.run(
        [str(AIRFLOW), "-c", READ, str(DAGS)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["errors"] == {}
    night, stages = found["dags"]["intentrec_night"], found["dags"]["intentrec_stages"]
    assert [task[0] for task in night["tasks"]] == ["nightly"]
    order = [*STAGES, None]
    assert [task[:2] for task in stages["tasks"]] == [
        [stage, [after] if after else []] for stage, after in zip(STAGES, order[1:], strict=True)
    ]
    for dag in (night, stages):
        assert (dag["runs"], dag["catchup"], set(dag["retries"])) == (1, False, {1})
        for name, _, command in dag["tasks"]:
            assert f'"$INTENTREC_HOME/jobs/{name}.py"' in command
