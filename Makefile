# Each target is enough on its own: it makes .venv and installs the package first, where that is missing.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types docs clean

.venv/.installed: setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: .venv/.installed
	$(BIN)/python -m benchmarks run digits --out runs/digits

test: .venv/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal --timeout 240

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .

types: .venv/.installed
	$(BIN)/mypy

# Executes pages and notebooks, and builds the site; a warning is an error.
docs: .venv/.docs
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.system.pages docs/*.md
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet docs docs/_build/html

.venv/.docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv docs/_build docs/generated build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
