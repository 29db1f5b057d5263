import ast
import re
import runpy
from pathlib import Path

import pytest
from tests.generated import SECOND_NIGHT, K
from tests.running import ROOT, Flow

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_in_databricks_format_imports_the_package_and_defines_nothing(notebook: Path) -> None:
    text = notebook.read_text(encoding="utf-8")
    assert text.startswith("# Databricks notebook source\n")
    assert text.count("\n# COMMAND ----------\n") >= 3
    assert re.match(r"\d\d_[a-z_]+\.py", notebook.name)
    tree = ast.parse(text)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
    assert "intentrec" in {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_as_a_script_on_the_tables_of_two_nights(
    flow: Flow, notebook: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAREHOUSE", str(flow.warehouse))
    shown = runpy.run_path(str(notebook))
    out = capfd.readouterr().out
    assert f"night of {SECOND_NIGHT}, 40 lists" in out
    assert f"|{SECOND_NIGHT}|200   |40   |" in out  # five events of forty users
    assert "|malformed_row |1    |" in out
    assert "|promoted|" in out
    assert "transitions_1" in out
    assert "|category|" in out
    assert shown["shown"].count() == 3 * K
    assert shown["shown"].where("title IS NULL").count() == 0


def test_a_notebook_asks_its_widget_for_the_warehouse_where_there_is_one(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Widgets:
        def __init__(self) -> None:
            self.made: list[tuple[str, str]] = []

        def text(self, name: str, default: str) -> None:
            self.made.append((name, default))

        def get(self, name: str) -> str:
            return str(flow.warehouse)

    class Utilities:
        widgets = Widgets()

    monkeypatch.delenv("WAREHOUSE", raising=False)
    runpy.run_path(str(NOTEBOOKS[0]), init_globals={"dbutils": Utilities})
    assert Utilities.widgets.made == [("warehouse", "build/demo/warehouse")]
    assert f"warehouse {flow.warehouse}, night of {SECOND_NIGHT}" in capfd.readouterr().out
