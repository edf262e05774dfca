# Needs python3 (3.11 or newer, with venv) and make; everything else goes into .venv.

PYTHON ?= python3
BIN := .venv/bin

.DELETE_ON_ERROR:
.PHONY: help demo test check screenshots pictures bench

help:
	@echo "make demo         explore the default network on photographs that come along"
	@echo "make test         run the tests"
	@echo "make check        lint, format, types, import contracts"
	@echo "make screenshots  draw the documentation's screenshots"
	@echo "make pictures     optimise the documentation's pictures (some minutes)"
	@echo "make bench        run the benchmarks"

demo: .venv/.installed
	@$(BIN)/tuivis

test: .venv/.dev
	$(BIN)/pytest -q

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

screenshots: .venv/.dev
	$(BIN)/python -m tests.e2e.screenshots

pictures: .venv/.dev
	$(BIN)/python -m tests.pictures

bench: .venv/.dev
	$(BIN)/python -m benchmarks

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || \
		{ echo "make: no $(PYTHON): install Python 3.11 or newer, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $$($(PYTHON) -V) is too old: tuivis needs 3.11 or newer; say make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "make: $(PYTHON) has no venv module: install it (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing tuivis with torch into .venv: up to 5 GB, some minutes"
	@$(BIN)/python -m pip install --disable-pip-version-check -e .
	@touch $@

.venv/.dev: pyproject.toml .venv/.installed
	@echo "Installing what tests and checks need"
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet -e '.[dev]'
	@touch $@
