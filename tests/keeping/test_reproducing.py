"""A night whose versions are gone is refused before anything is built; tests/faults builds one again."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.generated import SECOND_NIGHT
from tests.ledger.nights import command, write_config
from tests.running import Flow, nightly_module
from tests.tables_oracle import rows_of

from intentrec.io.upkeep import purge
from intentrec.keeping.past import PastNight
from intentrec.keeping.reproducing import Compared, _compare
from intentrec.ledger import Run
from intentrec.tables import MODELS, RUNS, USERS

DAY = SECOND_NIGHT


def test_tables_are_compared_row_by_row_at_the_version_that_the_night_left(spark: SparkSession, tmp_path: Path) -> None:
    past, again = (Run(command(write_config(tmp_path), f"warehouse={name}"), spark, name) for name in ("then", "now"))
    for run, people in ((past, ("ann", "bob", "eve")), (again, ("ann", "eve"))):
        run.warehouse.create([USERS])
        rows = [(DAY, name, None, [], run.run_id) for name in people]
        run.warehouse.append(USERS, spark.createDataFrame(rows, USERS.schema))
    stages = {"ingest_events": {"outputs": [{"table": "users", "version": 1}]}}
    night = PastNight("then", DAY, stages, DAY, past.config)  # type: ignore[arg-type]
    assert _compare(past, night, again, (USERS, "ingest_events")) == Compared("users", 3, 2, 1)
    again.warehouse.append(USERS, spark.createDataFrame([(DAY, "bob", None, [], "x")], USERS.schema))
    past.warehouse.empty(USERS)  # a later night's doing
    assert _compare(past, night, again, (USERS, "ingest_events")) == Compared("users", 3, 3, 0)


def test_a_night_of_vacuumed_versions_is_refused_and_the_table_named(
    flow: Flow, tmp_path: Path, spark: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    nightly = nightly_module()
    copy = flow.copied_to(tmp_path / "copy")
    run_id = rows_of(copy.warehouse, RUNS, run_date=SECOND_NIGHT)[0]["run_id"]
    from intentrec.ledger import run_job

    def reproduce(name: str) -> int:
        stages = [job.STAGE for job in nightly.JOBS]
        argv = copy.arguments(SECOND_NIGHT, "--reproduce", name)
        return run_job(*stages, argv=argv, reproduce=nightly.reproduce_night)

    assert reproduce("20240504-none") == 3
    assert "no run 20240504-none of run date 2024-05-04" in capfd.readouterr().err
    purge(Run(command(copy.config), spark, "r").warehouse, MODELS)
    assert reproduce(run_id) == 3
    err = capfd.readouterr().err
    assert "table models: version " in err
    assert "which the run found or left, is gone: maintain_tables keeps old versions for" in err
