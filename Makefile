# `make demo`, `make test` and `make bench` need Python 3.11 or later and nothing else: they set up their environments themselves.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# The hundreds of processes that the tests start share compiled modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test shop soak faults load bench crashtest check audit generate docs wheel clean

demo: .venv/installed
	$(BIN)/python examples/demo.py

test: .venv/test
	$(BIN)/python -m pytest -n 4 --cov --cov-report=term $(if $(ARGS),--cov-fail-under=0) $(ARGS)

shop: .venv/test
	$(BIN)/python examples/shop $(ARGS)

crashtest: .venv/installed
	$(BIN)/python tools/crashtest.py $(ARGS)

soak: .venv/installed
	$(BIN)/python tools/soak.py $(ARGS)

faults: .venv/installed
	$(BIN)/python -m tests.faults $(ARGS)

load: .venv/installed
	$(BIN)/python tools/load.py --report docs/load.md $(ARGS)

bench: .venv-bench/installed
	.venv-bench/bin/python -m benchmarks $(ARGS)

check: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python tools/check_blocks.py
	$(BIN)/python tools/operations_table.py --check
	$(BIN)/python tools/generate_sync.py --check

audit: .venv/dev
	tools/audit.sh

generate: .venv/dev
	$(BIN)/python tools/generate_sync.py

docs: .venv/installed
	$(BIN)/python tools/operations_table.py

wheel: .venv/dev
	tools/check_wheel.sh

clean:
	rm -rf .venv .venv-bench dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*

.venv/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed, and was not found" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) install --upgrade 'pip>=25.1'
	touch $@

.venv/installed: .venv/python pyproject.toml
	$(PIP) install --editable .
	touch $@

.venv/test: .venv/installed
	$(PIP) install --group test
	touch $@

.venv-bench/installed: pyproject.toml  # an environment of its own: the clients that are compared, and no tool of ours
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip --disable-pip-version-check --quiet install --upgrade 'pip>=25.1'
	.venv-bench/bin/python -m pip --disable-pip-version-check --quiet install --editable . --group bench
	touch $@

.venv/dev: .venv/installed
	$(PIP) install --group dev
	touch $@
