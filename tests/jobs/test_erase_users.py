"""Three users are erased after two nights: nothing of them is left, and raw logs do not bring them back."""

import csv
import json
import shutil
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.generated import SECOND_NIGHT
from tests.running import Flow
from tests.searching import places_of
from tests.tables_oracle import rows_of

from intentrec.ledger import run_errand, run_job
from intentrec.tables import (
    ERASED_USERS,
    ERASURE_REQUESTS,
    EVENTS,
    EVENTS_QUARANTINE,
    EXAMPLES,
    INGESTED_FILES,
    RECOMMENDATIONS,
    RUNS,
    SESSIONS,
    USERS,
)

GONE = ("u05", "u11", "u37")
# The other tables with users are treated like these; tests/faults erases from all of them.
WITH_USERS = (EVENTS, SESSIONS, USERS, RECOMMENDATIONS)
KEPT = (*WITH_USERS, EVENTS_QUARANTINE, INGESTED_FILES, EXAMPLES, RUNS)
KEY = "0123456789abcdef0123456789abcdef"


def erase(flow: Flow, *flags: str) -> int:
    from jobs.erase_users import ERRAND

    return run_errand(ERRAND, [*flow.arguments(SECOND_NIGHT), *flags])


def ingest(flow: Flow, *flags: str, day: date = SECOND_NIGHT) -> int:
    from jobs.ingest_events import STAGE

    return run_job(STAGE, argv=[*flow.arguments(day), *flags])


def others(flow: Flow) -> dict[str, list[str]]:
    """Return the rows of everybody else, sorted."""
    return {
        table.name: sorted(str(row) for row in rows_of(flow.warehouse, table) if row["user_id"] not in GONE)
        for table in WITH_USERS
    }


def books(flow: Flow) -> dict[str, tuple[int, ...]]:
    columns = ("rows_read", "rows_accepted", "rows_duplicate", "rows_quarantined")
    rows = rows_of(flow.warehouse, INGESTED_FILES)
    return {Path(row["path"]).name: tuple(row[name] for name in columns) for row in rows}


def delivered(flow: Flow, folder: Path) -> Path:
    """Deliver all logs once more, with a row more of each erased user, and rows of them that are refused."""
    shutil.copytree(flow.logs, folder)
    day = folder / f"{SECOND_NIGHT}.json"
    rows = [
        {"id": f"new-{user}", "who": user, "what": "i01", "at": f"{SECOND_NIGHT}T12:00:00+00:00", "did": "view"}
        for user in (*GONE, "u06")
    ]
    refused = [{**rows[0], "id": "odd", "did": "steal"}, {**rows[-1], "id": "odd-06", "did": "steal"}]
    lines = [json.dumps(row) for row in (*rows, *refused)]
    day.write_text(day.read_text() + "\n".join([*lines, '{"who": "u05", broken', '{"who": "u06", broken']) + "\n")
    return folder


@pytest.fixture
def copy(flow: Flow, tmp_path: Path) -> Flow:
    """A copy of some tables, in whose quarantine and ledger stands a row that names an erased user."""
    made = Flow.at(tmp_path / "copy", flow.logs)
    for table in KEPT:
        shutil.copytree(flow.warehouse / table.name, made.warehouse / table.name)
    report = made.warehouse / "artifacts" / "reports" / SECOND_NIGHT.isoformat() / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("<td>u05</td>")
    return made


