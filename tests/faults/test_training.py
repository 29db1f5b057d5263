"""One rank of a training meets a fault: all are gone soon, in one line; run again, it ends as if nothing had been.

Without tables and mostly without Spark: tests/faults/test_ranks.py does the same to a whole night.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.faults.broken_training import Fault
from tests.model.synthetic import FIELDS, NUM_ITEMS, rows_of, write_job, write_shard
from tests.running import ROOT, reason_of

from intentrec.model.batches import Shard
from intentrec.model.job import Settings, TrainingJob
from intentrec.model.shape import preset_shape

SETTINGS = Settings(epochs=4, patience=4, events_per_batch=256, learning_rate=0.01, warmup_steps=5, max_skipped_steps=3)
IN_EPOCH_2 = {1: 6, 2: 9}  # by ranks, which take 4 and 6 steps an epoch
EPOCH_2 = {1: 5, 2: 7}  # its first step
STALL_S, MOST_S = 8, 150
SOUND = Fault()
STARTS = {1: "single", 2: "local"}


@dataclass(frozen=True)
class Ended:
    """How a training ended, and how long after the fault all its processes were gone."""

    code: int
    out: str
    err: str
    seconds: float

    def result(self) -> dict:
        assert self.code == 0, self.err
        return json.loads(self.out.strip().splitlines()[-1])


def left_of(mark: str) -> list[int]:
    """Return the processes that were started under a mark in their environment, and are still there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def trained(
    job: TrainingJob, how: dict, fault: Fault = SOUND, victim: str = "", alone_with_loopback: bool = False,
    **variables: str,
) -> Ended:  # fmt: skip
    """Train in a process of its own, to the end of the last process that it started.

    Args:
        job: what is trained.
        how: fields of Launch.
        fault: of one rank.
        victim: word on the command line of the process that is killed once the fault has struck.
        alone_with_loopback: whether all other network is taken away.
        variables: of the environment.
    """
    mark, struck = uuid.uuid4().hex, Path(job.output).parent / "struck"
    struck.parent.mkdir(parents=True, exist_ok=True)
    struck.unlink(missing_ok=True)
    given = {"job": job.to_json(), "how": how, "fault": vars(replace(fault, struck=str(struck)))}
    path = os.pathsep.join([str(ROOT), str(ROOT / "lib")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MARK": mark, **variables}
    began = time.time()
    command = [sys.executable, "-m", "tests.faults.broken_training", json.dumps(given)]
    if alone_with_loopback:
        command = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
    )  # fmt: skip
    if victim:
        _kill(child, victim, struck, mark)
    try:
        out, err = child.communicate(timeout=MOST_S)
        while left_of(mark):
            assert time.time() - began < MOST_S, left_of(mark)
            time.sleep(0.1)
    finally:
        for pid in left_of(mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    since = struck.stat().st_mtime if struck.exists() else began
    return Ended(child.returncode, out, err, time.time() - since)


def _kill(child: "subprocess.Popen[str]", victim: str, struck: Path, mark: str) -> None:
    """Kill a process of the training once the fault has struck: the job itself, or one that it started."""
    while not struck.exists():
        assert child.poll() is None, child.communicate()
        time.sleep(0.05)
    if victim in " ".join(map(str, child.args)):
        child.kill()
        return
    found = [pid for pid in left_of(mark) if victim in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(found[0], signal.SIGKILL)


def launch_of(workers: int, launcher: str | None = None, **changes: int) -> dict:
    return {"workers": workers, "launcher": launcher or STARTS[workers], "stall_timeout_s": STALL_S, **changes}


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """Return the weights after a training that nothing disturbed, of one rank and of two."""
    folder = tmp_path_factory.mktemp("whole")
    return {
        workers: trained(write_job(folder, SETTINGS, name=str(workers)), launch_of(workers)).result()["weights"]
        for workers in STARTS
    }


def launched(folder: Path, workers: int, settings: Settings, **changes: tuple[Shard, ...]) -> dict:
    """Train without dropout, so that what differs is how the rows are shared alone."""
    shape = preset_shape("intent", NUM_ITEMS, FIELDS, width=16, dropout=0.0, id_drop=0.0)
    how = {**launch_of(1), "workers": workers, "launcher": "single" if workers == 1 else "local"}
    return trained(write_job(folder, settings, shape, str(workers), **changes), how).result()


@pytest.mark.parametrize(
    ("num_rows", "events_per_batch", "tolerance"), [(160, 2048, 1e-4), (1600, 512, 0.05)], ids=["whole", "shared"]
)
def test_one_two_and_four_ranks_learn_alike(tmp_path, num_rows, events_per_batch, tolerance) -> None:
    """A batch of all rows is summed in another order only; smaller ones hold other rows, as other seeds would give."""
    settings = replace(SETTINGS, events_per_batch=events_per_batch, epochs=6, patience=6, stop_by="ndcg")
    rows, eighth = rows_of(num_rows, 8, seed=1), num_rows // 8
    train = (write_shard(tmp_path / "many", "train", 8, rows, [eighth] * 8),)
    validation = (write_shard(tmp_path / "many", "validation", 8, rows_of(400, 8, seed=3), [100] * 4),)
    alone, *together = [
        launched(tmp_path, workers, settings, train=train, validation=validation) for workers in (1, 2, 4)
    ]
    for several in together:
        assert sum(several["rows"]) == alone["rows"][0] == num_rows
        for one, other in zip(alone["losses"], several["losses"], strict=True):
            assert other == pytest.approx(one, rel=tolerance)
        assert several["ndcg"][-1] == pytest.approx(alone["ndcg"][-1], abs=tolerance)
    last = ["{:.4f}, {:.4f}, {:.4f}".format(*told["losses"][-1], told["ndcg"][-1]) for told in (alone, *together)]
    print(f"\n{events_per_batch} events a batch, last losses (train, validation) and NDCG@10: {'; '.join(last)}")


def tell(what: str, ended: Ended, after: str) -> None:
    said = reason_of(ended.err) if ended.err.strip() else "nothing said"
    print(f"\n{what}: exit code {ended.code}, all gone after {ended.seconds:.1f} s ({said}); run again: {after}")


def run_again(job: TrainingJob, how: dict, wanted: str, epoch: int) -> str:
    """Train the job once more, without a fault; it must go on from the checkpoint of an epoch and end as ``wanted``."""
    again = trained(job, how).result()
    assert (again["weights"], again["resumed_after"]) == (wanted, epoch)
    return f"exit code 0, from the checkpoint of epoch {epoch}, weights as undisturbed"


@pytest.mark.parametrize(
    ("workers", "rank", "kind", "said"),
    [
        (1, 0, "kill", ""),
        (1, 0, "raise", "rank 0 of 1: RuntimeError: the cable was cut"),
        (1, 0, "memory", "rank 0 of 1: RuntimeError"),
        (2, 0, "kill", "a rank of 2 died"),
        (2, 1, "kill", "a rank of 2 died"),
        (2, 1, "raise", "rank 1 of 2: RuntimeError: the cable was cut"),
        (2, 0, "memory", "rank 0 of 2: RuntimeError"),
        (2, 1, "stop", "a rank of 2 died or waited longer than 8 s"),
        (2, 0, "sleep", "a rank of 2 died or waited longer than 8 s"),
    ],
)
def test_a_rank_that_fails_ends_all_and_the_next_run_goes_on(tmp_path, whole, workers, rank, kind, said) -> None:
    job, how = write_job(tmp_path, SETTINGS), launch_of(workers)
    ended = trained(job, how, Fault(kind, rank, IN_EPOCH_2[workers]))
    assert ended.code == (-9 if (workers, kind) == (1, "kill") else 4), ended.err  # a process alone shows its own end
    assert ended.seconds < (30 + STALL_S if kind in ("stop", "sleep") else 30)
    assert said in ended.err
    tell(f"rank {rank} of {workers}, {kind}", ended, run_again(job, how, whole[workers], 1))


@pytest.mark.parametrize("workers", STARTS)
@pytest.mark.parametrize(
    ("place", "epoch"),
    [("checkpoint:before_rename#2", 1), ("checkpoint:after_rename#2", 2), ("model:before_rename", 4)],
)
def test_a_kill_while_files_are_put_in_their_place_loses_no_checkpoint(tmp_path, whole, workers, place, epoch) -> None:
    job, how = write_job(tmp_path, SETTINGS), launch_of(workers)
    ended = trained(job, how, INTENTREC_CRASH_AT=place)
    assert ended.code == (-9 if workers == 1 else 4), ended.err
    tell(f"{workers} ranks, killed at {place}", ended, run_again(job, how, whole[workers], epoch))


@pytest.mark.parametrize("workers", STARTS)
@pytest.mark.parametrize("kind", ["data", "loss", "gradient"])
def test_what_is_not_finite_on_one_rank_is_skipped_and_counted_on_all(tmp_path, workers, kind) -> None:
    job, how = write_job(tmp_path, SETTINGS), launch_of(workers)
    ended = trained(job, how, Fault(kind, workers - 1, IN_EPOCH_2[workers]))
    told = ended.result()
    assert told["skipped"] == [0, 1, 0, 0]
    print(f"\n{workers} ranks, {kind} not finite on rank {workers - 1}: exit code 0, the step skipped on all ranks")


@pytest.mark.parametrize("workers", STARTS)
def test_too_many_such_steps_in_a_row_stop_and_keep_the_checkpoint(tmp_path, whole, workers) -> None:
    job, how = write_job(tmp_path, SETTINGS), launch_of(workers)
    ended = trained(job, how, Fault("gradient", workers - 1, EPOCH_2[workers], steps=4))
    assert ended.code == 4
    assert "4 steps in a row had a loss or gradient that is not finite" in reason_of(ended.err)
    tell(f"{workers} ranks, 4 steps not finite", ended, run_again(job, how, whole[workers], 1))


@pytest.mark.parametrize("workers", STARTS)
def test_a_full_disk_at_a_checkpoint_is_named_and_with_room_the_next_run_goes_on(tmp_path, whole, workers) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        job, how = write_job(disk, SETTINGS), launch_of(workers)
        filler = disk / "filler"
        (disk / "run").mkdir()
        filler.write_bytes(b"0" * (shutil.disk_usage(disk).free - 700_000))  # a checkpoint takes 450,000 bytes
        ended = trained(job, how)
        assert ended.code == 7, ended.err
        assert "cannot be written (No space left on device)" in reason_of(ended.err)
        filler.unlink()
        tell(f"{workers} ranks, disk full", ended, run_again(job, how, whole[workers], 1))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_taken_ports_are_passed_over(tmp_path, whole) -> None:
    ended = trained(write_job(tmp_path, SETTINGS), launch_of(2), Fault("ports"))
    assert ended.result()["weights"] == whole[2]
    print("\n50 ports taken from the first that is tried: exit code 0, weights as undisturbed")


def test_loopback_is_interface_enough(tmp_path, whole) -> None:
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network can be taken away here")
    for launcher in ("local", "spark"):
        job = write_job(tmp_path, SETTINGS, name=launcher)
        ended = trained(job, launch_of(2, launcher), alone_with_loopback=True)
        assert ended.result()["weights"] == whole[2]
    print("\nno network but loopback: exit code 0 by horovodrun and on Spark, weights as undisturbed")


def test_a_rank_that_does_not_start_is_not_waited_for(tmp_path) -> None:
    job, how = write_job(tmp_path, SETTINGS), launch_of(2, start_timeout_s=20, stall_timeout_s=60)
    ended = trained(job, how, Fault("late", 1))
    assert ended.code == 7, ended.err
    assert "2 ranks did not start in 20 s" in reason_of(ended.err)
    assert ended.seconds < 20 + 30
    tell("a rank that does not start", ended, "not tried")


def test_a_killed_job_leaves_no_ranks_behind(tmp_path, whole) -> None:
    job, how = write_job(tmp_path, SETTINGS), launch_of(2)
    ended = trained(job, how, Fault("slow", 0, IN_EPOCH_2[2], steps=100), victim="broken_training")
    assert ended.code == -9
    assert ended.seconds < 30
    tell("the job killed with its ranks at work", ended, run_again(job, how, whole[2], 1))


@pytest.mark.parametrize("kind", ["kill", "stop"])
def test_ranks_on_spark_end_as_those_of_horovodrun(tmp_path, whole, kind) -> None:
    job, how = write_job(tmp_path, SETTINGS), launch_of(2, "spark")
    ended = trained(job, how, Fault(kind, 1, IN_EPOCH_2[2]))
    assert ended.code == 4, ended.err
    assert "a rank of 2 died" in reason_of(ended.err)
    assert ended.seconds < (30 + STALL_S if kind == "stop" else 30)
    tell(f"rank 1 of 2 on Spark, {kind}", ended, run_again(job, how, whole[2], 1))


def test_a_dead_jvm_ends_the_ranks(tmp_path, whole) -> None:
    job, how = write_job(tmp_path, SETTINGS), launch_of(2, "spark")
    ended = trained(job, how, Fault("slow", 0, IN_EPOCH_2[2], steps=100), victim="org.apache.spark")
    assert ended.code == 4, ended.err
    assert ended.seconds < 30
    tell("Spark's JVM killed under its ranks", ended, run_again(job, how, whole[2], 1))
