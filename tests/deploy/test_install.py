"""What the machine lacks is named in one line each, before anything is downloaded; nothing is downloaded here."""

import importlib.util
import json
import os
import pwd
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

INSTALL = Path(__file__).resolve().parents[2] / "deploy" / "install.py"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module of its own, whose checkout is an empty folder."""
    monkeypatch.syspath_prepend(INSTALL.parent)
    spec = importlib.util.spec_from_file_location("install_under_test", INSTALL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    checkout = tmp_path / "checkout"
    (checkout / "deploy").mkdir(parents=True)
    (checkout / "pyproject.toml").write_text("")
    (checkout / "deploy" / "requirements.lock").write_text(
        "alpha==1.0 \\\n    --hash=sha256:aa\nhorovod==0.28.1 \\\n    --hash=sha256:bb\n"
        "torch==2.13.0 \\\n    --hash=sha256:cc\n"
    )
    (checkout / "deploy" / "bootstrap.lock").write_text("uv==0.13.8 \\\n    --hash=sha256:dd\n")
    monkeypatch.setattr(module, "ROOT", checkout)
    monkeypatch.setattr(module, "VENV", checkout / ".venv")
    monkeypatch.setattr(module, "BIN", checkout / ".venv" / "bin")
    monkeypatch.setattr(module, "STAMP", checkout / ".venv" / "intentrec-install.json")
    monkeypatch.setattr(module, "LOCK", checkout / "deploy" / "requirements.lock")
    monkeypatch.setattr(module, "UV_LOCK", checkout / "deploy" / "bootstrap.lock")
    return module


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def java(folder: Path, version: str) -> Path:
    return program(folder, "java", f"echo 'openjdk version \"{version}\" 2025-04-15' >&2")


def one_line(problems: list[str]) -> str:
    assert len(problems) == 1
    assert "\n" not in problems[0]
    return problems[0]


@pytest.mark.parametrize("version", [(3, 10), (3, 12), (2, 7)])
def test_another_python_is_named_with_what_to_do(install: ModuleType, version: tuple[int, int]) -> None:
    line = one_line(install.python_problem(version))
    assert f"is {version[0]}.{version[1]}, wanted 3.11" in line
    assert "make PYTHON=" in line


def test_python_3_11_is_right(install: ModuleType) -> None:
    assert install.python_problem((3, 11)) == []


def test_java_17_on_the_path_is_right(install: ModuleType, tmp_path: Path) -> None:
    java(tmp_path, "17.0.15")
    assert install.java_problem({"PATH": str(tmp_path)}) == []


def test_java_home_comes_before_the_path(install: ModuleType, tmp_path: Path) -> None:
    java(tmp_path / "path", "17.0.15")
    java(tmp_path / "home" / "bin", "21.0.1")
    line = one_line(install.java_problem({"PATH": str(tmp_path / "path"), "JAVA_HOME": str(tmp_path / "home")}))
    assert f"{tmp_path}/home/bin/java is 21.0.1 with JAVA_HOME={tmp_path}/home, wanted Java 17" in line
    assert "set JAVA_HOME" in line


@pytest.mark.parametrize(
    ("version", "found"), [("1.8.0_392", "1.8.0_392"), ("11.0.2", "11.0.2"), ("170.0.1", "170.0.1")]
)
def test_another_java_is_named(install: ModuleType, tmp_path: Path, version: str, found: str) -> None:
    java(tmp_path, version)
    assert f"is {found} with JAVA_HOME=(not set), wanted Java 17" in one_line(
        install.java_problem({"PATH": str(tmp_path)})
    )


def test_a_java_that_says_nothing_is_named(install: ModuleType, tmp_path: Path) -> None:
    program(tmp_path, "java", "exit 1")
    assert "of an unknown version" in one_line(install.java_problem({"PATH": str(tmp_path)}))


def test_no_java_at_all_is_named(install: ModuleType, tmp_path: Path) -> None:
    assert "java: none found with JAVA_HOME=(not set)" in one_line(install.java_problem({"PATH": str(tmp_path)}))
    line = one_line(install.java_problem({"PATH": str(tmp_path), "JAVA_HOME": "/nowhere"}))
    assert "java: none found with JAVA_HOME=/nowhere, wanted Java 17: install a JDK 17 and set JAVA_HOME" in line


@pytest.mark.parametrize(("there", "missing"), [(["g++"], "cmake"), (["cmake"], "g++")])
def test_a_missing_build_tool_is_named_with_its_package(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[str], missing: str
) -> None:
    for tool in there:
        program(tmp_path, tool, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    line = one_line(install.compiler_problems())
    assert line.startswith(f"{missing}: not on the PATH, wanted to build Horovod 0.28.1")
    assert f"`apt-get install {missing}`" in line


def test_a_python_without_venv_is_named(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert install.venv_problem() == []
    monkeypatch.setattr(install, "find_spec", lambda name: None if name == "ensurepip" else object())
    assert "apt-get install python3.11-venv" in one_line(install.venv_problem())


def test_a_folder_that_cannot_be_written_is_named(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert install.write_problem(tmp_path) == []
    (tmp_path / ".venv").mkdir()
    monkeypatch.setattr(
        install.os, "access", lambda place, mode: place != tmp_path / ".venv"
    )  # root may write anywhere
    assert one_line(install.write_problem(tmp_path)).startswith(f"{tmp_path}/.venv: not writable")


def test_a_small_disk_is_named_with_its_folders_and_both_sizes(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 11_999})())
    needs = {tmp_path / "venv": 6_000, tmp_path / "not" / "yet" / "there": 6_000}  # one disk: the needs add up
    line = one_line(install.too_small(needs))
    assert f"disk: {tmp_path}/venv and {tmp_path}/not/yet/there have 11,999 bytes free, wanted 12,000" in line
    assert "UV_CACHE_DIR" in line
    assert install.too_small({tmp_path: 11_999}) == []


def test_the_disk_is_not_asked_for_what_is_installed_already(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 0})())
    assert one_line(install.disk_problems()).startswith("disk: ")
    (install.site_packages() / "torch").mkdir(parents=True)
    assert install.disk_problems() == []


def test_uv_keeps_its_files_where_its_own_settings_say(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert install.uv_cache() == Path("/cache/uv")
    monkeypatch.setenv("UV_CACHE_DIR", "/big/uv")
    assert install.uv_cache() == Path("/big/uv")


def test_all_that_is_missing_is_said_at_once_and_nothing_is_installed(tmp_path: Path) -> None:
    sh = tmp_path / "bin"
    sh.mkdir()
    environ = {**os.environ, "PATH": str(sh), "JAVA_HOME": "/nowhere"}
    copy = tmp_path / "checkout" / "deploy" / "install.py"
    copy.parent.mkdir(parents=True)
    copy.write_text(INSTALL.read_text())
    copy.with_name("nccl.py").write_text(INSTALL.with_name("nccl.py").read_text())
    done = subprocess.run([sys.executable, str(copy)], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["java", "cmake", "g++"]
    assert done.stdout == ""
    assert not (tmp_path / "checkout" / ".venv").exists()


def test_the_lock_is_split_into_horovod_and_the_rest(install: ModuleType, tmp_path: Path) -> None:
    rest = Path(install.write_lock(tmp_path / "rest", horovod=False)).read_text()
    alone = Path(install.write_lock(tmp_path / "alone", horovod=True)).read_text()
    assert rest.split() == ["alpha==1.0", "\\", "--hash=sha256:aa", "torch==2.13.0", "\\", "--hash=sha256:cc"]
    assert alone.split() == ["horovod==0.28.1", "\\", "--hash=sha256:bb"]


def test_horovod_is_built_with_the_wrapper_and_a_cache_that_knows_its_torch(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(install, "run", lambda command, environ=None: calls.append((command, environ or {})))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(install.shutil, "which", lambda tool: None)
    install.VENV.mkdir()
    install.install_horovod()
    install.LOCK.write_text(install.LOCK.read_text().replace("torch==2.13.0", "torch==2.14.0"))
    install.install_horovod()
    monkeypatch.setattr(install.shutil, "which", lambda tool: "/usr/bin/nvcc")
    install.install_horovod()
    caches = [command[command.index("--cache-dir") + 1] for command, _ in calls]
    assert len(set(caches)) == 3
    assert all(cache.startswith(f"{tmp_path}/cache/intentrec/horovod-") for cache in caches)
    assert Path(calls[0][1]["CXX"]).read_text() == '#!/bin/sh\nexec g++ "$@" -std=c++17\n'
    assert os.access(calls[0][1]["CXX"], os.X_OK)
    assert calls[0][1]["HOROVOD_WITH_PYTORCH"] == "1"
    assert "HOROVOD_GPU_OPERATIONS" not in calls[0][1]
    assert calls[2][1]["HOROVOD_GPU_OPERATIONS"] == "NCCL"
    assert {"--require-hashes", "--no-build-isolation", "--no-deps"} <= set(calls[0][0])


def test_a_command_that_fails_is_one_line_with_its_last_words_and_a_log(install: ModuleType, tmp_path: Path) -> None:
    failing = program(tmp_path, "tool", "echo first; echo no such index >&2; exit 3")
    with pytest.raises(install.SetupError) as refused:
        install.run([str(failing)])
    assert str(refused.value).startswith("set-up: tool ended with 3: no such index (all of it: ")
    assert "\n" not in str(refused.value)
    assert (install.VENV / "set-up.log").read_text() == "first\nno such index\n"


def test_a_finished_set_up_is_done_until_the_lock_or_the_place_changes(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "has_jars", lambda: True)
    assert not install.is_done()
    program(install.BIN, "python", "exit 0")
    install.STAMP.write_text(json.dumps({"fingerprint": install.fingerprint()}))
    assert install.is_done()
    with monkeypatch.context() as without_jars:
        without_jars.setattr(install, "has_jars", lambda: False)
        assert not install.is_done()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(install, "ROOT", tmp_path)
        (tmp_path / "pyproject.toml").write_text("")
        assert not install.is_done()
    install.LOCK.write_text("torch==2.14.0\n")
    assert not install.is_done()


def test_the_steps_run_in_order_and_a_cut_off_run_leaves_no_stamp(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []
    install.VENV.mkdir()
    for step in ("make_venv", "install_packages", "install_horovod", "install_intentrec"):
        monkeypatch.setattr(install, step, lambda step=step: done.append(step))
    monkeypatch.setattr(install, "warm_jars", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        install.install()
    assert not install.STAMP.exists()
    monkeypatch.setattr(install, "warm_jars", lambda: done.append("warm_jars"))
    install.install()
    assert done[-5:] == ["make_venv", "install_packages", "install_horovod", "install_intentrec", "warm_jars"]
    assert install.STAMP.exists()
    assert re.search(r"set-up: packages: \d+\.\d s\n", capsys.readouterr().out)


def test_jars_that_are_there_are_not_fetched(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(install, "run", calls.append)
    monkeypatch.setattr(install, "users_home", lambda: tmp_path)
    install.warm_jars()
    (tmp_path / ".ivy2.5.2" / "jars").mkdir(parents=True)
    (tmp_path / ".ivy2.5.2" / "jars" / install.DELTA_JAR).write_text("")
    install.warm_jars()
    assert len(calls) == 1


def test_the_jar_that_is_looked_for_is_that_of_the_pinned_delta(install: ModuleType) -> None:
    lock = (INSTALL.parent / "requirements.lock").read_text()
    version = re.search(r"^delta-spark==(\S+)", lock, re.MULTILINE)
    assert version is not None
    assert f"io.delta_delta-spark_2.13-{version.group(1)}.jar" == install.DELTA_JAR


def test_the_home_is_the_one_that_java_sees_and_not_home(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/elsewhere")
    assert install.users_home() == Path(pwd.getpwuid(os.getuid()).pw_dir)

    def nameless(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr(install.pwd, "getpwuid", nameless)
    assert install.users_home() == Path("/elsewhere")