def test_users_leave_everything_and_raw_logs_do_not_bring_them_back(
    copy: Flow, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTENTREC_ERASURE_KEY", KEY)
    before, accepted_before = others(copy), Counter(row["source_file"] for row in rows_of(copy.warehouse, EVENTS))
    examples_before = rows_of(copy.warehouse, EXAMPLES)
    theirs = spark.createDataFrame([(user, block) for user in GONE for block in range(3)], "u STRING, b BIGINT")
    row_ids = {row[0] for row in theirs.selectExpr("xxhash64(u, b)").collect()}
    examples_kept = sorted(str(row) for row in examples_before if row["row_id"] not in row_ids)
    assert len(examples_kept) < len(examples_before)
    assert all(places_of(user, copy.folder, texts_only=True) for user in GONE)

    users = tmp_path / "users.txt"
    users.write_text("u11\nu37\n")
    assert erase(copy, "--user", "u05", "--user-file", str(users)) == 0

    assert [places_of(user, copy.folder, texts_only=True) for user in GONE] == [[], [], []]
    assert others(copy) == before
    assert sorted(map(str, rows_of(copy.warehouse, EXAMPLES))) == examples_kept
    accepted = Counter(Path(row["source_file"]).name for row in rows_of(copy.warehouse, EVENTS))
    assert sum(accepted.values()) < sum(accepted_before.values())
    for name, (read, *parts) in books(copy).items():
        assert read == sum(parts)
        assert parts[0] == accepted[name]
    known = rows_of(copy.warehouse, ERASED_USERS)
    assert len({row["user_hash"] for row in known}) == 3
    assert all(row["purged_at"] for row in known)

    (receipt,) = (copy.warehouse / "artifacts" / "erasures").glob("*.json")
    told: dict[str, Any] = json.loads(receipt.read_text())
    assert told["rows_removed_of"]["users"] == 2 * len(GONE)
    assert told["artifacts_removed"] == [f"reports/{SECOND_NIGHT}/report.html"]
    assert told["files_removed_of"]["events"]
    assert not any((copy.warehouse / "events" / name).exists() for name in told["files_removed_of"]["events"])

    again = delivered(copy, tmp_path / "again")
    events_before = len(rows_of(copy.warehouse, EVENTS))
    flags = ("--set", f"input.events.path={again}/*.json", f"input.users.path={again}/users.csv")
    assert ingest(copy, *flags) == 0
    assert [places_of(user, copy.folder, texts_only=True) for user in GONE] == [[], [], []]
    assert len(rows_of(copy.warehouse, EVENTS)) == events_before + 1  # u06's
    with (again / "users.csv").open() as file:
        assert len(rows_of(copy.warehouse, USERS, run_date=SECOND_NIGHT)) == len(list(csv.reader(file))) - 1 - len(GONE)
    refused = {row["raw"] for row in rows_of(copy.warehouse, EVENTS_QUARANTINE) if "again" in row["source_file"]}
    assert sum("u06" in raw for raw in refused) == 2
    monkeypatch.delenv("INTENTREC_ERASURE_KEY")  # without the key nobody would be recognised
    assert ingest(copy, *flags, "input.max_files_gone_share=1", "--rebuild") == 7


@pytest.fixture
def small(tmp_path: Path) -> Flow:
    """A warehouse without a night."""
    return Flow.at(tmp_path / "small", tmp_path / "logs")


def test_requests_are_a_table_and_what_is_refused_says_why(
    small: Flow, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("INTENTREC_ERASURE_KEY", raising=False)
    assert erase(small) == 0  # nobody asked
    assert rows_of(small.warehouse, ERASED_USERS) == []
    requests = small.warehouse / ERASURE_REQUESTS.name
    spark.createDataFrame([("ann", None)], ERASURE_REQUESTS.schema).write.format("delta").mode("append").save(
        str(requests)
    )
    assert erase(small) == 7
    line = "the environment variable INTENTREC_ERASURE_KEY (erasure.key_variable) holds 0 bytes, wanted the secret key"
    assert line in capfd.readouterr().err
    key = tmp_path / "key"
    assert erase(small, "--set", f"erasure.key_file={key}") == 7
    assert f"erasure.key_file: {key}: No such file or directory; restore the file" in capfd.readouterr().err
    key.write_text(f"{KEY}\n")
    late = ("--set", f"erasure.key_file={key}", "erasure.retention_hours=24")
    assert erase(small, *late) == 0
    (known,) = rows_of(small.warehouse, ERASED_USERS)
    assert known["purged_at"] is None  # the old version with the request stays for a day
    assert rows_of(small.warehouse, ERASURE_REQUESTS) == []
    assert places_of("ann", requests)
    assert erase(small, "--set", f"erasure.key_file={key}") == 0
    assert places_of("ann", small.warehouse) == []
    monkeypatch.setenv("INTENTREC_ERASURE_KEY", KEY.upper())
    assert erase(small, "--user", "bob") == 7
    assert "hashes were made with another key than that in the environment variable" in capfd.readouterr().err
    assert erase(small, "--user", " ") == 2
    assert "--user: an id is blank" in capfd.readouterr().err
    assert erase(small, "--user-file", str(tmp_path / "none")) == 2
    assert "--user-file" in capfd.readouterr().err


def test_users_who_are_numbers_take_nothing_of_others_with_them(small: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENTREC_ERASURE_KEY", KEY)
    small.logs.mkdir()
    (small.logs / "items.csv").write_text("id,name,kinds,live\n5,tea,tea,true\n6,cake,cake,true\n")
    (small.logs / "users.csv").write_text("id,group\n5,new\n7,new\n")

    def line(number: int, user: str, days: int, did: str = "view") -> str:
        at = f"{SECOND_NIGHT + timedelta(days=days)}T12:00:00+00:00"
        return json.dumps({"id": f"e{number}", "who": user, "what": "5", "at": at, "did": did})

    sound = [line(number, user, 0) for number, user in enumerate(("5", "7", "7", "5"))]
    early = [line(10, "7", 20), line(11, "5", 20)]  # accepted one day, input.future_days being 9
    refused = [line(20, "7", 0, "5"), line(21, "5", 0, "5")]
    (small.logs / "day.json").write_text("\n".join([*sound, *early, *refused]) + "\n")
    anything = ("--set", "input.max_rejected_share=0.9", "input.max_rejected_share_of_file=0.9")
    assert ingest(small, *anything) == 0
    assert erase(small, "--user", "5") == 0
    assert [row["event_id"] for row in rows_of(small.warehouse, EVENTS)] == ["e1", "e2"]
    assert rows_of(small.warehouse, EVENTS_QUARANTINE) == []  # each of their texts has the word 5
    assert small.errand("maintain_tables", SECOND_NIGHT, "--set", "maintenance.keep_days={events_quarantine: 30}") == 0
    assert ingest(small, *anything, day=SECOND_NIGHT + timedelta(days=1)) == 0
    left = rows_of(small.warehouse, EVENTS_QUARANTINE)
    assert sorted(json.loads(row["raw"])["id"] for row in left) == ["e10", "e20"]
    assert [row["event_id"] for row in rows_of(small.warehouse, EVENTS)] == ["e1", "e2"]
    assert books(small)["day.json"] == (4, 2, 0, 2)
