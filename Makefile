# Two commands do everything: `make demo` and `make test`. Each makes its own environment.
# `make faults` is the long version of tests/faults, `make thorough` that of the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test faults thorough mutations setup format lint types tests clean

demo: $(VENV)/.demo
	$(BIN)/instar demo

test: $(VENV)/.dev lint types tests

setup: $(VENV)/.dev

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Instar needs Python 3.11 or later; got %d.%d" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

# The pinned torch is the CPU build wherever an index offers one under that version.
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	sh tools/system_packages.sh $(VENV)
	touch $@ $(VENV)/.demo

format: $(VENV)/.dev
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

lint: $(VENV)/.dev
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .

types: $(VENV)/.dev
	$(BIN)/mypy

tests: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist worksteal

faults: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist worksteal --timeout 1200 -m 'thorough or not thorough' tests/faults

# What `make test` leaves out beside tests/faults: more of the same.
thorough: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist worksteal --timeout 1200 -m thorough --ignore tests/faults

# Takes one safeguard after the other out of a copy of the source; the tests must notice each.
mutations: $(VENV)/.dev
	$(BIN)/python tools/mutations.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache
