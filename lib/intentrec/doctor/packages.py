"""Python, its packages, and the pairs of versions that are known to break each other."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata

from intentrec.doctor.findings import Finding, failed, passed, warned

_Version = tuple[int, ...]
INSTALL = "run `make install`, which installs deploy/requirements.lock"
# The versions that were run together; another one may work, and nobody has seen it.
_RUN_WITH = {
    "pyspark": "4.0.5", "delta-spark": "4.0.1", "petastorm": "0.12.1", "pyarrow": "14.0.2", "numpy": "1.26.4",
    "pandas": "2.3", "torch": "2.13.0", "horovod": "0.28.1", "pydantic": "2", "pyyaml": "6", "rich": "13",
    "safetensors": "0.4", "matplotlib": "3.9", "jinja2": "3.1",
}  # fmt: skip
_Conflict = tuple[str, Callable[[_Version], bool], str, str]
_CONFLICTS: tuple[_Conflict, ...] = (
    (
        "pyarrow",
        lambda v: v >= (15,),
        "breaks petastorm 0.12 (ParquetDataset lacks validate_schema)",
        "pyarrow==14.0.2",
    ),
    ("pyarrow", lambda v: v < (11,), "is too old for pyspark 4", "pyarrow==14.0.2"),
    ("numpy", lambda v: v >= (2,), "breaks pyarrow 14 at its import", "numpy==1.26.4"),
    ("pandas", lambda v: v >= (3,), "removed names that pyspark 4.0 imports", "pandas>=2.3,<3"),
    ("petastorm", lambda v: v >= (0, 13), "wants setuptools<70, torch 2.13 wants 77 or later", "petastorm==0.12.1"),
    ("pyspark", lambda v: v[:2] != (4, 0), "does not fit delta-spark 4.0.1, made for Spark 4.0", "pyspark==4.0.5"),
    ("delta-spark", lambda v: v[:2] != (4, 0), "does not fit pyspark 4.0", "delta-spark==4.0.1"),
    ("pydantic", lambda v: v < (2,), "is too old for the config", "pydantic>=2.9,<3"),
)


def installed() -> dict[str, str | None]:
    """Return name: version of what we need; None where it is missing."""
    return {name: _version_of(name) for name in _RUN_WITH}


def _version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_python(version: _Version = sys.version_info[:3]) -> Finding:
    """Want Python 3.11, for which the lock is written; 3.12, which Databricks has, may work and nobody has seen it."""
    text = ".".join(map(str, version))
    if version[:2] == (3, 11):
        return passed("python", f"{text} at {sys.executable}")
    if version[:2] == (3, 12):
        remedy = "nothing where the platform brings it; else make the environment anew: make PYTHON=python3.11"
        return warned("python", f"is {text}, not tested here: nights were run with 3.11", remedy)
    return failed("python", f"is {text}, wanted 3.11", "make the environment with python3.11: make PYTHON=python3.11")


def check_packages(versions: Mapping[str, str | None], ranks: int) -> Iterator[Finding]:
    """Name what is missing, conflicts, and what differs from the versions that were run together.

    Args:
        versions: name: version, or None where it is missing.
        ranks: ``training.workers``; with one rank Horovod is not needed.
    """
    faults = 0
    for name, version in versions.items():
        if version is None and not (name == "horovod" and ranks == 1):
            faults += 1
            yield failed("packages", f"{name} is not installed", INSTALL)
    for name, is_bad, why, wanted in _CONFLICTS:
        version = versions.get(name)
        if version is not None and is_bad(_numbers(version)):
            faults += 1
            yield failed("packages", f"{name} {version} {why}", f"install {wanted}, or {INSTALL}")
    if faults:
        return
    others = [f"{name} {version}" for name, version in versions.items() if version and not _was_run(name, version)]
    if others:
        yield warned("packages", f"not the versions that were run together: {', '.join(others)}", INSTALL)
    else:
        core = ("pyspark", "delta-spark", "petastorm", "pyarrow", "numpy", "torch")
        yield passed("packages", ", ".join(f"{name} {versions[name]}" for name in core if versions.get(name)))


def _was_run(name: str, version: str) -> bool:
    wanted = _RUN_WITH.get(name, "0")
    exact = wanted.count(".") == 2
    return _numbers(version) == _numbers(wanted) if exact else _numbers(version) >= _numbers(wanted)


def _numbers(version: str) -> _Version:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])
