"""What horovodrun shows to others: its servers on loopback alone, its command lines without what may be secret."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
_FILE = "environment.json"
# What a Python has to know before it can read a file of ours. Everybody on a machine can read command lines.
_BEFORE_START = re.compile(
    r"(PATH|HOME|USER|SHELL|LANG|LC_\w+|TZ|TMPDIR|PYTHON\w+|VIRTUAL_ENV|LD_\w+|HOROVOD_\w+|OMP_\w+|MKL_\w+|KMP_\w+|"
    r"CUDA_\w+|NCCL_\w+|NVIDIA_\w+|MALLOC_\w+)"
)


@contextmanager
def on_loopback() -> Iterator[None]:
    """Let Horovod's servers listen at 127.0.0.1: what stands in them is unpickled, and they ask nobody who he is."""
    from horovod.runner.http import http_server

    find = http_server.find_port

    def found(make: Callable[[tuple[str, int]], Any]) -> Any:
        return find(lambda address: make((HOST, address[1])))

    http_server.find_port = found
    try:
        yield
    finally:
        http_server.find_port = find


@contextmanager
def few_variables(folder: Path, own: dict[str, str]) -> Iterator[None]:
    """Keep of the environment what ranks need to start and ``own``; ``take_environment`` gives them the rest.

    Args:
        folder: that the ranks see; the file in it can be read by this user alone, and is gone afterwards.
        own: variables that join it.
    """
    before, file = dict(os.environ), folder / _FILE
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as rest:
        json.dump({**before, **own}, rest)
    kept = {name: value for name, value in before.items() if _BEFORE_START.fullmatch(name)}
    os.environ.clear()
    os.environ.update({**kept, **own})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        file.unlink(missing_ok=True)


def take_environment(folder: Path) -> None:
    """Give a rank what its command line left out; what it was started with stays."""
    file = folder / _FILE
    if file.is_file():
        os.environ.update({**json.loads(file.read_text()), **os.environ})
