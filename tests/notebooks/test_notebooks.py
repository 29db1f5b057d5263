import ast
import re
import runpy
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.generated import SECOND_NIGHT, K
from tests.running import ROOT, Flow

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_in_databricks_format_imports_the_package_and_defines_nothing(notebook: Path) -> None:
    text = notebook.read_text(encoding="utf-8")
    assert text.startswith("# Databricks notebook source\n# MAGIC %md\n# MAGIC # ")
    assert text.count("\n# COMMAND ----------\n") >= 3
    assert re.match(r"\d\d_[a-z_]+\.py", notebook.name)
    assert f"notebooks/{notebook.name}`" in text
    assert max(map(len, text.splitlines())) <= 120
    tree = ast.parse(text)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
    assert "intentrec" in {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }


def test_the_notebooks_are_numbered_without_a_hole() -> None:
    assert [int(notebook.name[:2]) for notebook in NOTEBOOKS] == [*range(1, len(NOTEBOOKS) + 1)]


class Shown:
    """A notebook that was run: its variables, what it printed, and its figures."""

    def __init__(self, variables: dict[str, Any], out: str, plots: Path) -> None:
        self.variables, self.out, self.plots = variables, out, plots

    def figures(self) -> list[str]:
        assert all(plot.read_bytes().startswith(b"\x89PNG") for plot in self.plots.glob("*"))
        return sorted(plot.name for plot in self.plots.glob("*"))


@pytest.fixture
def run(flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    def run_notebook(name: str, **environment: str) -> Shown:
        places = {"WAREHOUSE": str(flow.warehouse), "CONFIG": str(flow.config), "PLOTS": str(tmp_path / "plots")}
        for key, value in {**places, **environment}.items():
            monkeypatch.setenv(key, value)
        (notebook,) = (path for path in NOTEBOOKS if path.stem == name)
        variables = runpy.run_path(str(notebook))
        return Shown(variables, capfd.readouterr().out, tmp_path / "plots")

    return run_notebook


def test_01_shows_the_flow_from_the_log_to_the_lists(run: Any) -> None:
    shown = run("01_from_log_to_lists")
    assert f"night of {SECOND_NIGHT}, 40 lists" in shown.out
    assert f"|{SECOND_NIGHT}|200   |40   |" in shown.out  # five events of forty users
    assert "|malformed_row |1    |" in shown.out
    assert "|promoted|" in shown.out
    assert "transitions_1" in shown.out
    assert "|category|" in shown.out
    assert shown.variables["shown"].count() == 3 * K
    assert shown.variables["shown"].where("title IS NULL").count() == 0


def test_02_shows_days_pauses_sessions_and_what_was_refused(run: Any) -> None:
    shown = run("02_sessions_and_quality")
    # 37 people with 8 + 5 events on the first days, then 40 with 5 on each of two days
    assert f": {37 * 13 + 40 * 10:,} events, " in shown.out
    assert "|malformed_row |1   |" in shown.out
    assert "|unknown_action|1   |" in shown.out
    assert "the log's own gap: " in shown.out
    assert shown.figures() == ["02_days.png", "02_pauses.png", "02_sessions.png"]


def test_03_trains_presets_on_the_same_examples_and_compares_them(run: Any) -> None:
    shown = run("03_train_and_compare", PRESETS="intent,gru4rec")
    assert re.search(r"intent: [12] epochs, the best is [12]", shown.out)
    judged = {row["name"] for row in shown.variables["compared"].collect()}
    assert judged == {"intent", "gru4rec", "popularity_6h", "popularity_72h"}
    assert shown.figures() == ["03_presets.png"]


def test_04_shows_intents_attention_and_reasons(run: Any) -> None:
    shown = run("04_what_the_model_thinks")
    assert "intents of 40 users" in shown.out
    assert shown.variables["why"].count() == 3 * K
    assert shown.variables["why"].where("title IS NULL").count() == 0
    assert shown.variables["weights"].groupby("user_id")["weight"].sum().round(4).eq(1.0).all()
    assert shown.figures() == ["04_attention.png", "04_space.png"]


def test_05_measures_what_each_policy_costs_and_buys(run: Any) -> None:
    shown = run("05_policies")
    rows = {row["policy"]: row for row in shown.variables["side"].collect()}
    assert "as scored" in rows
    assert len(rows) == 7
    assert all(0 <= row["ndcg"] <= 1 and 0 < row["coverage"] <= 1 for row in rows.values())
    assert rows["diversity 2"]["intra_list_diversity"] >= rows["as scored"]["intra_list_diversity"]
    assert shown.figures() == ["05_trade.png"]


def test_06_loads_a_store_with_the_lists_of_one_night(run: Any, tmp_path: Path) -> None:
    store = tmp_path / "lists.sqlite"
    for _ in range(2):  # a second load leaves the same rows
        shown = run("06_for_consumers", STORE=str(store))
    assert f"night of {SECOND_NIGHT}, 40 lists" in shown.out
    assert [tuple(row) for row in shown.variables["arrived"].groupBy("run_date").count().collect()] == [
        (SECOND_NIGHT, 40)
    ]
    with closing(sqlite3.connect(store)) as connection:
        rows = connection.execute("SELECT COUNT(*), MIN(run_date), MAX(run_date) FROM lists").fetchone()
        assert rows == (40, str(SECOND_NIGHT), str(SECOND_NIGHT))
        (version,) = connection.execute("SELECT version FROM read").fetchall()
        assert version == (shown.variables["warehouse"].version(shown.variables["tables"].RECOMMENDATIONS),)


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
