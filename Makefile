# Each target creates the environment that it needs. Requirements: Python 3.11 or later, and make.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# The hundreds of processes that the tests start share compiled modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test shop observe soak faults load bench crashtest check audit changes generate docs wheel clean

demo: .venv/installed
	$(BIN)/python examples/demo.py

test: .venv/test
	$(BIN)/python -m pytest -n 6 $(ARGS)

shop: .venv/test
	$(BIN)/python examples/shop $(ARGS)

# Takes half a minute; the spans and the metrics stay in observe-output/.
observe: .venv/test
	$(BIN)/python examples/observe/observe.py --picture docs/telemetry.svg $(ARGS)

crashtest: .venv/installed
	$(BIN)/python -m stress crash $(ARGS)

soak: .venv/installed
	$(BIN)/python -m stress soak $(ARGS)

faults: .venv/installed
	$(BIN)/python -m stress faults $(ARGS)

load: .venv/installed
	$(BIN)/python -m stress load --report docs/load.md $(ARGS)

bench: .venv-bench/installed
	.venv-bench/bin/python -m benchmarks $(ARGS)

check: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/towncrier build --draft --version next >/dev/null
	$(BIN)/python tools/check_blocks.py
	$(BIN)/python tools/operations_table.py --check
	$(BIN)/python tools/generate_sync.py --check
	$(BIN)/python tools/generate_cli.py --check

audit: .venv/dev
	tools/audit.sh

changes: .venv/dev
	$(BIN)/towncrier build --draft --version next

generate: .venv/dev
	$(BIN)/python tools/generate_sync.py
	$(BIN)/python tools/generate_cli.py

docs: .venv/installed
	$(BIN)/python tools/operations_table.py

wheel: .venv/dev
	tools/check_wheel.sh

clean:
	rm -rf .venv .venv-bench dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*

.venv/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later not found" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) install --upgrade 'pip>=25.1'
	touch $@

.venv/installed: .venv/python pyproject.toml
	$(PIP) install --editable '.[cli]'
	touch $@

.venv/test: .venv/installed
	$(PIP) install --group test
	touch $@

# A separate environment: the compared clients without the development tools.
.venv-bench/installed: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip --disable-pip-version-check --quiet install --upgrade 'pip>=25.1'
	.venv-bench/bin/python -m pip --disable-pip-version-check --quiet install --editable . --group bench
	touch $@

.venv/dev: .venv/installed
	$(PIP) install --group dev
	touch $@
