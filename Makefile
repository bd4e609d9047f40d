# Targets are listed by `make help`. Needs only python3 (3.11 or newer), git and make.
# Everything runs in .venv, which is built when it is missing and updated when one of ENV_INPUTS changed.

PYTHON ?= python3
PRESET = digits
ARGS =

STAMP := .venv/.complete
ENV_INPUTS := pyproject.toml constraints.txt

# Tests are divided among as many processes as there are cores; a process takes about 1 GiB.
SPREAD := --numprocesses=logical --maxprocesses=8 --dist=worksteal

# The stages call plain `python` and `accelerate`: both must be those of .venv.
IN_ENV := PATH="$$PWD/.venv/bin:$$PATH"

# The stamp holds the place .venv was built for, as a virtual environment cannot be moved. It is written last, so an
# environment that is half built, moved or without its interpreter has no valid stamp and is built anew.
USABLE := [ -x .venv/bin/python ] && [ "$$(cat $(STAMP) 2>/dev/null)" = "$$(pwd -P)" ]

.DEFAULT_GOAL := help
.ONESHELL:
.SHELLFLAGS := -ec
.NOTPARALLEL:
.PHONY: help repro test lint check env clean-env in-git FORCE

help:
	@cat <<-'END'
	make repro      compose params.yaml from a preset, run the pipeline, show the table and where the report is
	make test       run the tests
	make lint       run ruff, mypy and import-linter
	make check      compose params.yaml, check the configuration, the teacher and the data without training
	make env        only build or update .venv
	make clean-env  remove .venv

	The first five set up .venv by themselves.
	PYTHON=python3.12   the interpreter .venv is built from (default: python3; after a change: make clean-env)
	PRESET=smoke        the preset of configs/preset/ for repro and check (default: digits)
	ARGS='...'          settings for repro and check, ARGS='-S data.seed=1'; arguments of pytest for test, ARGS='-k solver'
	END

# The check runs before DVC reads its graph, as DVC's own message on a bad configuration is about the graph.
repro: in-git $(STAMP)
	export $(IN_ENV)
	.venv/bin/straightflow compose '$(PRESET)' $(ARGS)
	.venv/bin/straightflow check
	.venv/bin/python -m stages.commands.repair_locks
	# Measured for some seconds, so not where every stage is up to date.
	.venv/bin/dvc status -q || .venv/bin/straightflow forecast --total
	.venv/bin/dvc repro
	.venv/bin/straightflow show

test: in-git $(STAMP)
	export $(IN_ENV)
	.venv/bin/python -m pytest $(SPREAD) $(ARGS)

lint: $(STAMP)
	export $(IN_ENV)
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy
	.venv/bin/lint-imports --no-logo

check: $(STAMP)
	export $(IN_ENV)
	.venv/bin/straightflow compose '$(PRESET)' $(ARGS)
	.venv/bin/straightflow check

env: $(STAMP)

# Checked before the environment is built, which takes minutes: DVC needs a git repository, and the tests copy what git
# lists. A downloaded archive is no repository.
in-git:
	@fail() { printf 'make: %s\n' "$$@" >&2; exit 1; }
	command -v git >/dev/null || fail "expected git, found no such command; install it, then call make again"
	found=$$(git rev-parse --git-dir 2>&1) || fail "expected a git repository, which DVC needs, found at $$(pwd -P): $$found; make a downloaded archive one, then call make again: git init && git add -A && git commit -m start"

clean-env:
	rm -rf .venv

ifneq ($(shell $(USABLE) || echo no),)
$(STAMP): FORCE
endif

$(STAMP): $(ENV_INPUTS)
	@fail() { printf '\nmake: %s\n' "$$@" >&2; exit 1; }
	# One build at a time; whoever waited finds the work done. The lock goes when this shell ends.
	exec 9<Makefile
	if command -v flock >/dev/null; then flock 9 || true; fi
	newest=yes
	for input in $(ENV_INPUTS); do [ $(STAMP) -nt "$$input" ] || newest=no; done
	if $(USABLE) && [ $$newest = yes ]; then exit 0; fi

	if $(USABLE); then
	    echo "Updating .venv: pyproject.toml or constraints.txt changed."
	else
	    command -v "$(PYTHON)" >/dev/null || fail "expected Python 3.11 or newer as '$(PYTHON)', found no such command; install it or name another one: make PYTHON=/path/to/python3"
	    "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "expected Python 3.11 or newer, found $$("$(PYTHON)" -V 2>&1) as '$(PYTHON)'; name another one: make PYTHON=/path/to/python3"
	    "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || fail "'$(PYTHON)' cannot create virtual environments with pip (its modules venv and ensurepip are missing); on Debian and Ubuntu install the package $$("$(PYTHON)" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])') (or python3-venv), then call make again"
	    echo "Setting up .venv; this takes a few minutes the first time."
	    # Its base interpreter, because '$(PYTHON)' may itself be the one of an activated .venv.
	    base=$$("$(PYTHON)" -c 'import sys; print(getattr(sys, "_base_executable", "") or sys.executable)')
	    rm -rf .venv
	    "$$base" -m venv .venv
	fi
	rm -f $(STAMP)
	# Dated before the installation, so that an edit made during it counts as a change.
	pwd -P >.venv/.building
	.venv/bin/python -m pip install --no-input --disable-pip-version-check -c constraints.txt -e '.[dev]' || fail "installing into .venv failed (pip's message is above); the next call of make starts it afresh"
	mv .venv/.building $(STAMP)
