# Works on a fresh machine with Python 3.11 and make: uv is fetched through pip when it is not there.
SHELL := /bin/bash
PYTHON ?= python3
TOOLS := .tools
UV := $(shell command -v uv 2>/dev/null || echo $(TOOLS)/bin/uv)
RUN := $(UV) run --frozen --all-extras

.PHONY: help setup clients demo test soak check bench docs clean

help:
	@echo "make demo   set up everything and watch a real optimisation with a real verdict (under a minute after set-up)"
	@echo "make test   set up everything and run the tests"
	@echo "make check  format, lint, types, floors, docs, tests: what CI runs"
	@echo "make soak   the long fault campaigns (an hour)"
	@echo "make bench  timings side by side with DSPy, as ratios"
	@echo "make clean  remove what the others made"

# Debian's pip refuses to touch the system's Python; a folder of our own is always allowed.
$(TOOLS)/bin/uv:
	@echo "Fetching uv through pip ..."
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --target $(TOOLS) "uv>=0.5" \
	  || { $(PYTHON) -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet --disable-pip-version-check "uv>=0.5"; } \
	  || { echo "make: neither pip nor venv works with $(PYTHON); on Debian: apt-get install python3-pip" >&2; exit 1; }

setup: $(if $(filter $(TOOLS)/%,$(UV)),$(TOOLS)/bin/uv)
	@[ -d .venv ] || echo "Setting up Strop and what it stands on (once, about 500 MB) ..."
	@$(UV) sync --frozen --all-extras --quiet --compile-bytecode

# The real coding agents, pinned, for the tests that run them; about a gigabyte, half a minute, once.
clients: setup
	@$(RUN) python scripts/agent_clients.py coders

demo: setup
	@STROP_COMMAND=.venv/bin/strop $(RUN) strop demo

test: setup clients
	$(RUN) pytest -n 2 --dist loadfile

# Claude Flow's database is compiled on the spot: this needs a C++ compiler.
soak: setup
	@$(RUN) python scripts/agent_clients.py coders claude-flow
	$(RUN) pytest -m soak --timeout 7200

check: setup clients
	$(RUN) ruff format --check src tests scripts benchmarks examples
	$(RUN) ruff check src tests scripts benchmarks examples
	$(RUN) lint-imports
	$(RUN) pyright
	$(RUN) python scripts/make_docs.py --check
	$(RUN) pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered

bench: setup
	$(RUN) python benchmarks/run.py

docs: setup
	$(RUN) python scripts/make_docs.py

clean:
	rm -rf .venv $(TOOLS) .pytest_cache .ruff_cache .hypothesis .coverage .import_linter_cache dist strop-demo .strop
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
