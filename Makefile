# `make demo` and `make test` need Python 3.11 or later and nothing else: they set up .venv themselves.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test check generate docs wheel clean

demo: .venv/installed
	$(BIN)/python examples/demo.py

test: .venv/test
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term $(ARGS)

check: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python tools/operations_table.py --check
	$(BIN)/python tools/generate_sync.py --check

generate: .venv/dev
	$(BIN)/python tools/generate_sync.py

docs: .venv/installed
	$(BIN)/python tools/operations_table.py

wheel: .venv/dev
	tools/check_wheel.sh

clean:
	rm -rf .venv dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*

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

.venv/dev: .venv/installed
	$(PIP) install --group dev
	touch $@
