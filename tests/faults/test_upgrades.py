"""The next night on a warehouse that an earlier version wrote."""

from pathlib import Path
from typing import Any

import pytest
from tests import generated
from tests.generated import FIRST_NIGHT, NUM_USERS, SECOND_NIGHT
from tests.tables_oracle import contents, rows_of
from tests.test_upgrades import WAREHOUSES, unpacked

from intentrec.tables import EVENTS, MODELS, RECOMMENDATIONS, SESSIONS


def lists_of(warehouse: Path, **values: object) -> list[dict[str, Any]]:
    return sorted(rows_of(warehouse, RECOMMENDATIONS, **values), key=lambda row: (row["run_date"], row["user_id"]))


@pytest.mark.parametrize("archive", WAREHOUSES, ids=lambda archive: archive.name.partition(".")[0])
def test_an_earlier_warehouse_is_continued(undisturbed, tmp_path: Path, archive: Path) -> None:
    flow = unpacked(archive, tmp_path)
    lists = lists_of(flow.warehouse)
    generated.write_logs(flow.logs)
    for file in flow.logs.glob("2024-*.json"):
        if file.stem != SECOND_NIGHT.isoformat():
            file.unlink()
    done = flow.forked(SECOND_NIGHT)
    assert done.returncode == 0, done.stderr
    found = contents(flow.warehouse)
    assert {table.name: found[table.name] for table in (EVENTS, SESSIONS)} == {
        table.name: undisturbed[table.name] for table in (EVENTS, SESSIONS)
    }
    first, second = (
        next(row for row in rows_of(flow.warehouse, MODELS, run_date=night, kind="challenger"))
        for night in (FIRST_NIGHT, SECOND_NIGHT)
    )
    assert second["warm_started_from"] == first["model_id"]
    assert len(rows_of(flow.warehouse, RECOMMENDATIONS, run_date=SECOND_NIGHT)) == NUM_USERS
    after = lists_of(flow.warehouse, run_date=FIRST_NIGHT)
    assert [{name: row[name] for name in earlier} for row, earlier in zip(after, lists, strict=True)] == lists
    added = [value for row in after for name, value in row.items() if name not in lists[0]]
    assert all(value is None for value in added)  # columns that came since are null in earlier rows
    print(f"\n{archive.name}: opened and continued, {len(lists)} earlier lists unchanged")
