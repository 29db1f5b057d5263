"""Set up everything that `make demo` and `make test` need, in .venv at the root. Standard library only.

    python3.11 deploy/install.py

What the machine lacks is named before anything is downloaded, one line each, and the exit code is 7. A run that was
cut off goes on where it stopped; a finished one takes under two seconds. Packages come from deploy/requirements.lock,
with hashes; it names no index, so uv's own settings (UV_DEFAULT_INDEX, SSL_CERT_FILE) decide where from.
"""

from __future__ import annotations  # so that an older Python gets as far as saying that it is too old

import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from nccl import nccl_flags  # beside this file

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
LOCK = ROOT / "deploy" / "requirements.lock"
UV_LOCK = ROOT / "deploy" / "bootstrap.lock"
BIN = VENV / "bin"
STAMP = VENV / "intentrec-install.json"
EXIT_SETUP = 7
VENV_BYTES = 6_000_000_000  # measured 5.6 GB: torch brings the CUDA libraries
CACHE_BYTES = 6_000_000_000  # uv keeps the same files; on one disk it links them, but unpacks beside them first
HOROVOD_FLAGS = {
    **dict.fromkeys(("HOROVOD_WITH_PYTORCH", "HOROVOD_WITH_GLOO", "HOROVOD_WITHOUT_MPI"), "1"),
    **dict.fromkeys(("HOROVOD_WITHOUT_TENSORFLOW", "HOROVOD_WITHOUT_MXNET"), "1"),
    "CMAKE_POLICY_VERSION_MINIMUM": "3.5",  # CMake 4 refuses Horovod's cmake_minimum_required otherwise
}
DELTA_JAR = "io.delta_delta-spark_2.13-4.0.1.jar"
START_SPARK = (
    "from delta import configure_spark_with_delta_pip as c; from pyspark.sql import SparkSession as S;"
    "c(S.builder.master('local[1]').config('spark.ui.enabled', 'false')).getOrCreate().stop()"
)


class SetupError(Exception):
    """Something the machine lacks; the message is one line for people."""


def main() -> int:
    """Set up what is missing; return the exit code."""
    try:
        missing = missing_tools()
        if not missing and is_done():
            return 0
        missing += missing_for_build()
        if missing:
            raise SetupError("\n".join(missing))
        install()
    except SetupError as error:
        print(error, file=sys.stderr)
        return EXIT_SETUP
    return 0


def missing_tools() -> list[str]:
    """Return one line for each thing that every run needs and the machine lacks."""
    return [*python_problem(sys.version_info[:2]), *java_problem(os.environ)]


def missing_for_build() -> list[str]:
    """Return one line for each thing that only a first set-up needs and the machine lacks."""
    return [*compiler_problems(), *venv_problem(), *write_problem(ROOT), *disk_problems()]


def python_problem(version: tuple[int, ...]) -> list[str]:
    """Say that this is not the Python the packages are pinned for."""
    if version == (3, 11):
        return []
    found = f"python: {sys.executable} is {version[0]}.{version[1]}, wanted 3.11, which all pins are for"
    return [f"{found}: install Python 3.11, or name it with `make PYTHON=/path/to/python3.11`"]


def java_problem(environ: os._Environ[str] | dict[str, str]) -> list[str]:
    """Say that Spark would find no Java 17; it takes JAVA_HOME first, then the PATH."""
    home = environ.get("JAVA_HOME", "")
    java = f"{home}/bin/java" if home else shutil.which("java", path=environ.get("PATH"))
    named = f"JAVA_HOME={home or '(not set)'}"
    if java is None or not os.access(java, os.X_OK):
        return [f"java: none found with {named}, wanted Java 17: install a JDK 17 and set JAVA_HOME to its folder"]
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "([^"]+)"', said.stderr + said.stdout)
    version = found.group(1) if found else "of an unknown version"
    if version.split(".")[0] == "17":
        return []
    return [f"java: {java} is {version} with {named}, wanted Java 17: install a JDK 17 and set JAVA_HOME to its folder"]


