"""The common form of the benchmarks; their figures are never asserted."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "benchmarks"


@pytest.fixture(scope="module")
def form():
    specification = importlib.util.spec_from_file_location("form", FOLDER / "form.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["form"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    yield module
    del sys.modules["form"]


def test_a_benchmark_prints_its_table_and_writes_its_json(form, tmp_path, capsys):
    out = tmp_path / "results" / "nothing.json"

    def measure(flags):
        assert flags == form.Flags(quick=True, data=tmp_path, out=out)
        return form.Measured({"users": 3}, {"nothing_s": 0.25})

    assert form.run_benchmark("nothing", measure, ["--quick", "--data", str(tmp_path), "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert set(result) == {"benchmark", "config", "environment", "figures"}
    assert result["benchmark"] == "nothing"
    assert result["config"] == {"quick": True, "data": tmp_path.name, "users": 3}
    assert result["figures"] == {"nothing_s": 0.25}
    assert {"cores", "cpu", "memory_gib", "commit", "packages", "load_before"} <= set(result["environment"])
    printed = capsys.readouterr().out
    assert "benchmark nothing" in printed
    assert "nothing_s" in printed


@pytest.mark.parametrize(("argv", "figure"), [([], None), (["--figure", "loss"], "loss")])
def test_a_benchmark_of_several_figures_may_measure_one_alone(form, argv, figure):
    seen = []

    def measure(flags):
        seen.append(flags.figure)
        return form.Measured({}, {})

    form.run_benchmark("several", measure, argv, figures=("loss", "loader"))
    assert seen == [figure]
    with pytest.raises(SystemExit):
        form.run_benchmark("several", measure, ["--figure", "other"], figures=("loss", "loader"))
    with pytest.raises(SystemExit):
        form.run_benchmark("one", measure, ["--figure", "loss"])


def test_without_out_nothing_is_written(form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert form.run_benchmark("nothing", lambda flags: form.Measured({}, {}), []) == 0
    assert list(tmp_path.iterdir()) == []


def test_rounds_are_interleaved_and_each_starts_with_another_variant(form):
    calls = []
    costs = form.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"  # one untimed call of each first
    assert {name: len(runs) for name, runs in costs.items()} == {"a": 3, "b": 3}


def test_fewer_than_three_rounds_are_refused(form):
    with pytest.raises(ValueError, match="rounds: wanted at least 3, is 2"):
        form.interleaved({"a": int}, rounds=2)


def test_ratios_are_medians_of_pairs(form):
    costs = {
        "new": [form.Cost(1, 1), form.Cost(8, 2), form.Cost(3, 3)],
        "old": [form.Cost(2, 4), form.Cost(2, 4), form.Cost(4, 4)],
    }
    assert form.compared(costs, "old") == {
        "new_s": 3, "new_cpu_s": 2, "new_x_old": 0.75, "new_cpu_x_old": 0.5, "old_s": 2, "old_cpu_s": 4,
    }  # fmt: skip


def test_cpu_seconds_count_the_processes_below(form):
    before = form.cpu_seconds()
    subprocess.run([sys.executable, "-c", "sum(range(20_000_000))"], check=True)
    assert form.cpu_seconds() - before >= 0.1


def test_every_committed_result_has_the_form():
    for path in sorted((FOLDER / "results").glob("*.json")):
        result = json.loads(path.read_text())
        assert set(result) == {"benchmark", "config", "environment", "figures"}
        assert path.stem == result["benchmark"] or path.stem.startswith(f"{result['benchmark']}_")
        assert all(isinstance(figure, int | float) for figure in result["figures"].values())
        assert (FOLDER / f"{result['benchmark']}.py").exists()
