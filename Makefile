# `make` prints what it can do. Everything is set up by deploy/install.py into .venv; a warm set-up takes under two seconds.
SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin
NIGHTLY := $(BIN)/python jobs/nightly.py --config deploy/demo/nightly.yaml
.DEFAULT_GOAL := help

help: ## print this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "make %-12s %s\n", $$1, $$2}'

install: ## set up .venv: packages, Horovod, Delta's jars (run by all others)
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON): not found, wanted Python 3.11: install it, or name it with make PYTHON=/path/to/python3.11" >&2; exit 7; }
	@$(PYTHON) deploy/install.py

demo: install ## two nights on the bundled real log; a second time every stage is skipped
	@$(NIGHTLY) --run-date 2013-08-30
	@$(NIGHTLY) --run-date 2013-08-31
	@echo "tables:  build/demo/warehouse  (what they hold: TABLES.md)"
	@echo "report:  build/demo/artifacts/reports/2013-08-31/report.html"

test: install ## all tests, in two processes
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

lint: install ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: install ## mypy, strict on the package
	@$(BIN)/mypy

imports: install ## who may import whom (import-linter)
	@$(BIN)/lint-imports

check: lint types imports test ## lint, types, import contracts, then all tests; what .ci/run runs

faults: install ## the long fault checks: kills at every crash point, dead ranks
	@$(BIN)/python -m pytest tests/faults --override-ini="norecursedirs=.* build" -s

doors: install ## check the files for Databricks, Kubernetes and Airflow with their publishers' own packages
	@while IFS=: read -r name packages; do \
	  [ -x build/doors/$$name/bin/python ] || { .venv/uv-tool/bin/uv venv -q -p $(PYTHON) build/doors/$$name; }; \
	  .venv/uv-tool/bin/uv pip install -q -p build/doors/$$name/bin/python $$packages || exit 7; \
	done < <(grep -v '^#' deploy/doors.txt)
	@$(BIN)/python -m pytest tests/deploy/test_doors.py tests/deploy/airflow

bench: install ## all benchmarks of speed, tables on the terminal and JSON under build/bench
	@mkdir -p build/bench
	@set -e; for file in $$(grep -l 'sys.exit(run_benchmark' tests/benchmarks/*.py); do $(BIN)/python $$file --out build/bench/$$(basename $$file .py).json; done

pages: install ## write TABLES.md and deploy/conf/reference.yaml again from the declarations
	@$(BIN)/python -m intentrec.tables.page > TABLES.md
	@$(BIN)/python -m intentrec.config.reference > deploy/conf/reference.yaml

wheel: install ## the package as dist/*.whl, and as *.zip for spark-submit --py-files
	@$(BIN)/python -m hatchling build -t wheel
	@for file in dist/*.whl; do cp "$$file" "$${file%-py3-none-any.whl}.zip"; done # Spark's workers ignore a .whl

format: install ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## remove what was built, tables of the demo included; .venv stays
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache spark-warehouse metastore_db derby.log

.PHONY: help install demo test lint types imports check faults doors bench pages wheel format clean
