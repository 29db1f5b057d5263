"""What README promises can be run: its config loads, its commands exist, its lists are those of the code."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import intentrec
from intentrec.config import STAGES, load_config
from intentrec.events.reasons import REASONS
from intentrec.tables import ALL, RULE_COLUMNS, RULE_KINDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| ")
    ]


def test_the_small_config_is_complete_and_valid(tmp_path: Path) -> None:
    text = README.split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "shop.yaml"
    path.write_text(text, encoding="utf-8")
    config = load_config(path)
    assert config.input.actions is not None
    assert config.input.actions["buy"].weight == 5.0


def test_every_reason_of_the_quarantine_is_explained() -> None:
    explained = {row[0].strip("`") for row in rows("Your own logs")} - {"reason"}
    assert explained == set(REASONS)


def test_every_kind_of_rule_is_explained_and_the_example_names_columns() -> None:
    assert [row[0].strip("`") for row in rows("Rules")][1:] == list(RULE_KINDS)
    example = README.split("\n## Rules\n")[1].split("```")[1].strip().splitlines()
    for rule in map(json.loads, example):
        assert set(rule) <= set(RULE_COLUMNS)
        assert set(RULE_KINDS[rule["kind"]].wants) <= set(rule)


def jobs_of(heading: str) -> list[str]:
    return [re.sub(r"`jobs/(\w+)\.py`", r"\1", row[0]) for row in rows(heading)][1:]


def test_every_job_is_in_the_flow_or_beside_it() -> None:
    assert jobs_of("The flow") == [*STAGES, "nightly"]
    assert {*jobs_of("The flow"), *jobs_of("Keeping it for years")} <= {job.stem for job in ROOT.glob("jobs/*.py")}


def test_the_tables_that_are_named_exist() -> None:
    written = {
        name
        for heading in ("The flow", "Keeping it for years")
        for row in rows(heading)[1:]
        for name in re.findall(r"[a-z_]+", row[2])
    }
    known = {table.name for table in ALL}
    assert known - {"recommendations_staged"} <= written


def test_every_exit_code_is_explained() -> None:
    assert [row[0] for row in rows("Exit codes")][1:] == ["0", "2", "3", "4", "5", "6", "7"]


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^)make ([a-z]+)", README, re.MULTILINE))))
def test_every_make_target_that_is_named_exists(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_package_is_named_with_its_version() -> None:
    assert f"dist/intentrec-{intentrec.__version__}.zip" in README


def test_make_alone_lists_every_target_that_is_explained() -> None:
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    said = subprocess.run(["make"], cwd=ROOT, env=alone, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [line.split()[1] for line in said.splitlines()] == targets
    assert {"demo", "test", "check", "faults", "bench", "help"} <= set(targets)


def test_ci_runs_exactly_what_a_merge_has_to_pass() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[-1] == "exec make check"


def test_every_door_names_what_exists_and_says_whether_it_was_run() -> None:
    doors = rows("Every door into the house")[1:]
    assert len(doors) >= 12
    for _, there, command, run in doors:
        for place in re.findall(r"`((?:jobs|deploy|notebooks)/[\w./]*)`", there):
            assert [*ROOT.glob(f"{place.rstrip('/')}*")], place
        for file in re.findall(r"(?:jobs|deploy|notebooks)/[\w/.]+\.(?:py|yaml|sh)\b", command):
            assert (ROOT / file).is_file(), file
        assert re.search(r"yes|not run|not built", run), run


def test_the_doctor_is_explained_with_both_of_its_commands() -> None:
    assert "jobs/doctor.py --suggest-config" in README
    assert "jobs/doctor.py --config" in README
