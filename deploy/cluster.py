"""Run a command beside a Spark cluster of its own on this machine: one master, several workers, on loopback alone.

    .venv/bin/python deploy/cluster.py [--workers 2] [--cores 1] [--memory 2g] -- COMMAND ...

{master} in the command becomes the cluster's address; SPARK_LOCAL_IP and PYSPARK_PYTHON are set for it. The cluster is
the one that the installed pyspark brings; it ends with the command, whose exit code is this script's. Exit code 7 where
it does not start.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

HOST = "127.0.0.1"
EXIT_SETUP = 7
START_S = 60
STOP_S = 10


class SetupError(Exception):
    """The cluster does not start; the message is one line for people."""


def main(argv: Sequence[str] | None = None) -> int:
    """Start the cluster, run the command, end the cluster; return the exit code."""
    flags = _parser().parse_args(argv)
    words = flags.command[1:] if flags.command[:1] == ["--"] else flags.command
    if not words:
        print("cluster.py: no command; write it after --", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _end)  # else the cluster would outlive this script, and the command it
    try:
        with cluster(flags.workers, flags.cores, flags.memory) as master:
            command = [word.replace("{master}", master) for word in words]
            return _run(command)
    except OSError as error:
        print(f"cluster.py: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except SetupError as error:
        print(error, file=sys.stderr)
        return EXIT_SETUP


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _run(command: Sequence[str]) -> int:
    """Return the command's exit code; it ends when this script is ended."""
    process = subprocess.Popen(command, env=environment())
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def cluster(workers: int, cores: int, memory: str) -> Iterator[str]:
    """Yield the address of a cluster that has all its workers.

    Args:
        workers: processes that give room to executors.
        cores: task slots of each.
        memory: of each, as Spark writes it: 2g.

    Raises:
        SetupError: Java or Spark is missing, or not all workers reported in a minute.
    """
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder:
        started: list[subprocess.Popen[bytes]] = []
        log = Path(folder, "log")
        try:
            port, page = free_port(), free_port()
            master = f"spark://{HOST}:{port}"
            own = ["--host", HOST, "--port", str(port), "--webui-port", str(page)]
            started.append(_start("org.apache.spark.deploy.master.Master", own, log))
            for number in range(workers):
                room = ["--cores", str(cores), "--memory", memory, "--work-dir", f"{folder}/worker-{number}"]
                place = ["--host", HOST, "--webui-port", "0", master]
                started.append(_start("org.apache.spark.deploy.worker.Worker", [*room, *place], log))
            _await_workers(workers, page, started, log)
            yield master
        finally:
            _stop(started)


def environment() -> dict[str, str]:
    """Return the environment in which the cluster, its driver and its Python run: on loopback, with this Python."""
    return {"PYSPARK_PYTHON": sys.executable, **os.environ, "SPARK_LOCAL_IP": HOST}


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as place:
        place.bind((HOST, 0))
        return int(place.getsockname()[1])


def alive_workers(page: int) -> int:
    """Return how many workers the master knows; 0 while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{page}/json/", timeout=2) as answer:
            return int(json.load(answer)["aliveworkers"])
    except (OSError, ValueError, KeyError):
        return 0


def _await_workers(workers: int, page: int, started: Sequence[subprocess.Popen[bytes]], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while alive_workers(page) < workers:
        if time.monotonic() > deadline or any(process.poll() is not None for process in started):
            said = log.read_text(errors="replace").strip().splitlines() or ["nothing was said"]
            raise SetupError(f"the Spark cluster did not start with {workers} workers in {START_S} s: {said[-1][:300]}")
        time.sleep(0.2)


def _start(kind: str, flags: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise SetupError(f"{sys.executable}: pyspark is not installed, wanted that of deploy/requirements.lock")
    home = Path(spec.origin).parent
    env = {**environment(), "SPARK_HOME": str(home), "SPARK_NO_DAEMONIZE": "1"}
    with log.open("ab") as said:
        return subprocess.Popen(
            [str(home / "bin" / "spark-class"), kind, *flags], stdout=said, stderr=said, env=env, start_new_session=True
        )


def _stop(started: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in reversed(started):
        process.terminate()
    for process in started:
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="deploy/cluster.py", description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="processes that give room to executors; 2")
    parser.add_argument("--cores", type=int, default=1, help="task slots of each; 1")
    parser.add_argument("--memory", default="2g", help="of each, as Spark writes it; 2g")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command; {master} is the address")
    return parser


if __name__ == "__main__":
    sys.exit(main())
