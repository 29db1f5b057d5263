"""A warehouse that an earlier version wrote is opened by this one, and nothing in it is lost.

``tests/upgrades/warehouse_1.tar.xz`` holds one night of ``tests/generated.py`` as the code of schema version 1 left it,
without its logs; ``tests/faults/test_upgrades.py`` runs the next night on it.
"""

import tarfile
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.generated import FIRST_NIGHT, NUM_USERS, SECOND_NIGHT
from tests.running import Flow
from tests.tables_oracle import rows_of

from intentrec.config import load_config
from intentrec.ledger import Command, Run, champion_of, get_model
from intentrec.model.checkpoint import load_artifact
from intentrec.tables import ALL, RECOMMENDATIONS

ROOT = Path(__file__).parent
WAREHOUSES = sorted((ROOT / "upgrades").glob("warehouse_*.tar.xz"))


def unpacked(archive: Path, folder: Path) -> Flow:
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return Flow.at(folder, folder / "logs")


@pytest.mark.parametrize("archive", WAREHOUSES, ids=lambda archive: archive.name.partition(".")[0])
def test_the_tables_of_an_earlier_version_are_opened_with_all_their_rows(
    spark: SparkSession, tmp_path: Path, archive: Path
) -> None:
    flow = unpacked(archive, tmp_path)
    found = {table: rows_of(flow.warehouse, table) for table in ALL if (flow.warehouse / table.name).exists()}
    assert len(found[RECOMMENDATIONS]) == NUM_USERS
    run = Run(Command(config=load_config(flow.config), run_date=SECOND_NIGHT), spark, "r1")
    run.warehouse.create()
    for table in ALL:
        assert run.warehouse.read(table).count() == len(found.get(table, []))
    champion = champion_of(run)
    assert champion is not None
    assert champion.run_date == FIRST_NIGHT
    serving = get_model(run, champion.serving_model_id)
    assert serving.folder.is_relative_to(tmp_path)  # the warehouse has moved since it was written
    load_artifact(serving.folder, serving.files)
