# Two commands do everything: `make lab` opens the course, `make test` checks all of it.
# A virtual environment is made in .venv when there is none; VENV=path uses another.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
EXAMPLES ?= 500
# Processes that run tests at the same time.
JOBS ?= 2
# Windows has another folder for commands, and python.exe.
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
PY := $(BIN)/python.exe
else
BIN := $(VENV)/bin
PY := $(BIN)/python
endif
# Longest a single notebook cell may take, in seconds; give more to a slow machine.
CELL_TIMEOUT ?= 120

.DEFAULT_GOAL := help
.PHONY: help lab test install install-dev lint types unit unit-fast fuzz drift notebooks build format clean gpu

help:
	@echo "make lab          install, then open JupyterLab on lessons/ (ARGS='--no-browser --port=8899' is passed on)"
	@echo "make test         install, lint, check types, run the tests, check and run every notebook"
	@echo "make unit         all tests of the library, without the notebooks (ARGS='--shuffle 1': in random order)"
	@echo "make unit-fast    the same without what is marked slow; while you work"
	@echo "make fuzz         the property tests with many random examples (EXAMPLES=500 each)"
	@echo "make gpu          on a machine with a CUDA GPU: its tests, speeds and one run, in 8 minutes (ARGS='--data ...')"
	@echo "make build        write the notebooks anew from solutions/*.py"
	@echo "make format       format the code"
	@echo "make clean        remove caches; .venv and runs/ stay"

$(PY):
	$(PYTHON) -m venv $(VENV)

# The stamps make a second call quick: pip runs again only when pyproject.toml has changed.
$(VENV)/.installed: pyproject.toml | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev,teaching]'
	touch $@ $(VENV)/.installed

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

lab: install
	$(PY) -m jupyterlab --notebook-dir=. --ServerApp.preferred_dir=lessons $(ARGS)

test: lint types unit drift notebooks

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install-dev
	$(BIN)/mypy

# Processes of one thread each: what the tests compute is too small for two. A file stays in one process, because its
# tests share what is slow to make.
unit: install-dev
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -p no:nbval -n $(JOBS) --dist loadfile $(ARGS)

unit-fast: install-dev
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -m "not slow" -p no:nbval -n $(JOBS) --dist loadfile $(ARGS)

# Other examples every time; HYPOTHESIS_PROFILE=fuzz does the same for one file by hand.
fuzz: install-dev
	HYPOTHESIS_PROFILE=fuzz HYPOTHESIS_EXAMPLES=$(EXAMPLES) $(PY) -m pytest -q -m hypothesis $(ARGS)

# Is what is committed what the builder writes?
drift: install-dev
	$(BIN)/jem build --check

# Every cell of every notebook, at smoke scale; then count that every cell ran.
notebooks: install-dev
	JEMLIB_SCALE=smoke CI=true OMP_NUM_THREADS=1 $(PY) -m pytest -q -p no:cacheprovider -n $(JOBS) --dist loadfile \
		--nbval-lax --nbval-current-env \
		--nbval-cell-timeout=$(CELL_TIMEOUT) --junitxml=$(VENV)/notebooks.xml lessons/*.ipynb solutions/*.ipynb
	$(PY) tests/check_executed_cells.py $(VENV)/notebooks.xml lessons solutions

# Nothing is installed: a machine that is lent for minutes may reach nothing.
gpu:
	$(PYTHON) -m jemlib gpu $(ARGS)

build: install-dev
	$(BIN)/jem build

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