def compiler_problems() -> list[str]:
    """Say which of the tools that build Horovod from its source is not on the PATH."""
    return [
        f"{tool}: not on the PATH, wanted to build Horovod 0.28.1: install it, for example `apt-get install {package}`"
        for tool, package in (("cmake", "cmake"), ("g++", "g++"))
        if shutil.which(tool) is None
    ]


def venv_problem() -> list[str]:
    """Say that this Python cannot make a virtual environment; Debian splits that off."""
    found = f"python: {sys.executable} lacks venv and ensurepip, wanted to make .venv"
    there = find_spec("venv") and find_spec("ensurepip")
    return [] if there else [f"{found}: install them, for example `apt-get install python3.11-venv`"]


def write_problem(root: Path) -> list[str]:
    """Say that .venv cannot be written."""
    place = root / ".venv" if (root / ".venv").exists() else root
    if os.access(place, os.W_OK | os.X_OK):
        return []
    return [f"{place}: not writable, wanted to keep the packages there: change its owner, or check out elsewhere"]


def disk_problems() -> list[str]:
    """Say which disk is too small for what is still to be installed."""
    needs = {} if (site_packages() / "torch").exists() else {VENV: VENV_BYTES, uv_cache(): CACHE_BYTES}
    return too_small(needs)


def too_small(needs: dict[Path, int]) -> list[str]:
    """Return one line for each disk that has less free than its folders need together."""
    by_disk: dict[int, list[Path]] = {}
    for folder in needs:
        by_disk.setdefault(_existing(folder).stat().st_dev, []).append(folder)
    problems = []
    for folders in by_disk.values():
        free = shutil.disk_usage(_existing(folders[0])).free
        wanted = sum(needs[folder] for folder in folders)
        if free < wanted:
            problems.append(
                f"disk: {' and '.join(map(str, folders))} have {free:,} bytes free, wanted {wanted:,}: "
                "free some, or put uv's cache on another disk with UV_CACHE_DIR"
            )
    return problems


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def user_cache() -> Path:
    """Return the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def uv_cache() -> Path:
    """Return the folder where uv keeps what it downloaded."""
    return Path(os.environ.get("UV_CACHE_DIR") or user_cache() / "uv")


def site_packages() -> Path:
    """Return where .venv keeps its packages."""
    return VENV / "lib" / "python3.11" / "site-packages"


def fingerprint() -> str:
    """Return a hash of all that decides what .venv holds; it knows its own place, for .venv cannot be moved."""
    files = [LOCK, UV_LOCK, ROOT / "pyproject.toml", Path(__file__), Path(__file__).with_name("nccl.py")]
    parts = [*(file.read_bytes() for file in files), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_done() -> bool:
    """Return whether an earlier run finished with the same lock at the same place, and Delta's jars are there."""
    there = STAMP.exists() and (BIN / "python").exists()
    return there and json.loads(STAMP.read_text()).get("fingerprint") == fingerprint() and has_jars()


def has_jars() -> bool:
    """Return whether Delta's jars are in the Ivy cache, whose folder's name carries Ivy's version."""
    return any(users_home().glob(f".ivy2*/jars/{DELTA_JAR}"))


