# `make all` and `make test` need Python 3.11 or later with venv, git and make; `make help` lists the rest.

PYTHON ?= python3
CORES  ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
ARGS   ?=
READY  := .venv/.ready

export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help all test env audit
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  CORES=8 limits the cores; ARGS='...' is passed on to snakemake or pytest."

all: $(READY) ## Run the studies of config/config.yaml, show the headline tables and where the reports lie
	snakemake --cores $(CORES) all $(ARGS)
	@python -m cmr results

test: $(READY) ## Check style and import contract, run all tests
	ruff check
	ruff format --check
	snakefmt --check Snakefile workflow
	lint-imports --no-cache
	python -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder $(ARGS)

env: $(READY) ## Create or refresh the environment in .venv

audit: ## Look up the pinned packages among known vulnerabilities (asks the network; the tool gets an environment of its own)
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/python -m pip install --disable-pip-version-check --quiet pip-audit==2.10.1
	.venv/audit/bin/pip-audit --requirement requirements.txt --require-hashes --disable-pip --strict

# The stamp comes last: an interrupted installation is taken up again.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one with PYTHON=...")'
	$(PYTHON) -m venv .venv
	python -m pip install --disable-pip-version-check --quiet --require-hashes --requirement requirements.txt
	python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@
