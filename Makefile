# The two set-up commands are `make repro` and `make test`; each builds .venv first if it must.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help env repro test lint clean-env

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

env: .venv/installed ## build .venv if it is missing or its inputs changed

# The stamp is written last, so that an interrupted installation is taken up again.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "expected: Python 3.11 or newer; found: $$($(PYTHON) --version); mend: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "expected: the venv module with pip; mend: install it (Debian: apt-get install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

repro: env ## run the pipeline, then print the table and the report's path
	dvc repro
	python -m stages.show

test: env ## run every test
	python -m pytest

lint: env ## ruff and mypy
	ruff check .
	ruff format --check .
	mypy

clean-env: ## remove .venv
	rm -rf .venv