def users_home() -> Path:
    """Return the user's home as the JVM sees it."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:  # a container's user without a name
        return Path.home()


def install() -> None:
    """Run the steps in order; each one alone notices what is there already."""
    STAMP.unlink(missing_ok=True)
    _step("python environment", make_venv)
    _step("packages", install_packages)
    _step("horovod (compiled once, 2 to 5 minutes, then kept)", install_horovod)
    _step("intentrec", install_intentrec)
    _step("Delta's jars", warm_jars)
    STAMP.write_text(json.dumps({"fingerprint": fingerprint()}))


def _step(name: str, body: Callable[[], None]) -> None:
    started = time.monotonic()
    print(f"set-up: {name} ...", flush=True)
    body()
    print(f"set-up: {name}: {time.monotonic() - started:.1f} s", flush=True)


def make_venv() -> None:
    """Make .venv, and a small one inside it that holds uv alone."""
    if not (BIN / "python").exists():
        run([sys.executable, "-m", "venv", "--without-pip", str(VENV)])
    if uv_works((tool := VENV / "uv-tool") / "bin" / "uv"):
        return
    run([sys.executable, "-m", "venv", "--clear", str(tool)])
    pip = [str(tool / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--require-hashes", "--requirement", str(UV_LOCK)])


def uv_works(uv: Path) -> bool:
    """Return whether uv is there in the pinned version."""
    pinned = re.search(r"^uv==(\S+)", UV_LOCK.read_text(), re.MULTILINE)
    if not uv.exists() or pinned is None:
        return False
    said = subprocess.run([str(uv), "--version"], capture_output=True, text=True, check=False).stdout
    return pinned.group(1) in said.split()


def install_packages() -> None:
    """Install the lock without Horovod, which has to meet the torch that is installed."""
    # Bytecode: with PYTHONDONTWRITEBYTECODE, as in many images, every rank would compile torch anew, 3 s.
    lock = write_lock(VENV / "packages.lock", horovod=False)
    uv_install("--compile-bytecode", "--require-hashes", "--no-deps", "--requirement", lock)


def install_horovod() -> None:
    """Build Horovod from its released source, once per torch: uv keeps the wheel in a cache of its own.

    CMake puts its own -std last and torch needs C++17, so the compiler is a wrapper that has the last word.
    """
    wrapper = VENV / "g++-17"
    wrapper.write_text('#!/bin/sh\nexec g++ "$@" -std=c++17\n')
    wrapper.chmod(0o755)
    flags = {**HOROVOD_FLAGS, **(nccl_flags(VENV) if shutil.which("nvcc") else {})}
    lock = write_lock(VENV / "horovod.lock", horovod=True)
    torch = re.findall(r"^torch==\S+", LOCK.read_text(), re.MULTILINE)
    identity = [Path(lock).read_text(), *torch, sys.version, json.dumps(flags, sort_keys=True)]
    key = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:16]
    cache = user_cache() / "intentrec" / f"horovod-{key}"  # uv's own key does not know which torch it was built for
    places = ("--cache-dir", str(cache), "--requirement", lock)
    uv_install("--require-hashes", "--no-deps", "--no-build-isolation", *places, environ={**flags, "CXX": str(wrapper)})


def install_intentrec() -> None:
    """Install this checkout itself, editable: Spark's workers and Horovod's ranks find it without PYTHONPATH."""
    uv_install("--no-deps", "--no-build-isolation", "--editable", str(ROOT))


def warm_jars() -> None:
    """Start Spark once, so that Ivy fetches Delta's jars."""
    if not has_jars():
        run([str(BIN / "python"), "-c", START_SPARK])


def write_lock(path: Path, horovod: bool) -> str:
    """Write the part of the lock that is Horovod, or all the rest; return its path."""
    blocks = re.split(r"\n(?=\S)", LOCK.read_text())
    path.write_text("\n".join(block for block in blocks if block.startswith("horovod==") is horovod) + "\n")
    return str(path)


def uv_install(*arguments: str, environ: dict[str, str] | None = None) -> None:
    """Install into .venv with its own uv."""
    uv = [str(VENV / "uv-tool" / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(BIN / "python")]
    run([*uv, *arguments], environ)


def run(command: list[str], environ: dict[str, str] | None = None) -> None:
    """Run a command quietly.

    Raises:
        SetupError: it failed; its output is kept in .venv/set-up.log and its last line is shown.
    """
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    known = {"UV_HTTP_TIMEOUT": "300", **os.environ, **(environ or {}), "PATH": path}
    done = subprocess.run(command, env=known, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        VENV.mkdir(exist_ok=True)
        (log := VENV / "set-up.log").write_text(done.stdout)
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        raise SetupError(
            f"set-up: {Path(command[0]).name} ended with {done.returncode}: {lines[-1] if lines else 'no output'} "
            f"(all of it: {log}). Wanted it to end with 0: check the network and run again, it goes on from here"
        )


if __name__ == "__main__":
    sys.exit(main())
