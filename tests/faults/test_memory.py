"""A night in a container with little memory: it fits in where it is told to, and ends in one line where it does not."""

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.generated import NUM_USERS, SECOND_NIGHT
from tests.running import reason_of
from tests.tables_oracle import contents, rows_of

from intentrec.tables import RECOMMENDATIONS

GIB = 2**30
# One worker, a small heap and little else for Java: 1.8 GiB at the most, 0.9 of them Java's.
JAVA = "spark.driver.memory: 512m, spark.driver.extraJavaOptions: '-XX:+UseSerialGC -XX:TieredStopAtLevel=1'"
SMALL = ("--set", "spark.master=local[1]", f"spark.conf={{spark.sql.shuffle.partitions: 2, {JAVA}}}")
PLACES = {"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"}


@pytest.fixture
def limited() -> Iterator[Callable[[float], Path]]:
    """Return a function that makes a control group with so many GiB."""
    made = []

    def make(gib: float) -> Path:
        for place, limit in PLACES.items():
            group = Path(place, f"intentrec-{len(made)}")
            try:
                group.mkdir()
                made.append(group)
                (group / limit).write_text(str(round(gib * GIB)))
            except OSError:
                continue
            return group
        pytest.skip("no control group can be made here")

    yield make
    for group in made:
        group.rmdir()


def run_in(group: Path, copy, *flags: str) -> "subprocess.CompletedProcess[str]":
    enter = ["sh", "-c", 'echo $$ > "$0/cgroup.procs"; exec "$@"', str(group)]
    return subprocess.run(
        [*enter, *copy.command(SECOND_NIGHT, *flags)],
        capture_output=True, text=True, check=False, env=copy.environment(), cwd=copy.folder, timeout=600,
    )  # fmt: skip


def test_a_night_fits_into_two_gib_with_a_small_heap(copy_before, undisturbed, limited) -> None:
    copy = copy_before("ingest_events")
    done = run_in(limited(2), copy, *SMALL)
    assert done.returncode == 0, done.stderr
    assert contents(copy.warehouse) == undisturbed


def test_a_night_without_room_publishes_nothing_half_and_goes_on_where_there_is_some(
    copy_before, undisturbed, limited
) -> None:
    copy = copy_before("ingest_events")
    done = run_in(limited(0.75), copy)
    assert done.returncode in (4, 7, -9), done.stderr  # -9: the kernel chose the job itself, which can say nothing
    if done.returncode > 0:
        reason_of(done.stderr)
    lists = Counter(row["run_date"] for row in rows_of(copy.warehouse, RECOMMENDATIONS))
    assert set(lists.values()) == {NUM_USERS}
    again = copy.forked(SECOND_NIGHT)
    assert again.returncode == 0, again.stderr
    assert contents(copy.warehouse) == undisturbed
    print(f"\n{done.returncode}: {done.stderr.strip()}")
