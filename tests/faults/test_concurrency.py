"""Others at work while a night runs: a reader of the lists, and a second night."""

import os
import socket
import time
from collections import Counter

from deltalake import DeltaTable
from tests.generated import FIRST_NIGHT, NUM_USERS, SECOND_NIGHT
from tests.tables_oracle import contents

from intentrec.tables import RECOMMENDATIONS


def test_a_reader_sees_complete_nights_only(copy_before) -> None:
    copy = copy_before("write_recommendations")
    seen = set()
    night = copy.started(SECOND_NIGHT)
    while night.poll() is None:
        lists = DeltaTable(str(copy.warehouse / RECOMMENDATIONS.name)).to_pyarrow_table(columns=["run_date", "user_id"])
        counts = Counter(lists.column("run_date").to_pylist())
        assert set(counts.values()) == {NUM_USERS}
        seen.add(tuple(sorted(counts)))
        time.sleep(0.02)
    _, err = night.communicate()
    assert night.returncode == 0, err
    assert seen == {(FIRST_NIGHT,), (FIRST_NIGHT, SECOND_NIGHT)}
    print(f"\na reader saw {len(seen)} states of recommendations, each complete")


def test_a_second_night_at_once_ends_and_names_the_first(copy_before, undisturbed) -> None:
    copy = copy_before("ingest_events")
    first = copy.started(SECOND_NIGHT)
    lock = copy.warehouse / ".lock"
    while f'"pid": {first.pid}' not in lock.read_text():
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    began = time.monotonic()
    second = copy.process(SECOND_NIGHT)
    took = time.monotonic() - began
    assert first.poll() is None  # the second did not wait for it
    assert second.returncode == 6
    assert f"pid {first.pid} on host {socket.gethostname()} since 20" in second.stderr
    assert second.stderr.count(os.linesep) == 1
    _, err = first.communicate()
    assert first.returncode == 0, err
    assert contents(copy.warehouse) == undisturbed
    print(f"\na second night ended after {took:.1f} s with exit code 6: {second.stderr.strip()}")
