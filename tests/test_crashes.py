"""The places where the fault checks end a process."""

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from intentrec.crashes import CRASH_VARIABLE, commit_points, crash_point, file_points, layout_points

LIB = Path(__file__).parents[1] / "lib" / "intentrec"


def test_the_places_around_a_commit_and_a_rename_have_names() -> None:
    assert commit_points("items") == ["items:before_commit", "items:after_commit"]
    assert layout_points("events") == ["events:before_layout", "events:after_layout"]
    assert file_points("model") == ["model:before_sync", "model:before_rename", "model:after_rename"]


def writes(function: ast.FunctionDef) -> set[str]:
    """Name what a function does that a power cut could halve: commits, renames, fsyncs."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    methods = {call.func.attr: call for call in calls if isinstance(call.func, ast.Attribute)}
    found = {"rename", "fsync", "unset"} & methods.keys()  # a commit is signed, then the signature unset
    if "replace" in methods and len(methods["replace"].args) == 1 and not methods["replace"].keywords:
        found.add("replace")  # of a path; that of a text has two arguments
    return found


def test_every_commit_rename_and_fsync_of_the_package_has_its_crash_points() -> None:
    """Whoever writes calls crash_point himself, or is called between two of them."""
    # write_folder calls the first; the second leaves a note that only the launcher of this very training reads.
    around = {"_flush", "leave_failure"}
    found: dict[str, set[str]] = {}
    for file in LIB.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and writes(node) and node.name not in around:
                names = {call.func.id for call in ast.walk(node)
                         if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}  # fmt: skip
                found[f"{file.relative_to(LIB)}:{node.name}"] = names
    assert set(found) == {
        "io/warehouse.py:commit_to",
        "model/manifest.py:write_folder",
        "report/files.py:put_text",
    }
    assert all("crash_point" in names for names in found.values())


def test_a_point_that_is_not_named_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CRASH_VARIABLE, raising=False)
    crash_point("items:before_commit")
    monkeypatch.setenv(CRASH_VARIABLE, "items:after_commit")
    crash_point("items:before_commit")
    monkeypatch.setenv(CRASH_VARIABLE, "items:before_commit#999")
    crash_point("items:before_commit")


@pytest.mark.parametrize("times", [1, 2])
def test_a_named_point_kills_the_process_without_any_cleaning_up(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setenv(CRASH_VARIABLE, "items:before_commit" if times == 1 else "items:before_commit#2")
    code = (
        "import atexit; from intentrec.crashes import crash_point; atexit.register(print, 'cleaned up')\n"
        "for number in (1, 2):\n"
        "    try:\n        crash_point('items:before_commit')\n"
        "    except BaseException:\n        print('cleaned up')\n"
        "    print('passed', number, flush=True)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "passed 1\n" * (times - 1))
