"""Readers of the lists while they are published and publishing is killed; a withdrawal that is killed."""

import hashlib
import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from deltalake import DeltaTable
from tests.generated import FIRST_NIGHT, SECOND_NIGHT
from tests.tables_oracle import contents, rows_of

from intentrec.crashes import CRASH_VARIABLE
from intentrec.tables import GATE_DECISIONS, RECOMMENDATIONS

POLLS = 1000
LAST = ("--only", "write_recommendations")
LISTS_OF_FOUR = ("--set", "recommendations.k=4")
POINTS = [f"{RECOMMENDATIONS.name}:before_commit", f"{RECOMMENDATIONS.name}:after_commit"]


class Reader(threading.Thread):
    """Reads all lists again and again, and keeps a hash of every state it saw and what it held."""

    def __init__(self, warehouse: Path) -> None:
        super().__init__(daemon=True)
        self.place, self.polls, self.ended = str(warehouse / RECOMMENDATIONS.name), 0, threading.Event()
        self.states: set[str] = set()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self.ended.is_set():
                self.states.add(state_of(self.place))
                self.polls += 1
        except Exception as error:  # noqa: BLE001 a read that fails is what the test is about
            self.error = error


def state_of(place: str) -> str:
    """Hash what every night's lists hold, without who wrote them."""
    rows = DeltaTable(place).to_pyarrow_table(columns=["run_date", "user_id", "items", "model_id"]).to_pylist()
    return hashlib.sha256("\n".join(sorted(map(repr, rows))).encode()).hexdigest()


def test_a_thousand_reads_during_publishing_and_kills_are_complete_versions(copy_before) -> None:
    """Lists of five and of four items take turns; some runs are killed at the commit, some at any time."""
    copy = copy_before("write_recommendations")
    place = str(copy.warehouse / RECOMMENDATIONS.name)
    complete = {state_of(place)}
    for flags in (LISTS_OF_FOUR, ()):
        done = copy.process(SECOND_NIGHT, *LAST, *flags)
        assert done.returncode == 0, done.stderr
        complete.add(state_of(place))
    assert len(complete) == 3
    reader, chance, kills, turns = Reader(copy.warehouse), random.Random(5), 0, 0
    reader.start()
    while (reader.polls < POLLS or kills < 4) and turns < 3 * 4 and reader.is_alive():
        flags = (*LAST, "--rebuild", *(LISTS_OF_FOUR if turns % 2 == 0 else ()))
        turns += 1
        if turns % 3:
            killed = {CRASH_VARIABLE: POINTS[turns % 2]}
            kills += copy.process(SECOND_NIGHT, *flags, **killed).returncode == -signal.SIGKILL
            continue
        night = copy.started(SECOND_NIGHT, *flags)
        try:
            night.communicate(timeout=chance.uniform(5, 25))
        except subprocess.TimeoutExpired:
            night.kill()
            night.communicate()
            kills += 1
    reader.ended.set()
    reader.join()
    assert reader.error is None, reader.error
    assert reader.polls >= POLLS
    assert kills >= 4
    assert reader.states <= complete
    assert len(reader.states) >= 2
    done = copy.process(SECOND_NIGHT, *LAST)
    assert done.returncode == 0, done.stderr
    print(
        f"\n{reader.polls} reads during {turns} runs, {kills} of them killed: {len(reader.states)} states, all complete"
    )


@pytest.mark.parametrize("point", [f"{GATE_DECISIONS.name}:after_commit", *POINTS])
def test_a_withdrawal_killed_anywhere_is_finished_by_the_same_command(copy_before, undisturbed, point) -> None:
    copy = copy_before("end")
    flags = ("--withdraw", "--reason", "all socks")
    died = copy.forked(SECOND_NIGHT, *flags, job="override", **{CRASH_VARIABLE: point})
    assert died.returncode == -signal.SIGKILL, f"{point} was not reached: {died.stdout}{died.stderr}"
    withdrawn = point == POINTS[1]
    assert {row["run_date"] for row in rows_of(copy.warehouse, RECOMMENDATIONS)} == (
        {FIRST_NIGHT} if withdrawn else {FIRST_NIGHT, SECOND_NIGHT}
    )
    again = copy.forked(SECOND_NIGHT, *flags, job="override")
    assert again.returncode == 0, again.stderr
    assert {row["run_date"] for row in rows_of(copy.warehouse, RECOMMENDATIONS)} == {FIRST_NIGHT}
    told = rows_of(copy.warehouse, GATE_DECISIONS, run_date=SECOND_NIGHT, verdict="withdrawn")
    assert len(told) == 1
    lifted = copy.forked(SECOND_NIGHT, "--lift", "--reason", "socks it is", job="override")
    assert lifted.returncode == 0, lifted.stderr
    done = copy.forked(SECOND_NIGHT)
    assert done.returncode == 0, done.stderr
    found = contents(copy.warehouse)
    assert {name for name in found if found[name] != undisturbed[name]} == {GATE_DECISIONS.name}
    print(f"\na withdrawal killed at {point}, run again, lifted: tables equal")
