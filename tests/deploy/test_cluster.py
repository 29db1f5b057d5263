"""The script without its cluster, which is started in tests/faults/test_cluster.py."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "cluster.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("cluster_under_test", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "START_S", 2)
    return module


@contextmanager
def running(workers: int, cores: int, memory: str):
    yield f"spark://host:{workers}{cores}{memory}"


def test_the_command_gets_the_address_and_its_exit_code_is_the_scripts(script, monkeypatch, capfd) -> None:
    monkeypatch.setattr(script, "cluster", running)
    told = "import os, sys; print(sys.argv[1], os.environ['SPARK_LOCAL_IP']); sys.exit(5)"
    flags = ["--workers", "3", "--cores", "2", "--memory", "1g"]
    assert script.main([*flags, "--", sys.executable, "-c", told, "to={master}"]) == 5
    assert capfd.readouterr().out == "to=spark://host:321g 127.0.0.1\n"


def test_a_command_that_does_not_exist_is_named(script, monkeypatch, capsys) -> None:
    monkeypatch.setattr(script, "cluster", running)
    assert script.main(["--", "no-such-command", "{master}"]) == 2
    assert capsys.readouterr().err == "cluster.py: no-such-command: No such file or directory\n"


def test_sigterm_ends_the_command_and_then_the_cluster(tmp_path) -> None:
    told = tmp_path / "told"
    code = (
        "import contextlib, importlib.util, pathlib, sys\n"
        f"told = pathlib.Path({str(told)!r})\n"
        f"spec = importlib.util.spec_from_file_location('c', {str(SCRIPT)!r})\n"
        "script = importlib.util.module_from_spec(spec); spec.loader.exec_module(script)\n"
        "@contextlib.contextmanager\n"
        "def cluster(*flags):\n"
        "    try:\n"
        "        yield 'spark://here'\n"
        "    finally:\n"
        "        told.write_text(told.read_text() + ' cluster ended')\n"
        "script.cluster = cluster\n"
        "sleeper = 'import pathlib, os, time; '\n"
        "sleeper += f'pathlib.Path({str(told)!r}).write_text(str(os.getpid())); time.sleep(60)'\n"
        "sys.exit(script.main(['--', sys.executable, '-c', sleeper]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 30
    while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(30) == 143
    pid, _, rest = told.read_text().partition(" ")
    assert rest == "cluster ended"
    assert not Path("/proc", pid).exists()


def test_without_a_command_the_flags_are_refused(script, capsys) -> None:
    assert script.main(["--workers", "3"]) == 2
    assert capsys.readouterr().err == "cluster.py: no command; write it after --\n"


def test_a_master_that_ends_at_once_is_an_error_of_the_environment(script, monkeypatch, capsys, tmp_path) -> None:
    home = tmp_path / "pyspark"
    (home / "bin").mkdir(parents=True)
    (home / "__init__.py").touch()
    run = home / "bin" / "spark-class"
    run.write_text("#!/bin/sh\necho JAVA_HOME is not set >&2\nexit 1\n")
    run.chmod(0o755)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(
        script, "find_spec", lambda name: importlib.machinery.PathFinder.find_spec(name, [str(tmp_path)])
    )
    assert script.main(["--", "true"]) == 7
    assert capsys.readouterr().err == ("the Spark cluster did not start with 2 workers in 2 s: JAVA_HOME is not set\n")
    assert subprocess.run(["pgrep", "-f", str(run)], capture_output=True, check=False).stdout == b""


def test_without_pyspark_the_package_is_named(script, monkeypatch, capsys) -> None:
    monkeypatch.setattr(script, "find_spec", lambda name: None)
    assert script.main(["--", "true"]) == 7
    assert "pyspark is not installed, wanted that of deploy/requirements.lock" in capsys.readouterr().err


def test_the_masters_page_tells_its_workers_and_silence_none(script) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"aliveworkers": 2}).encode())

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.handle_request).start()
        assert script.alive_workers(server.server_port) == 2
    assert script.alive_workers(script.free_port()) == 0


def test_a_python_that_is_given_stays(script, monkeypatch) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", "/image/bin/python")
    assert script.environment()["PYSPARK_PYTHON"] == "/image/bin/python"
    monkeypatch.delenv("PYSPARK_PYTHON")
    assert script.environment() == {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
