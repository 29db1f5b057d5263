"""A warehouse before each stage of a second night: the first night has ended, the second day's log has come since."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests import generated
from tests.running import Flow
from tests.tables_oracle import contents

from intentrec.config import STAGES


@pytest.fixture(scope="session")
def before(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Flow]:
    """Return the warehouse as each stage of the second night finds it, and under `end` as the night leaves it."""
    folder = tmp_path_factory.mktemp("faults")
    logs = generated.write_logs(folder / "logs")
    second_day = logs / f"{generated.SECOND_NIGHT}.json"
    rows = second_day.read_text()
    second_day.unlink()
    start = Flow.at(folder / STAGES[0], logs)
    generated.write_rules(start.config, logs)
    done = start.forked(generated.FIRST_NIGHT)
    assert done.returncode == 0, done.stderr
    second_day.write_text(rows + "{broken\n")  # so that every table is written
    found = {STAGES[0]: start}
    for stage, following in zip(STAGES, (*STAGES[1:], "end"), strict=True):
        found[following] = found[stage].copied_to(folder / following)
        done = found[following].forked(generated.SECOND_NIGHT, "--only", stage)
        assert done.returncode == 0, done.stderr
    return found


@pytest.fixture(scope="session")
def undisturbed(before: dict[str, Flow]) -> dict[str, str]:
    """Return the contents of every table after a night that nothing disturbed."""
    return contents(before["end"].warehouse)


@pytest.fixture(scope="session")
def after(before: dict[str, Flow]) -> dict[str, dict[str, str]]:
    """Return the contents of every table after each stage of such a night."""
    following = dict(zip(STAGES, (*STAGES[1:], "end"), strict=True))
    return {stage: contents(before[following[stage]].warehouse) for stage in STAGES}


@pytest.fixture
def copy_before(before: dict[str, Flow], tmp_path: Path):
    """Return a function that copies the warehouse as a stage finds it."""
    return lambda stage: before[stage].copied_to(tmp_path / "copy")
